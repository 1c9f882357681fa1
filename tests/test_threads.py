"""The number of threads: chosen by trial, and again when steps get slow."""

import itertools
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vae_runner.cli.process import own_share
from vae_runner.cli.process.before_torch import prepare_environment
from vae_runner.engine import Engine
from vae_runner.engine.machine import busyness
from vae_runner.engine.machine.busyness import PATIENCE, WINDOW, OthersBusy, Slowdown, busy_seconds
from vae_runner.engine.machine.threads import ThreadChoice, candidates, fastest_threads

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
    steps = math.ceil(WINDOW / seconds)
    assert steps * seconds == WINDOW
    return [any([slowdown.noticed(seconds) for _ in range(steps)]) for _ in range(count)]


def test_steps_that_stay_slow_are_noticed_once() -> None:
    slowdown = Slowdown()
    assert windows(slowdown, QUICK, 10) == [False] * 10
    assert windows(slowdown, SLOW, 2) == [False, True]
    assert 2 * WINDOW == PATIENCE
    assert windows(slowdown, SLOW, 10) == [False] * 10  # that is what they take now


def test_a_short_hitch_is_no_slowdown() -> None:
    slowdown = Slowdown()
    windows(slowdown, QUICK, 3)
    for _ in range(5):
        assert windows(slowdown, SLOW, 1) == [False]
        assert windows(slowdown, QUICK, 1) == [False]


class Machine:
    """Processors and a clock, on which a step takes what it takes with so many threads; others use `busy` of them."""

    def __init__(self, quiet: dict[int, float], crowded: dict[int, float]) -> None:
        self.quiet, self.crowded = quiet, crowded
        self.now = self.others = 0.0
        self.busy = 0

    def step(self) -> float:
        taken = (self.crowded if self.busy else self.quiet)[torch.get_num_threads()]
        self.now, self.others = self.now + taken, self.others + self.busy * taken
        return taken

    def choice(self) -> ThreadChoice:
        others = OthersBusy(lambda: self.now, lambda: self.others)
        return ThreadChoice(None, torch.device("cpu"), lambda: self.step, lambda: self.now, others)


def seconds_until(machine: Machine, choice: ThreadChoice, count: int, most: float = 60.0) -> float:
    """Train until so many threads are used."""
    begun, step = machine.now, 0
    while choice.count != count:
        torch.set_num_threads(choice.count or 1)
        step += 1
        choice.watch(machine.step(), step)
        assert machine.now - begun < most
    return machine.now - begun


@pytest.mark.parametrize(
    ("quiet", "crowded"),
    [
        ({1: 0.036, 2: 0.022}, {1: 0.040, 2: 0.10}),  # a small net, threads that sleep
        ({1: 0.036, 2: 0.022}, {1: 0.040, 2: 1.0}),  # threads that spin
        ({1: 0.26, 2: 0.15}, {1: 0.28, 2: 0.6}),  # a residual net
        ({1: 0.036, 2: 0.022}, {1: 0.040, 2: 0.042}),  # steps that are not twice as slow
    ],
)
def test_threads_follow_a_program_that_comes_and_goes_within_three_seconds(
    quiet: dict[int, float], crowded: dict[int, float]
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        machine = Machine(quiet, crowded)
        choice = machine.choice()
        choice.choose()
        assert choice.count == 2
        for busy, count in [(1, 1), (0, 2), (1, 1), (0, 2)]:
            with pytest.raises(AssertionError):  # nothing happens, nothing changes
                seconds_until(machine, choice, count, 20.0)
            machine.busy = busy
            assert seconds_until(machine, choice, count) < 3
    finally:
        torch.set_num_threads(before)


def test_a_trial_that_changes_nothing_makes_the_next_ones_rarer(four_threads: None) -> None:
    machine = Machine({1: 0.1, 2: 0.05, 4: 0.025}, {1: 0.1, 2: 0.05, 4: 0.025})
    trials: list[float] = []
    choice = ThreadChoice(
        None,
        torch.device("cpu"),
        lambda: trials.append(machine.now) or machine.step,  # type: ignore[func-returns-value]
        lambda: machine.now,
        OthersBusy(lambda: machine.now, lambda: machine.others),
    )
    choice.choose()
    while machine.now < 120:
        machine.busy = int(machine.now / 3) % 2  # a program that comes and goes, and takes nothing away
        choice.watch(machine.step(), 1)
    gaps = [later - sooner for sooner, later in itertools.pairwise(trials)]
    assert len(gaps) < 12
    assert all(gap >= 30 for gap in gaps[-2:])


def test_the_work_of_others_is_what_all_processors_do_less_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(busyness, "STAT", tmp_path / "stat")
    assert busy_seconds() is None  # no such file, as on other systems
    ticks = os.sysconf("SC_CLK_TCK")
    used, idle = [7, 1, 2, 3, 4, 5], [1000, 2000]  # of user, nice, system, interrupts, soft ones, stolen; of waiting
    worked = [*used[:3], *idle, *used[3:], 90, 90]  # the last two are guests', in user's already
    (tmp_path / "stat").write_text(f"cpu  {' '.join(str(seconds * ticks) for seconds in worked)}\ncpu0 1 2 3\n")
    began = time.process_time()
    assert busy_seconds() == pytest.approx(22 - began, abs=0.1)
    while time.process_time() < began + 0.3:
        pass
    assert busy_seconds() == pytest.approx(22 - began - 0.3, abs=0.1)


@pytest.mark.parametrize(
    ("most", "used", "spare"),
    [(4, 0.0, 4), (4, 0.4, 4), (4, 1.0, 3), (4, 2.6, 1), (4, 9.0, 1), (2, 2.0, 2), (2, 3.0, 1), (1, 0.0, 1)],
)
def test_a_command_that_does_not_train_takes_the_processors_that_others_leave(
    most: int, used: float, spare: int, four_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(own_share.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(own_share.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(own_share, "busy_seconds", lambda: used * now[0])
    monkeypatch.setattr(own_share.os, "cpu_count", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS")
    torch.set_num_threads(most)
    with own_share.own_share():
        assert torch.get_num_threads() == spare
    assert torch.get_num_threads() == most
    monkeypatch.setenv("OMP_NUM_THREADS", str(most))  # the user's word
    with own_share.own_share():
        assert torch.get_num_threads() == most
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(own_share, "busy_seconds", lambda: None)  # on a system that does not tell
    with own_share.own_share():
        assert torch.get_num_threads() == most


def test_threads_sleep_soon_and_kernels_are_kept_unless_the_user_has_said_otherwise_or_it_is_too_late(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "vae_runner/compiled")}
    late = {"PATH": "x"}
    prepare_environment(late)
    assert late == {"PATH": "x"}
    monkeypatch.delitem(sys.modules, "torch")
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        environment = {name: "7"}
        prepare_environment(environment)
        assert environment == {name: "7", **kept}
    environment = {"PATH": "x", "TORCHINDUCTOR_CACHE_DIR": "y"}
    prepare_environment(environment)
    assert environment == {"PATH": "x", "GOMP_SPINCOUNT": "20000", "TORCHINDUCTOR_CACHE_DIR": "y"}


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
    assert "step 3: threads: 1 instead of 4, which is faster now" in caplog.messages
    assert torch.get_num_threads() == 4


def test_a_trial_leaves_no_trace_in_the_run(experiment: Callable[..., Engine]) -> None:
    tried, other = experiment(), experiment()
    tried.trial().seconds(16)
    for _ in range(3):
        tried.train_step(), other.train_step()
    for ours, theirs in zip(tried.objective.parameters(), other.objective.parameters(), strict=True):
        assert torch.equal(ours, theirs)
