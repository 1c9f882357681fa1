"""The number of threads: chosen by trial, and again when steps get slow."""

import math
from collections.abc import Callable

import pytest
import torch

from vae_runner.engine import Engine
from vae_runner.engine.machine.threads import PATIENCE, WINDOW, Slowdown, candidates, fastest_threads

QUICK, SLOW = 0.125, 0.5  # seconds of a step


@pytest.fixture
def four_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("most", "tried"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_powers_of_two_and_the_most_are_tried(most: int, tried: list[int]) -> None:
    assert candidates(most) == tried


@pytest.mark.parametrize(
    ("times", "best"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.4}, 4),  # a quiet machine
        ({1: 1.0, 2: 6.0, 4: 12.0}, 1),  # a busy one: threads spin
        ({1: 1.0, 2: 0.6, 4: 0.58}, 2),  # what gains nothing is not taken
    ],
)
def test_the_fastest_number_is_chosen(four_threads: None, times: dict[int, float], best: int) -> None:
    assert fastest_threads(lambda: times[torch.get_num_threads()], 4) == best
    assert torch.get_num_threads() == 4


def test_one_slow_round_decides_nothing(four_threads: None) -> None:
    calls = iter(range(100))
    assert fastest_threads(lambda: 50.0 if next(calls) in (1, 7) else 1 / torch.get_num_threads(), 4) == 4


def test_with_one_thread_nothing_is_tried() -> None:
    assert fastest_threads(lambda: pytest.fail("a step was made"), 1) == 1


def windows(slowdown: Slowdown, seconds: float, count: int) -> list[bool]:
    """Feed so many windows of steps that take so long (a power of two, so that they add up exactly)."""
    steps = max(5, math.ceil(WINDOW / seconds))
    return [any([slowdown.noticed(seconds) for _ in range(steps)]) for _ in range(count)]


def test_steps_that_stay_slow_are_noticed_once() -> None:
    slowdown = Slowdown()
    assert windows(slowdown, QUICK, 10) == [False] * 10
    assert windows(slowdown, SLOW, PATIENCE) == [False] * (PATIENCE - 1) + [True]
    assert windows(slowdown, SLOW, 10) == [False] * 10  # that is what they take now


def test_a_short_hitch_is_no_slowdown() -> None:
    slowdown = Slowdown()
    windows(slowdown, QUICK, 3)
    for _ in range(5):
        assert windows(slowdown, SLOW, PATIENCE - 1) == [False] * (PATIENCE - 1)
        assert windows(slowdown, QUICK, 1) == [False]


def test_a_run_whose_steps_get_slow_chooses_anew(
    experiment: Callable[..., Engine],
    four_threads: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = experiment("engine.steps=6")
    choices = iter([4, 1])
    monkeypatch.setattr(engine.thread_choice, "_fastest", lambda: next(choices))
    monkeypatch.setattr(engine.thread_choice._slowdown, "noticed", lambda seconds: engine.step == 3)
    used = []
    step = engine.train_step
    monkeypatch.setattr(engine, "train_step", lambda: used.append(torch.get_num_threads()) or step())
    with caplog.at_level("INFO"):
        engine.run()
    assert used == [4, 4, 4, 1, 1, 1]
    assert "step 3: steps are slow; threads: 1 instead of 4" in caplog.messages
    assert torch.get_num_threads() == 4


def test_a_trial_leaves_no_trace_in_the_run(experiment: Callable[..., Engine]) -> None:
    tried, other = experiment(), experiment()
    tried.trial().seconds(16)
    for _ in range(3):
        tried.train_step(), other.train_step()
    for ours, theirs in zip(tried.objective.parameters(), other.objective.parameters(), strict=True):
        assert torch.equal(ours, theirs)
