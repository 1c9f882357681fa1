import hashlib
import json
import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vae_runner.callbacks import AfterPictures, Callback
from vae_runner.callbacks.outcome import Status
from vae_runner.datasets.split import EpochOrder, SplitConfig, split
from vae_runner.engine import Engine, EngineConfig, Interrupted, choose_device, choose_precision
from vae_runner.engine.step_values import StepValues
from vae_runner.errors import RunError, UserError
from vae_runner.experiment.signals import StopSignals
from vae_runner.randomness import isolated, permutation, seed_for
from vae_runner.schedule import Constant, Schedule
from vae_runner.state import LOSS, METRICS, X

Make = Callable[..., Engine]


def weights(engine: Engine) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in engine.objective.state_dict().items()}


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def without_times(file: Path) -> list[dict]:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in ("seconds", "images_per_second")} for record in records]


class Stop(Callback):
    """Asks the engine to stop after a step."""

    def __init__(self, engine: Engine, step: int) -> None:
        engine.stop_signal = lambda: signal.SIGTERM if engine.step == step else None


@pytest.mark.slow
def test_training_lowers_the_loss_to_what_the_data_allow(experiment: Make) -> None:
    deep = [f"architecture.{part}.channels=[32,32,32,32]" for part in ("encoder", "decoder")]  # logits that start small
    engine = experiment("engine.steps=300", "divergence=kl", "optimizer.lr=2e-3", *deep)
    before = engine.validate()["neg_elbo"]
    after = engine.run()["neg_elbo"]
    assert before == pytest.approx(256 * math.log(2), rel=0.1)
    images = engine.train.data.images
    mean = images.mean(0).clamp(1e-6, 1 - 1e-6)
    best_without_latents = -(images * mean.log() + (1 - images) * (1 - mean).log()).sum((1, 2, 3)).mean()
    assert after < best_without_latents


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [5, 10, 15])
def test_a_resumed_run_equals_the_unbroken_one_to_the_bit(experiment: Make, tmp_path: Path, stop_at: int) -> None:
    # an epoch is 10 steps: within the first epoch, between two, and within the second
    overrides = (
        "engine.steps=24",
        "divergence=capacity",
        "divergence.capacity.steps=20",
        "lr_schedule=cosine",
        "engine.log_every=4",
        "engine.picture_every=6",
        "engine.validate_every=7",
        "engine.checkpoint_every=100",
        "engine.clip_norm=5",
    )
    unbroken = experiment(*overrides, folder=tmp_path / "unbroken")
    unbroken.run()
    broken = experiment(*overrides, folder=tmp_path / "broken")
    broken.callbacks.append(Stop(broken, stop_at))
    with pytest.raises(Interrupted) as stopped:
        broken.run()
    assert (stopped.value.step, stopped.value.number) == (stop_at, signal.SIGTERM)
    resumed = experiment(*overrides, folder=tmp_path / "broken")
    resumed.load_state_dict(torch.load(tmp_path / "broken/checkpoints/last.pt", weights_only=True))
    assert resumed.step == stop_at
    resumed.run()
    assert_equal(weights(resumed), weights(unbroken))
    for name in ("metrics.jsonl",):
        assert without_times(tmp_path / "broken" / name) == without_times(tmp_path / "unbroken" / name)
    assert (tmp_path / "broken/epochs.csv").read_text() == (tmp_path / "unbroken/epochs.csv").read_text()
    grids = sorted(path.relative_to(tmp_path / "unbroken") for path in (tmp_path / "unbroken/grids").rglob("*.*"))
    assert len(grids) == 60 + 4 + 4  # 6 pictures and their details, newest and 4 in the history; 2 more; 4 as SVG
    grids += [path.relative_to(tmp_path / "unbroken") for path in (tmp_path / "unbroken/animations").iterdir()]
    assert len(grids) == 68 + 4  # traversal and training, and their details
    for grid in grids:
        assert (tmp_path / "broken" / grid).read_bytes() == (tmp_path / "unbroken" / grid).read_bytes(), grid


def test_each_step_has_its_own_rate_and_seed_whichever_is_asked_for_first() -> None:
    asked: list[int] = []

    class Table(Schedule):  # ends with the run
        def __call__(self, step: Tensor) -> Tensor:
            asked.append(int(step))
            return torch.tensor([1 / (n + 3) for n in range(300)])[step]

    table, ahead = Table(), StepValues(seed=7)
    for step in [0, 1, 2, *range(120, 300), 4, 299]:
        digest = hashlib.sha256(f"7/step/{step}".encode()).digest()
        expected = float(torch.tensor(1 / (step + 3))), int.from_bytes(digest[:8], "big") >> 1
        assert ahead.at(step, 300, table) == expected
    assert max(asked) == 299
    assert ahead.at(299, 300, Constant(0.5))[0] == 0.5
    assert ahead.at(300, 300, Constant(0.5))[0] == 0.5  # past the end, since it was asked for


def test_images_are_announced_once_and_in_time(experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = experiment("engine.steps=12")
    events: list[tuple[str, tuple[int, ...]]] = []
    batch = engine.train.batch
    monkeypatch.setattr(engine.train, "expect", lambda where: events.append(("expect", tuple(where.tolist()))))
    monkeypatch.setattr(
        engine.train, "batch", lambda where: events.append(("batch", tuple(where.tolist()))) or batch(where)
    )
    start = engine.state_dict()
    for _ in range(2):
        for _ in range(12):
            engine.train_step()
        batches = [tuple(engine.order.positions(step).tolist()) for step in range(12)]
        assert [where for kind, where in events if kind == "expect"] == batches
        assert [where for kind, where in events if kind == "batch"] == batches
        announced = [events[: events.index(("batch", where))].count(("expect", where)) for where in batches]
        assert announced == [1] * 12
        events.clear()
        engine.load_state_dict(start)  # from the start again


@pytest.mark.slow
def test_a_run_killed_after_its_checkpoint_forgets_what_it_wrote_since(experiment: Make, tmp_path: Path) -> None:
    overrides = ("engine.steps=20", "engine.log_every=2", "engine.checkpoint_every=8", "engine.validate_every=3")
    experiment(*overrides, folder=tmp_path / "unbroken").run()

    class Kill(Callback):
        def on_step(self, engine: Engine, state: dict) -> None:
            if engine.step == 13:
                raise SystemExit

    killed = experiment(*overrides, folder=tmp_path / "killed")
    killed.callbacks.append(Kill())
    with pytest.raises(SystemExit):
        killed.run()
    resumed = experiment(*overrides, folder=tmp_path / "killed")
    resumed.load_state_dict(torch.load(tmp_path / "killed/checkpoints/last.pt", weights_only=True))
    assert resumed.step == 8
    resumed.run()
    assert without_times(tmp_path / "killed/metrics.jsonl") == without_times(tmp_path / "unbroken/metrics.jsonl")
    assert (tmp_path / "killed/epochs.csv").read_text() == (tmp_path / "unbroken/epochs.csv").read_text()


@pytest.mark.slow
def test_pictures_logs_and_checkpoints_change_nothing_of_the_training(experiment: Make, tmp_path: Path) -> None:
    # W2: the original drew in training mode, from the global generator
    often = ("engine.picture_every=1", "engine.checkpoint_every=1", "engine.validate_every=1")
    watched, alone = experiment(*often, folder=tmp_path), experiment("visualisation=[]")
    watched.run()
    alone.run()
    assert (tmp_path / "grids/history/traversal-0000012.png").exists()
    assert_equal(weights(watched), weights(alone))


def test_seeds_make_runs_and_the_same_seed_the_same_run(experiment: Make) -> None:
    first, again, other = (experiment(f"seed={seed}") for seed in (1, 1, 2))
    for engine in (first, again, other):
        engine.run()
    assert_equal(weights(first), weights(again))
    assert not torch.equal(first.objective.model.head.weight, other.objective.model.head.weight)


@pytest.mark.slow
def test_a_run_leaves_the_globals_as_they_were(experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    experiment("engine.threads=2").run()
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.backends.cudnn.deterministic
    assert torch.backends.cudnn.allow_tf32


def test_float32_is_float32_on_a_gpu_too(experiment: Make) -> None:
    with experiment().session():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("before", [False, True])
def test_numbers_that_are_no_normal_ones_are_0_while_a_run_trains(experiment: Make, before: bool) -> None:
    def smallest() -> Tensor:
        return torch.full((70_000,), 1e-38) / 4  # of several threads, where there are some

    try:
        if not torch.set_flush_denormal(before):
            pytest.skip("this processor cannot be told to take them for 0")
        with experiment("engine.threads=2").session():
            assert not smallest().any()
        assert bool(smallest().any()) is not before
    finally:
        torch.set_flush_denormal(False)


def test_validation_covers_the_whole_split_and_moves_nothing(experiment: Make) -> None:
    engine = experiment("engine.batch_size=17", "divergence=capacity")  # 40 images: the last batch holds 6
    before = weights(engine)
    first, second = engine.validate(), engine.validate()
    assert first == second
    assert_equal(weights(engine), before)  # the schedule's step among them
    x = engine.validation.batch(torch.arange(40))
    engine.objective.eval()
    with torch.no_grad():
        kl = sum(
            torch.distributions.kl_divergence(q, p).sum()
            for q, p in zip(engine.objective.model.posteriors(x), engine.objective.model.priors(), strict=True)
        )
    assert first["kl"] == pytest.approx(kl.item() / 40, rel=1e-5)
    assert first["neg_elbo"] == pytest.approx(first["recon"] + first["kl"])


def test_the_metrics_are_those_of_the_steps(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("engine.log_every=5", "engine.steps=10", folder=tmp_path)
    seen: list[dict[str, Tensor]] = []

    class Keep(Callback):
        def on_step(self, engine: Engine, state: dict) -> None:
            seen.append(dict(state[METRICS]))
            assert state[LOSS].item() == pytest.approx(
                state[METRICS]["recon"].item() + 4 * state[METRICS]["kl"].item(), rel=1e-5
            )

    engine.callbacks.append(Keep())
    engine.run()
    records = [record for record in without_times(tmp_path / "metrics.jsonl") if record["split"] == "train"]
    assert [record["step"] for record in records] == [1, 5, 10]
    assert "images_per_second" not in records[0]  # much is made in the first step that others find
    assert records[0]["recon"] == pytest.approx(float(seen[0]["recon"]), rel=1e-6)
    assert records[1]["recon"] == pytest.approx(sum(float(m["recon"]) for m in seen[1:5]) / 4, rel=1e-6)
    expected = torch.stack([metrics["kl_dims"] for metrics in seen[5:]]).mean(0)
    assert records[2]["kl_dims"] == pytest.approx(expected.tolist(), rel=1e-5)
    assert records[2]["beta"] == 4
    assert records[2]["recon"] == pytest.approx(sum(float(m["recon"]) for m in seen[5:]) / 5, rel=1e-6)


def test_a_slow_run_says_its_loss_and_that_it_is_alive_behind_every_step(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("progress.SECONDS", "progress.FIRST", "outcome.SECONDS"):  # as if each step took that long
        monkeypatch.setattr(f"vae_runner.callbacks.{name}", 0)
    caplog.set_level("INFO", "vae_runner")
    engine = experiment("engine.log_every=50", "engine.validate_every=50", "engine.steps=4", folder=tmp_path)
    seen = []

    class Look(Callback):
        def on_step_end(self, engine: Engine, state: dict) -> None:
            seen.append((float(state[METRICS]["loss"]), json.loads((tmp_path / "status.json").read_text())["step"]))

    engine.callbacks.insert(0, Status(tmp_path))
    engine.callbacks[0].write("running")
    engine.callbacks.append(Look())
    engine.run()
    told = [line for line in caplog.messages if line.startswith("step ")]
    assert [line.split(",")[0] for line in told] == [
        f"step {step} of 4: loss {loss:.1f}" for step, (loss, _) in enumerate(seen[:3], 1)
    ]
    assert [step for _, step in seen] == [1, 2, 3, 4]


def test_the_first_page_is_that_of_step_0(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("engine.steps=1", folder=tmp_path)
    pages = []

    class Look(Callback):
        def on_step(self, engine: Engine, state: dict) -> None:
            for callback in engine.callbacks:
                if isinstance(callback, AfterPictures):
                    callback.writer.flush()
            pages.append((tmp_path / "report.html").read_text())

    engine.callbacks.append(Look())
    engine.run()
    assert "validation at step 0" in pages[0]


def test_the_capacity_of_a_step_is_that_of_burgess_2018(experiment: Make) -> None:
    engine = experiment("divergence=capacity", "divergence.capacity.steps=10", "divergence.capacity.end=5")
    for step in range(12):
        state = engine.train_step()
        metrics = state[METRICS]
        capacity = min(0.5 * step, 5)
        assert metrics["divergence"].item() == pytest.approx(1000 * abs(metrics["kl"].item() - capacity), rel=1e-4)


def test_the_learning_rate_follows_its_schedule(experiment: Make) -> None:
    engine = experiment("lr_schedule=linear", "engine.steps=4", "optimizer.lr=0.01")
    rates = []
    for _ in range(4):
        engine.train_step()
        rates.append(engine.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025])


def test_gradients_are_clipped_to_the_norm(experiment: Make) -> None:
    engine = experiment("engine.clip_norm=0.001")
    engine.train_step()
    norm = torch.stack([p.grad.norm() for p in engine.objective.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(0.001, rel=1e-3)


def test_a_loss_that_is_not_finite_stops_before_the_update(experiment: Make) -> None:
    engine = experiment()
    engine.train_step()
    engine.train.data.images = engine.train.data.images * math.nan
    before = weights(engine)
    with pytest.raises(RunError, match=r"loss is nan at step 1 \(kl nan.*recon nan\); stopped before the update"):
        engine.train_step()
    assert_equal(weights(engine), before)


def test_weights_that_are_lost_are_never_saved(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("engine.steps=8", "engine.checkpoint_every=4", folder=tmp_path)

    class Poison(Callback):
        def on_step(self, engine: Engine, state: dict) -> None:
            if engine.step == 8:  # as a gradient that is not finite behind a loss that is
                engine.objective.model.head.weight.data[0, 0] = math.nan

    engine.callbacks.insert(0, Poison())
    with pytest.raises(RunError, match=r"model\.head\.weight is not finite at step 8"):
        engine.run()
    assert torch.load(tmp_path / "checkpoints/last.pt", weights_only=True)["step"] == 4


def test_epochs_are_as_many_steps_as_whole_batches_fit(experiment: Make) -> None:
    engine = experiment("engine.steps=null", "engine.epochs=2", "engine.batch_size=50")
    assert engine.total_steps == 2 * (160 // 50)


def test_bf16_trains_the_same_weights_in_fp32(experiment: Make) -> None:
    engine = experiment("engine.precision=bf16")
    state = engine.train_step()
    assert state[LOSS].dtype == torch.float32
    assert all(parameter.dtype == torch.float32 for parameter in engine.objective.parameters())
    exact = experiment("engine.precision=fp32").train_step()
    assert state[LOSS].item() == pytest.approx(exact[LOSS].item(), rel=1e-2)
    assert state[LOSS].item() != exact[LOSS].item()


def test_a_checkpoint_of_another_model_is_one_line(experiment: Make) -> None:
    with pytest.raises(UserError, match="the checkpoint is of another model than the config: size mismatch"):
        experiment("distribution.dims=20").load_state_dict(experiment().state_dict())


def test_steps_or_epochs_but_not_both() -> None:
    for arguments in ({"steps": 3, "epochs": 3}, {"steps": None, "epochs": None}):
        with pytest.raises(ValueError, match=r"either engine\.steps or engine\.epochs"):
            EngineConfig(**arguments)
    with pytest.raises(ValueError, match="batch_size must be positive, got 0"):
        EngineConfig(batch_size=0)


def test_a_stop_at_once_names_its_signal_and_claims_no_step() -> None:
    signals = StopSignals()
    with signals.listening():
        signals.defer()
        signal.raise_signal(signal.SIGTERM)  # kept for the end of the step
        with pytest.raises(Interrupted) as stopped:
            signal.raise_signal(signal.SIGTERM)
    assert (str(stopped.value), stopped.value.step) == ("SIGTERM", 0)


def test_a_limit_holds_for_a_set_with_a_split_of_its_own() -> None:
    class Halves:
        def __len__(self) -> int:
            return 100

        def gather(self, indices: Tensor) -> Tensor:
            return torch.zeros(len(indices), 1, 16, 16)

        def own_split(self) -> tuple[Tensor, Tensor]:
            return torch.arange(50), torch.arange(50, 100)

    train, held, test = split(Halves(), SplitConfig(validation=None, limit=20))
    assert (len(train) + len(held), len(test)) == (20, 0)
    assert max(train.indices) < 50 <= min(held.indices)
    again, *_ = split(Halves(), SplitConfig(validation=3, limit=20))
    assert torch.equal(again.indices, train.indices)


def test_the_device_must_be_there() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="device: expected one of auto, cpu, cuda, got 'cuda:1'; CUDA_VISIBLE_DEVICES"):
        choose_device("cuda:1")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"engine\.device=cuda but torch sees no GPU; engine\.device=cpu works"):
            choose_device("cuda")


def test_precision_auto_is_bf16_only_in_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": False}, raising=False)
    assert choose_precision("auto", cpu) == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert choose_precision("auto", cpu) == "fp32"
    assert choose_precision("bf16", cpu) == "bf16"


def test_the_steps_that_adam_counts_on_the_cpu_stay_there_when_they_are_loaded(experiment: Make) -> None:
    scale = torch.nn.Parameter(torch.zeros((), device="meta"))  # as a learned scale on a GPU
    engine = experiment()
    engine.optimizer = torch.optim.Adam([scale])
    moments = {name: torch.zeros((), device="meta") for name in ("exp_avg", "exp_avg_sq")}
    engine.optimizer.state[scale] = {"step": torch.tensor(3.0), **moments}
    engine.training_step.arrange()
    assert engine.optimizer.state[scale]["step"].device.type == "cpu"
    assert float(engine.optimizer.state[scale]["step"]) == 3


def test_every_image_comes_once_in_an_epoch_and_in_another_order_in_the_next() -> None:
    order = EpochOrder(size=10, batch_size=5, seed=3)
    epochs = [torch.cat([order.positions(step) for step in (2 * epoch, 2 * epoch + 1)]) for epoch in range(2)]
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(10))
    assert epochs[0].tolist() != epochs[1].tolist()
    assert torch.equal(EpochOrder(10, 5, seed=3).positions(3), order.positions(3))
    assert not torch.equal(EpochOrder(10, 5, seed=4).positions(3), order.positions(3))


def test_a_batch_larger_than_the_data_is_one_line(experiment: Make) -> None:
    with pytest.raises(UserError, match=r"engine\.batch_size=161 but only 160 images to train on"):
        experiment("engine.batch_size=161")


def test_the_split_is_disjoint_whole_and_by_its_own_seed(experiment: Make) -> None:
    data = experiment().train.data
    train, validation, test = split(data, SplitConfig(validation=0.25))
    assert (len(train), len(validation), len(test)) == (150, 50, 0)
    assert sorted([*train.indices.tolist(), *validation.indices.tolist()]) == list(range(200))
    again = split(data, SplitConfig(validation=0.25))[1]
    other = split(data, SplitConfig(validation=0.25, split_seed=1))[1]
    assert torch.equal(validation.indices, again.indices)
    assert not torch.equal(validation.indices, other.indices)
    limited, held, _ = split(data, SplitConfig(validation=10, limit=50))
    assert (len(limited), len(held)) == (40, 10)
    assert torch.equal(limited.batch(torch.tensor([3])), data.gather(limited.indices[3:4]))


EACH = "; dataset.validation=0.1 dataset.test=0.1 leave some of each"
FOR_TWO = "; dataset.validation=0.1 leaves some of each"


@pytest.mark.parametrize(
    ("validation", "test", "words"),
    [
        (200, 0, f"dataset.validation=200 of 200 images leaves nothing to train on{FOR_TWO}"),
        (0.001, 0, f"dataset.validation=0.001 of 200 images leaves nothing to validate{FOR_TWO}"),
        (0.001, 0.5, f"dataset.validation=0.001 of 200 images leaves nothing to validate{EACH}"),
        (0.5, 0.5, f"dataset.validation=0.5 and dataset.test=0.5 of 200 images leave nothing to train on{EACH}"),
        (150, 1000, f"dataset.validation=150 and dataset.test=1000 of 200 images leave nothing to train on{EACH}"),
        (10, 0.001, "dataset.test=0.001 of 200 images leaves nothing to test; dataset.test=0 does without"),
    ],
)
def test_an_empty_part_is_one_line(experiment: Make, validation: float, test: float, words: str) -> None:
    with pytest.raises(UserError) as told:
        split(experiment().train.data, SplitConfig(validation=validation, test=test))
    assert str(told.value) == words


@pytest.mark.parametrize("limit", [10, 40, 199])
def test_what_is_advised_where_a_part_is_empty_leaves_images_in_each(experiment: Make, limit: int) -> None:
    data, large = experiment().train.data, SplitConfig(limit=limit, validation=2000, test=0.1)
    with pytest.raises(UserError) as told:
        split(data, large)
    assert str(told.value).endswith(f"nothing to train on{EACH}, and so may a larger dataset.limit")
    assert all(map(len, split(data, replace(large, validation=0.1, test=0.1))))


def test_of_few_images_more_are_asked_for(experiment: Make) -> None:
    data, few = experiment().train.data, SplitConfig(limit=3, validation=0.1, test=0.1)
    with pytest.raises(UserError) as told:
        split(data, few)
    assert str(told.value).endswith("; give dataset.limit=100 or more")
    assert all(map(len, split(data, replace(few, limit=100))))


@pytest.mark.parametrize("validation", [0, -1, 1.5])
def test_what_is_no_part_and_no_count_is_refused(validation: float) -> None:
    with pytest.raises(ValueError, match="validation must be a part below 1 or a count"):
        SplitConfig(validation=validation)
    if validation:
        with pytest.raises(ValueError, match="test must be a part below 1, a count of images, or 0 for none"):
            SplitConfig(test=validation)


def test_a_test_part_is_taken_of_the_training_images_and_leaves_the_others_where_they_were(experiment: Make) -> None:
    data = experiment().train.data
    before, parts = split(data, SplitConfig(validation=30)), split(data, SplitConfig(validation=30, test=0.1))
    assert [len(part) for part in parts] == [150, 30, 20]
    assert torch.equal(parts.validation.indices, before.validation.indices)
    assert sorted(torch.cat([part.indices for part in parts]).tolist()) == list(range(200))
    assert {*parts.test.indices.tolist()} < {*before.train.indices.tolist()}
    again, other = (split(data, SplitConfig(validation=30, test=20, split_seed=seed)).test for seed in (0, 1))
    assert torch.equal(again.indices, parts.test.indices)
    assert not torch.equal(other.indices, parts.test.indices)


@pytest.mark.parametrize(
    ("own", "settings", "sizes"),
    [
        ("train validation", {"validation": None}, (60, 20, 0)),
        ("train validation", {"validation": 5, "test": 0.1}, (54, 5, 6)),
        ("train validation", {"validation": None, "test": None}, (54, 20, 6)),
        ("train validation test", {"validation": None}, (60, 20, 0)),
        ("train validation test", {"validation": None, "test": None}, (60, 20, 20)),
        ("train validation test", {"validation": 0.5, "test": 7}, (60, 10, 7)),
        ("train test", {"validation": 0.1, "test": None}, (54, 6, 20)),
        ("train test", {"validation": 0.1, "test": 0.5}, (54, 6, 10)),
        ("train test", {"validation": None}, (60, 20, 0)),  # as of runs before there was a test part
        ("train test", {"validation": 0.1}, (60, 2, 0)),
    ],
)
def test_the_parts_that_a_set_brings_are_used_and_others_are_taken_of_its_training_images(
    own: str, settings: dict[str, float | None], sizes: tuple[int, int, int]
) -> None:
    every = torch.arange(100)
    brought = {"train": every[:60], "validation": every[60:80], "test": every[80:]}

    class Own:
        def __len__(self) -> int:
            return 100

        def gather(self, indices: Tensor) -> Tensor:
            return torch.zeros(len(indices), 1, 16, 16)

        def own_split(self) -> list[Tensor | None]:
            parts = [brought[name] if name in own.split() else None for name in brought]
            return parts[: 3 if "test" in own else 2]

    parts = split(Own(), SplitConfig(**settings))
    assert tuple(map(len, parts)) == sizes
    assert len(torch.cat([part.indices for part in parts]).unique()) == sum(sizes)
    assert max(parts.train.indices) < 60
    if own == "train test" and not len(parts.test):
        assert min(parts.validation.indices) >= 80
    if "test" in own and len(parts.test):
        assert min(parts.test.indices) >= 80
    if own == "train test" and len(parts.test):
        assert max(parts.validation.indices) < 60


def test_seeds_are_functions_of_seed_purpose_and_number() -> None:
    seeds = {seed_for(seed, purpose, number) for seed in (0, 1) for purpose in "ab" for number in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for(0, "step", 7) == seed_for(0, "step", 7)
    assert permutation(100, 3).sort().values.tolist() == list(range(100))


def test_isolated_gives_a_known_generator_and_the_old_one_back() -> None:
    before = torch.random.get_rng_state()
    with isolated(7):
        first = torch.rand(2)
    with isolated(7):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_run_resumes_to_the_bit(experiment: Make, tmp_path: Path) -> None:
    overrides = ("engine.device=cuda", "engine.precision=auto", "divergence=capacity")
    unbroken = experiment(*overrides)
    unbroken.run()
    broken = experiment(*overrides, folder=tmp_path)
    broken.callbacks.append(Stop(broken, 5))
    with pytest.raises(Interrupted):
        broken.run()
    resumed = experiment(*overrides, folder=tmp_path)
    resumed.load_state_dict(torch.load(tmp_path / "checkpoints/last.pt", weights_only=True, map_location="cpu"))
    resumed.run()
    assert_equal(weights(resumed), weights(unbroken))
    assert resumed.train_step()[X].device.type == "cuda"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "validated"), [(5, [0, 5, 10, 15, 20, 25, 30]), (100, [0, 10, 20, 30]), (101, [0, 30])]
)
def test_an_epoch_has_a_validation_of_its_own_where_it_is_not_short(
    experiment: Make, tmp_path: Path, every: int, validated: list[int]
) -> None:
    engine = experiment("engine.steps=30", f"engine.validate_every={every}", "visualisation=[]", folder=tmp_path)
    assert engine.order.steps_per_epoch == 10
    engine.run()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["split"] == "validation"] == validated
