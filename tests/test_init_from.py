"""`init_from=RUN`: a run that begins with the weights of another one."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import TOY
from test_cli import Run, toy, vae_train
from torch import Tensor

from vae_runner.auto_encoder import VAE, as_sample
from vae_runner.checkpoint import load_checkpoint
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.inheritance import Inherited, Source, inherit, source_fault
from vae_runner.state import State

__all__ = ["vae_train"]  # a fixture

ROTATION = torch.linalg.qr(torch.randn(10, 10, generator=torch.Generator().manual_seed(3)))[0]
Beginning = Callable[..., tuple[Engine, Inherited, list[str]]]


@pytest.fixture
def beginning(experiment: Callable[..., Engine], compose: Callable[..., Any]) -> Beginning:
    """beginning(source's settings, own settings) -> the engine that has begun so, what it took, what is said."""

    def config_of(settings: tuple[str, ...]) -> dict[str, Any]:
        return check(compose(*TOY, *settings))[0]

    def make(theirs: tuple[str, ...], ours: tuple[str, ...], change: Mapping[str, Tensor] | None = None) -> Any:
        weights = {**experiment("seed=1", *theirs).objective.model.state_dict(), **(change or {})}
        source = Source(Path("runs/first/checkpoints/best.pt"), 40, config_of(theirs), weights)
        engine, config = experiment("seed=2", *ours), config_of(ours)
        found = inherit(engine.objective, config, source)
        return engine, found, list(found.lines(config))

    return make


def weights_of(experiment: Callable[..., Engine], *settings: str) -> dict[str, Tensor]:
    return experiment(*settings).objective.model.state_dict()


def test_all_weights_are_taken_where_the_model_is_the_same(beginning: Beginning, experiment: Any) -> None:
    engine, found, lines = beginning((), ("divergence.beta=9",))
    expected = weights_of(experiment, "seed=1")
    for name, value in engine.objective.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert (found.drawn, found.unused, engine.step) == ({}, [], 0)
    assert not engine.optimizer.state
    assert lines == [
        "init  weights of runs/first, best.pt of step 40: encoder 8 of 8, head 2 of 2, decoder 10 of 10 tensors"
    ]


def test_tensors_of_another_shape_are_drawn_as_ever_and_named(beginning: Beginning, experiment: Any) -> None:
    engine, found, lines = beginning((), ("distribution.dims=12",))
    theirs, fresh = weights_of(experiment, "seed=1"), weights_of(experiment, "seed=2", "distribution.dims=12")
    assert set(found.drawn) == {"head.weight", "head.bias", "decoder.layers.0.weight"}
    for name, value in engine.objective.model.state_dict().items():
        if not name.startswith("spaces."):
            assert torch.equal(value, (fresh if name in found.drawn else theirs)[name]), name
    assert "init  not taken, but drawn: head.weight: it has 24x256 here and had 20x256" in lines


def test_a_part_of_another_class_is_not_taken_though_shapes_may_be_the_same(beginning: Beginning) -> None:
    _, found, lines = beginning(("architecture=conv",), ("architecture=conv", "architecture/decoder=mlp"))
    assert all(name.startswith("decoder.") for name in found.drawn)
    assert lines[1:] == ["init  not taken, but drawn: decoder: architecture.decoder is MLPDecoder and was ConvDecoder"]


def test_of_a_run_of_another_architecture_nothing_fits(beginning: Beginning) -> None:
    with pytest.raises(UserError, match=r"init_from=runs/first: nothing of its networks fits; encoder\.layers.*: arch"):
        beginning((), ("architecture=mlp",))
    wide, narrow = ([f"architecture.{part}.hidden=[{width}]" for part in ("encoder", "decoder")] for width in "37")
    with pytest.raises(UserError, match=r"nothing of its networks fits; .*: it has 7x144 here and had 3x256"):
        beginning(("architecture=mlp", *wide), ("architecture=mlp", *narrow, "dataset.size=12", "distribution.dims=4"))


def test_a_fixed_prior_is_what_the_config_says(beginning: Beginning) -> None:
    engine, _, _ = beginning(("distribution.prior.mu=2",), ("distribution.prior.mu=1",))
    (prior,) = engine.objective.model.priors()
    assert torch.equal(prior.mean, torch.ones(10))


def test_what_a_prior_has_learned_is_taken(beginning: Beginning, experiment: Any) -> None:
    learned = ("distribution/prior=mixture", "divergence.samples=4")
    engine, found, _ = beginning(learned, learned)
    expected = weights_of(experiment, "seed=1", *learned)
    names = [name for name in expected if ".learned." in name]
    assert names
    assert set(names) <= set(found.taken)
    for name in names:
        assert torch.equal(engine.objective.model.state_dict()[name], expected[name])


def through(model: VAE, x: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model.decode(as_sample(model.codes(x)))


@pytest.mark.parametrize("ours", ["normal_aligned", "normal"])
def test_a_turned_model_gives_the_same_images_whether_its_frame_is_taken_or_left(
    ours: str, beginning: Beginning, experiment: Any
) -> None:
    turned = {"spaces.0.frame": ROTATION}
    engine, _, lines = beginning(("distribution=normal_aligned",), (f"distribution={ours}",), turned)
    model = engine.objective.model
    source = experiment("seed=1", "distribution=normal_aligned").objective.model
    source.spaces[0].frame.copy_(ROTATION)
    x = engine.validation.batch(torch.arange(5))
    torch.testing.assert_close(through(model, x), through(source, x))
    if ours == "normal_aligned":
        assert torch.equal(model.spaces[0].frame, ROTATION)
        torch.testing.assert_close(model.codes(x), source.codes(x))
    else:
        assert lines[1] == "init  not taken: spaces.0.frame: this distribution keeps none; latents are unturned"


def test_numbers_that_mean_something_else_are_named(beginning: Beginning) -> None:
    _, _, lines = beginning((), ("likelihood=gaussian", "distribution=laplace"))
    assert lines[1:] == [
        "init  likelihood is Gaussian and was Bernoulli: what the decoder gives means something else now",
        "init  distribution is LaplaceSpace and was NormalSpace: what the encoder gives may mean something else now",
    ]


@pytest.mark.parametrize("name", ["nowhere", "", "\x00", "a" * 5000, "~nobody-of-that-name/x"])
def test_what_is_no_run_is_told_in_a_line(name: str) -> None:
    fault = source_fault(name)
    assert fault is not None
    assert fault.startswith("init_from=")
    assert "give the folder of a run" in fault
    assert "\n" not in fault
    assert len(fault) < 600


def weights(run: str) -> dict[str, Tensor]:
    return load_checkpoint(Path(run, "checkpoints/last.pt"))["objective"]


QUICK = ("visualisation=[data]", "engine.progress=false", "trust=true")


@pytest.mark.slow
def test_a_run_that_began_with_anothers_weights_goes_on_to_the_bit_when_that_one_is_gone(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vae_train(*toy(*QUICK, "hydra.run.dir=first"))[0] == 0
    config = yaml.safe_load(Path("first/config.yaml").read_text())
    Path("first/config.yaml").write_text(yaml.safe_dump({**config, "likelihood": {"_target_": "os.system"}}))
    begin = toy(*QUICK, "init_from=outputs/latest", "divergence.beta=9", "engine.steps=6")
    assert vae_train(*begin, "hydra.run.dir=unbroken")[0] == 0
    (inside / "outputs/latest").unlink()
    (inside / "outputs/latest").symlink_to(inside / "first")
    step = Engine.train_step

    def failing(self: Engine) -> State:
        if self.step == 2:
            raise RuntimeError("the machine is gone")
        return step(self)

    monkeypatch.setattr(Engine, "train_step", failing)
    code, screen, _ = vae_train(*begin, "hydra.run.dir=broken")
    assert code == 1
    assert "init  weights of first, best.pt of step 12: encoder 8 of 8" in screen
    monkeypatch.setattr(Engine, "train_step", step)
    first = weights("first")
    for name, value in weights("broken").items():  # of step 0
        if name.startswith("model."):
            assert torch.equal(value, first[name]), name
    known = json.loads(Path("broken/environment.json").read_text())["init_from"]
    shutil.rmtree("first")
    code, _, errors = vae_train("resume=broken", "trust=true", "init_from=unbroken")
    assert (code, "init_from cannot be set on resume" in errors) == (2, True)
    code, screen, errors = vae_train("resume=broken", "trust=true")
    assert (code, "going on from step 0" in screen, "init " in screen) == (0, True, False), errors
    for name, value in weights("unbroken").items():
        assert torch.equal(value, weights("broken")[name]), name
    assert json.loads(Path("broken/environment.json").read_text())["init_from"] == known
    assert known["checkpoint"] == str(inside.resolve() / "first/checkpoints/best.pt")
    assert known["step"] == 12
    assert len(known["taken"]) == 20
    assert yaml.safe_load(Path("broken/config.yaml").read_text())["init_from"] == str(inside.resolve() / "first")


@pytest.mark.slow
def test_each_job_of_a_sweep_begins_with_the_run_that_it_names(vae_train: Run, inside: Path) -> None:
    for seed in (1, 2):
        assert vae_train(*toy(*QUICK, f"seed={seed}", f"hydra.run.dir=run{seed}"))[0] == 0
    code, _, errors = vae_train(*toy(*QUICK, "--multirun", "init_from=run1,nowhere"))
    assert (code, "init_from=nowhere: no run there" in errors) == (2, True)
    assert not Path("multirun").exists()
    jobs = toy(*QUICK, "--multirun", "init_from=run1,run2", "engine.steps=1", "optimizer.lr=1e-9")
    assert vae_train(*jobs, "hydra.sweep.dir=sweep")[0] == 0
    for number in (1, 2):
        (job,) = Path("sweep").glob(f"{number - 1}-*")
        for name, value in load_checkpoint(Path(f"run{number}/checkpoints/best.pt"))["objective"].items():
            if name.startswith("model."):
                torch.testing.assert_close(weights(str(job))[name], value, atol=1e-6, rtol=0)
