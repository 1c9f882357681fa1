import copy
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vae_runner.console import logging_to
from vae_runner.datasets.reading import parallel
from vae_runner.engine import Engine, trial
from vae_runner.experiment.notices import estimate as module
from vae_runner.experiment.notices.estimate import (
    Estimate,
    describe_estimate,
    estimate,
    memory_room,
    tell_size,
    too_large,
)
from vae_runner.state import LOSS, METRICS, Y_TRUE, State, X, posterior_key

Make = Callable[..., Engine]
MB = 10**6


class Chain(nn.Module):
    """In place of an objective: 256 - 1000 - 1 with ReLU, whose memory can be counted by hand."""

    now = 0.0  # seconds of a clock that its steps alone move on

    def __init__(self, seconds_per_image: float = 0.0) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(256, 1000), nn.Linear(1000, 1)
        self.seconds_per_image = seconds_per_image

    def forward(self, x: Tensor, target: Tensor) -> State:
        Chain.now += self.seconds_per_image * len(x)
        loss = self.last(torch.relu(self.first(x.flatten(1)))).square().mean()
        return {X: x, Y_TRUE: target, LOSS: loss, METRICS: {}}

    def pairings(self) -> set[int | None]:
        return set()

    def on_step_training(self, state: State) -> None:
        """Nothing moves."""


@pytest.fixture
def chain(experiment: Make, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine of 16 images in a batch with `Chain` as its objective, in a process of no size."""
    engine = experiment()
    engine.objective = Chain()
    engine.optimizer = torch.optim.Adam(engine.objective.parameters(), fused=True)
    monkeypatch.setattr(module, "_present_memory", lambda device: 0)
    return engine


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_optimal"])
@pytest.mark.parametrize("at", [0, 5])
def test_a_run_with_an_estimate_is_the_run_without_to_the_bit(experiment: Make, likelihood: str, at: int) -> None:
    overrides = (f"likelihood={likelihood}", "divergence=capacity", "divergence.capacity.steps=9")
    alone, estimated = experiment(*overrides), experiment(*overrides)
    for engine in (alone, estimated):
        for _ in range(at):
            engine.train_step()
    gradients = [parameter.grad for parameter in estimated.objective.parameters()]
    generator, threads = torch.random.get_rng_state(), torch.get_num_threads()
    estimate(estimated)
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert torch.get_num_threads() == threads
    assert all(p.grad is g for p, g in zip(estimated.objective.parameters(), gradients, strict=True))
    assert (len(estimated.optimizer.state) > 0) == (at > 0)
    for engine in (alone, estimated):
        engine.run()
    expected, found = alone.state_dict(), estimated.state_dict()
    assert found["validated"] == expected["validated"]
    assert all(torch.equal(value, found["objective"][key]) for key, value in expected["objective"].items())
    for index, state in expected["optimizer"]["state"].items():
        assert all(torch.equal(value, found["optimizer"]["state"][index][key]) for key, value in state.items())


def test_memory_is_what_is_counted_by_hand(chain: Engine) -> None:
    measured = estimate(chain)
    parameters = 256 * 1000 + 1000 + 1000 + 1
    assert measured.parameters == parameters
    # the image (saved for the first layer), behind ReLU (saved twice, one storage), the output; the largest 4 times
    assert measured.per_image == 4 * (256 + 1000 + 1 + 4 * 1000)
    assert measured.fixed == pytest.approx(4 * parameters * (1 + 2), abs=100)  # gradients, Adam's two moments
    assert measured.memory == measured.fixed + 16 * measured.per_image


def test_memory_of_a_resumed_run_counts_the_optimizer_once(chain: Engine) -> None:
    before = estimate(chain)
    state = chain.objective(torch.rand(4, 1, 16, 16), torch.rand(4, 1, 16, 16))
    state[LOSS].backward()
    chain.optimizer.step()
    moments = 4 * 2 * before.parameters
    assert estimate(chain).fixed == pytest.approx(before.fixed - moments, abs=100)  # they are in the process by then


@pytest.mark.parametrize(
    ("fixed", "each", "batch_size", "timed"),
    [
        (0, 0.001, 64, [4, 16, 64]),
        (0, 0.001, 1000, [4, 16, 64, 256]),
        (0.2, 0.001, 400, [4, 16, 64]),  # an update of many weights: 0.6 s, not the 20 s of 100 batches of 4
        (3, 0.01, 64, [4, 16]),
        (0, 1, 64, [4, 16]),
        (0, 0.02, 3, [3]),
        (0, 0.02, 5, [4, 5]),
    ],
)
def test_time_goes_in_a_straight_line_through_those_of_small_batches(
    fixed: float, each: float, batch_size: int, timed: list[int]
) -> None:
    sizes: list[int] = []

    def of_size(size: int) -> float:
        sizes.append(size)
        return fixed + size * each

    assert module._seconds(of_size, batch_size) == pytest.approx(fixed + batch_size * each)
    assert sizes == timed


def test_a_larger_batch_that_was_faster_makes_no_negative_time() -> None:
    assert module._seconds({4: 0.5, 16: 0.4}.__getitem__, 1000) == 0.4


def test_time_is_measured_on_real_steps(chain: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial.time, "perf_counter", lambda: Chain.now)
    chain.objective.seconds_per_image = 0.002
    assert estimate(chain).seconds == pytest.approx(16 * 0.002)


def test_fewer_images_than_are_counted_are_repeated(experiment: Make) -> None:
    engine = experiment("dataset.count=5", "dataset.validation=3", "engine.batch_size=1")
    assert estimate(engine).seconds > 0


def test_a_part_that_cannot_be_copied_is_no_reason_not_to_train(
    experiment: Make, caplog: pytest.LogCaptureFixture
) -> None:
    engine = experiment()
    engine.objective.lock = threading.Lock()
    with caplog.at_level(logging.INFO):
        tell_size(engine)
    assert "parameters; memory and time are unknown: cannot pickle '_thread.lock' object" in caplog.text


def test_the_line_says_what_the_steps_left_will_take(experiment: Make, caplog: pytest.LogCaptureFixture) -> None:
    measured = Estimate(parameters=2_100_000, fixed=300 * MB, per_image=15.6 * MB, batch_size=64, seconds=0.2117)
    assert describe_estimate(measured, 10_000) == (
        "size  2.1 M parameters, about 1.3 GB of memory, about 0.21 s a step: 10,000 steps in 35.3 min"
    )
    small = Estimate(parameters=4_321, fixed=20 * MB, per_image=0, batch_size=1, seconds=0.00123)
    assert describe_estimate(small, 3) == (
        "size  4,321 parameters, about 20 MB of memory, about 0.0012 s a step: 3 steps in 0.0 s"
    )
    engine = experiment()
    engine.step = 7
    with caplog.at_level(logging.INFO):
        tell_size(engine)
    assert caplog.text.count("s a step: 5 steps in") == 1
    assert "warning" not in caplog.text


def test_what_does_not_fit_is_told_with_a_batch_that_would() -> None:
    measured = Estimate(parameters=1, fixed=1000 * MB, per_image=100 * MB, batch_size=64, seconds=1)
    assert measured.memory == 7400 * MB
    assert too_large(measured, 7400 * MB) is None
    assert too_large(measured, None) is None
    assert too_large(measured, 4050 * MB) == (
        "this will hardly fit into memory, 4.0 GB in all; engine.batch_size=30 would fit"
    )
    assert too_large(measured, 900 * MB) == (
        "this will hardly fit into memory, 900 MB in all; take a smaller model or smaller images"
    )


def test_a_run_that_does_not_fit_is_warned_of(
    experiment: Make, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "memory_room", lambda device: MB)
    with logging_to(tmp_path / "train.log"):
        tell_size(experiment())
    line = "this will hardly fit into memory, 1 MB in all; take a smaller model or smaller images"
    assert capsys.readouterr().out.splitlines()[-1] == f"warning: {line}"
    assert (tmp_path / "train.log").read_text().endswith(f" WARNING {line}\n")


def test_the_machine_has_room_for_this_very_process() -> None:
    held = module._present_memory(torch.device("cpu"))
    assert 50 * MB < held < memory_room(torch.device("cpu"))


def test_the_room_is_that_of_the_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(f"{300 * MB}\n")
    monkeypatch.setattr(parallel, "_CGROUP_LIMIT", limit)
    assert memory_room(torch.device("cpu")) == 300 * MB


def test_a_copied_part_holds_the_same_keys(experiment: Make) -> None:
    divergence = experiment().objective.divergences[0]
    assert copy.deepcopy(divergence).keys["input"] is posterior_key(0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_memory_on_a_gpu_is_near_the_measured_peak(experiment: Make) -> None:
    engine = experiment("engine.device=cuda", "engine.batch_size=128", "dataset.size=64", "dataset.channels=3")
    measured = estimate(engine)
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        engine.train_step()
    assert measured.memory == pytest.approx(torch.cuda.max_memory_allocated(), rel=0.4)
