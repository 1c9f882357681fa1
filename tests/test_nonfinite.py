import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vae_runner.engine import Engine
from vae_runner.engine.finite import gradient_norm
from vae_runner.errors import RunError
from vae_runner.state import METRICS

Make = Callable[..., Engine]


def weights(engine: Engine) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in engine.objective.state_dict().items()}


def spoil_gradients(engine: Engine, steps: Sequence[int], value: float = math.nan) -> None:
    """One number of one gradient is `value` at these steps, while the loss stays as it is."""
    weight = engine.objective.model.head.weight

    def spoilt(gradient: Tensor) -> Tensor:
        if engine.step in steps:
            gradient = gradient.clone()
            gradient[0, 0] = value
        return gradient

    weight.register_hook(spoilt)


@pytest.mark.parametrize("clip", ["null", "5"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gradient_that_is_not_finite_stops_before_the_update(
    experiment: Make, clip: str, value: float, precision: str
) -> None:
    engine = experiment(f"engine.clip_norm={clip}", f"engine.precision={precision}")
    spoil_gradients(engine, [2], value)
    engine.train_step(), engine.train_step()
    before = weights(engine)
    with pytest.raises(
        RunError, match=rf"the gradient's norm is {value} at step 2 \(.*kl .*\); stopped before the upd"
    ):
        engine.train_step()
    after = weights(engine)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(math.isfinite(m["step"]) and m["exp_avg"].isfinite().all() for m in engine.optimizer.state.values())


def test_the_norm_is_that_of_all_gradients_together() -> None:
    parts = [
        torch.nn.Parameter(torch.zeros(2)),
        torch.nn.Parameter(torch.zeros(3, 1)),
        torch.nn.Parameter(torch.ones(1)),
    ]
    parts[0].grad, parts[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([[0.0], [4.0], [12.0]])
    assert float(gradient_norm([parts])) == 13
    assert float(gradient_norm([parts], largest=1.3)) == 13
    assert parts[1].grad.flatten().tolist() == pytest.approx([0, 0.4, 1.2])


def test_a_step_left_out_changes_no_weight_and_all_others_are_as_they_were(experiment: Make) -> None:
    # to leave out the first step is to start from the second one
    skipping = experiment("engine.on_nonfinite=skip", "divergence=capacity", "lr_schedule=cosine")
    spoil_gradients(skipping, [0])
    later = experiment("divergence=capacity", "lr_schedule=cosine")
    later.step = 1
    for divergence in later.objective.divergences:
        divergence.step += 1
    first = skipping.train_step()
    assert first[METRICS] == {}
    for _ in range(3):
        skipping.train_step(), later.train_step()
    one, other = weights(skipping), weights(later)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert skipping.skipped == 1


def test_sums_of_the_likelihood_do_not_take_up_a_loss_that_is_nan(experiment: Make) -> None:
    engine = experiment("engine.on_nonfinite=skip", "likelihood=gaussian_optimal")
    images = engine.train.data.images
    engine.train_step()
    engine.train.data.images = images * math.nan
    before = weights(engine)
    engine.train_step()
    after = weights(engine)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"divergences.0.step"}
    engine.train.data.images = images
    assert engine.train_step()[METRICS]["loss"].isfinite()


@pytest.mark.slow
def test_skips_are_counted_in_log_status_and_checkpoint(
    experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ("engine.on_nonfinite=skip", "engine.log_every=4", "engine.checkpoint_every=6", "visualisation=[]")
    engine = experiment(*settings, folder=tmp_path)
    spoil_gradients(engine, [1, 2, 7])
    engine.run()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    trained = [record for record in records if record["split"] == "train"]
    assert [record.get("skipped") for record in trained] == [None, 2, 3, 3]  # the first one is of step 1
    assert all(math.isfinite(record["loss"]) for record in trained)
    told = [message for message in caplog.messages if message.endswith("the step is left out")]
    assert len(told) == 3
    assert told[0].startswith("the gradient's norm is nan at step 1 (kl ")
    resumed = experiment(*settings, folder=tmp_path)
    resumed.load_state_dict(torch.load(tmp_path / "checkpoints/previous.pt", weights_only=True))
    assert (resumed.step, resumed.skipped) == (6, 2)
    spoil_gradients(resumed, [7])
    resumed.run()
    one, other = weights(engine), weights(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.skipped == 3


def test_ten_steps_in_a_row_may_be_left_out_and_no_more(experiment: Make) -> None:
    engine = experiment("engine.on_nonfinite=skip", "engine.steps=40")
    spoil_gradients(engine, range(3, 99))
    for _ in range(13):
        engine.train_step()
    with pytest.raises(RunError, match=r"at step 13 .*; stopped, since the 10 steps before it were left out too"):
        engine.train_step()


def test_a_hundredth_of_the_steps_may_be_left_out_and_ten(experiment: Make) -> None:
    engine = experiment("engine.on_nonfinite=skip", "engine.steps=40")
    spoil_gradients(engine, range(0, 99, 2))  # every other one: never two in a row
    for _ in range(20):
        engine.train_step()
    assert engine.skipped == 10
    with pytest.raises(RunError, match=r"at step 20 .*; stopped, since"):
        engine.train_step()


def test_moments_that_are_lost_are_never_saved(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("engine.steps=8", "engine.checkpoint_every=4", "visualisation=[]", folder=tmp_path)
    step = engine.train_step

    def poisoned() -> dict:
        state = step()
        if engine.step == 8:
            engine.optimizer.state[engine.objective.model.head.weight]["exp_avg_sq"][0, 0] = math.inf
        return state

    engine.train_step = poisoned
    with pytest.raises(RunError, match=r"the optimiser's exp_avg_sq of parameter \d+ is not finite at step 8"):
        engine.run()
    assert torch.load(tmp_path / "checkpoints/last.pt", weights_only=True)["step"] == 4


@pytest.mark.parametrize("due", ["log_every=7", "validate_every=7", "picture_every=7", "checkpoint_every=7", "steps=7"])
def test_where_nobody_waits_a_bad_step_is_told_before_anything_is_made_of_it(experiment: Make, due: str) -> None:
    engine = experiment(f"engine.{due}")
    engine.nonfinite.waits = False  # as on a GPU
    spoil_gradients(engine, [4])
    for _ in range(6):
        engine.train_step()
    with pytest.raises(RunError, match="the gradient's norm is nan at step 4; seen and stopped at step 6"):
        engine.train_step()


def test_where_nobody_waits_no_epoch_ends_with_a_bad_step(experiment: Make) -> None:
    engine = experiment("engine.steps=30", "engine.validate_every=100")
    engine.nonfinite.waits = False
    spoil_gradients(engine, [8])
    with pytest.raises(RunError, match="at step 8; seen and stopped at step 9"):
        engine.run()  # its epochs have 10 steps, and a validation each


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_stops_before_anything_is_written(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("engine.device=cuda", "engine.checkpoint_every=4", "engine.log_every=4", folder=tmp_path)
    spoil_gradients(engine, [5])
    with pytest.raises(RunError, match="the gradient's norm is nan at step 5; seen and stopped at step 7"):
        engine.run()
    assert torch.load(tmp_path / "checkpoints/last.pt", weights_only=True)["step"] == 4
