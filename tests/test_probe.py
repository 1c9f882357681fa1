"""One batch and one decoding before the first step: whichever part does not fit is told by its name."""

import copy
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import OWN_CONFIGS, TOY
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

import vae_runner
from vae_runner import cli
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment import assemble as assembling
from vae_runner.experiment.checking.probe import check_model, probe
from vae_runner.latent_space import LatentSpace
from vae_runner.likelihood import Likelihood

Experiment = Callable[..., Engine]
CONFIG: dict[str, Any] = {
    "dataset": {"_target_": "own.Data"},
    "architecture": {"encoder": {"_target_": "own.Encoder"}, "decoder": {"_target_": "own.Decoder"}},
    "distribution": {"_target_": "own.Space"},
    "likelihood": {"_target_": "own.Likelihood"},
    "corruption": {"_target_": "own.Corruption"},
}


class Given(nn.Module):
    """An encoder, or a decoder, whose output is changed by `change` on its way out."""

    def __init__(self, part: nn.Module, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.part, self.change = part, change
        self.num_features = getattr(part, "num_features", 0)

    def forward(self, x: Tensor) -> Any:
        return self.change(self.part(x))


def fail(x: Tensor) -> Tensor:
    return x @ torch.zeros(3, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x * 255, "gives values from 0 to 255, in 64 of 64 images (first: "),
        (lambda x: x * 255, ", 1, 16, 16) in [0, 1]: divide them by 255"),
        (lambda x: x * 65535, "from 0 to 6.554e+04, "),
        (lambda x: x * 65535, "divide them by 65535"),
        (lambda x: 2 * x - 1, "x / 2 + 0.5 takes [-1, 1] there; leave Normalize((0.5,), (0.5,)) out"),
        (lambda x: (x - 0.13) / 0.31, "they look standardised: leave Normalize out"),
        (lambda x: x * 1.06 - 0.03, "they overshoot, as a bicubic resize does: clamp(0, 1)"),
        (lambda x: (x * 255).byte(), "gives uint8 from 0 to 255, expected a float32 tensor (64, 1, 16, 16) in "),
        (lambda x: (x * 255).byte(), "make it x.float() / 255"),
        (lambda x: x.double(), "gives float64 from 0 to 1, "),
        (lambda x: x > 0, "gives bool from 0 to 1, "),
        (lambda x: x[:, 0], "gives (64, 16, 16) for 64 images, "),
        (lambda x: x[:, 0], "x[:, None] adds the channel"),
        (lambda x: x.permute(0, 2, 3, 1), "channels come first, x.permute(0, 3, 1, 2)"),
        (lambda x: x[:, :, :8], "gives (64, 1, 8, 16) for 64 images, "),
        (lambda x: x[:5], "gives (5, 1, 16, 16) for 64 images, "),
        (lambda x: x / 0, "gives values that are not finite in 64 of 64 images (first: "),
        (lambda x: x.numpy(), "gives a numpy.ndarray for 64 images, "),
        (lambda x: (x, x), "gives a tuple of 2 for 64 images, "),
        (fail, "cannot gather 64 of its 200 images: RuntimeError: "),
    ],
)  # fmt: skip
def test_images_that_no_model_can_take_are_told_with_what_is_expected(
    experiment: Experiment, change: Callable[[Tensor], Any], words: str
) -> None:
    engine = experiment()
    data, gather = engine.train.data, engine.train.data.gather
    data.gather = lambda indices: change(gather(indices))
    with pytest.raises(UserError) as told:
        probe(engine, CONFIG)
    (line,) = str(told.value).splitlines()
    assert line.startswith("dataset (own.Data) ")
    assert words in line


def test_the_first_wrong_image_is_named_by_its_index(experiment: Experiment) -> None:
    engine = experiment()
    chosen = engine.train.indices[[0, -1]].tolist()
    engine.train.data.images[chosen] *= 3
    with pytest.raises(UserError, match=rf"in 2 of 64 images \(first: {chosen[0]}\)"):
        probe(engine, CONFIG)


def test_validation_images_are_looked_at_too(experiment: Experiment) -> None:
    engine = experiment()
    engine.train.data.images[engine.validation.indices] *= 255
    with pytest.raises(UserError, match=r"from 0 to 255, in 40 of 40 images"):
        probe(engine, CONFIG)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y: y[:, :5], "gives (4, 5) for 4 images 1x16x16, expected (4, 256), as its num_features=256 says"),
        (lambda y: y[:, :, None, None], "gives (4, 256, 1, 1) for 4 images 1x16x16, expected (4, 256), as its "),
        (lambda y: y[:, :, None, None], "as its num_features=256 says; .flatten(1) makes it so"),
        (lambda y: (y, y), "gives a tuple of 2 for 4 images 1x16x16, expected one tensor (4, 256)"),
        (lambda y: None, "gives None for 4 images 1x16x16, expected one tensor (4, 256)"),
        (lambda y: y * math.nan, "gives numbers that are not finite for 4 images 1x16x16: 1,024 of 1,024"),
        (lambda y: y.double(), "gives float64 for 4 images 1x16x16, expected float32"),
        (lambda y: y.long(), "gives int64 for 4 images 1x16x16, expected floats"),
        (lambda y: y.squeeze(), "gives (256,) for 1 image 1x16x16, expected (1, 256), as its num_features=256 says; a"),
        (fail, "fails on 4 images 1x16x16: RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x256 and 3x3) ("),
    ],
)  # fmt: skip
def test_an_encoder_that_does_not_fit_is_named(
    experiment: Experiment, change: Callable[[Tensor], Any], words: str
) -> None:
    engine = experiment()
    engine.objective.model.encoder = Given(engine.objective.model.encoder, change)
    line = told_by(engine)
    assert line.startswith("architecture.encoder (own.Encoder) ")
    assert words in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y: y.flatten(1), "gives (4, 256) for codes (4, 10), expected (4, 1, 16, 16), the likelihood's "),
        (lambda y: y.flatten(1), ".unflatten(1, (1, 16, 16)) makes it so"),
        (lambda y: y[..., ::2], "gives (4, 1, 16, 8) for codes (4, 10), expected (4, 1, 16, 16)"),
        (lambda y: y.expand(-1, 3, -1, -1), "gives (4, 3, 16, 16) for codes (4, 10), expected (4, 1, 16, 16)"),
        (lambda y: y / 0, "gives numbers that are not finite for codes (4, 10)"),
        (fail, "fails on codes (4, 10): RuntimeError: "),
    ],
)  # fmt: skip
def test_a_decoder_that_does_not_fit_is_named(
    experiment: Experiment, change: Callable[[Tensor], Any], words: str
) -> None:
    engine = experiment()
    engine.objective.model.decoder = Given(engine.objective.model.decoder, change)
    line = told_by(engine)
    assert line.startswith("architecture.decoder (own.Decoder) ")
    assert words in line


class Blurred(Likelihood):
    """A likelihood with one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        squares = (raw - target).square()
        return {"all": squares.mean(), "pixels": squares}.get(self.fault, squares.flatten(1).sum(1))

    def mean(self, raw: Tensor) -> Tensor:
        return raw.flatten(1) if self.fault == "flat" else raw


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("all", "gives () for nll of 4 images, expected (4,), the nats of each image"),
        ("pixels", "gives (4, 1, 16, 16) for nll of 4 images, expected (4,)"),
        ("flat", "gives (4, 256) for mean of 4 images, expected (4, 1, 16, 16)"),
    ],
)
def test_a_likelihood_that_does_not_fit_is_named(experiment: Experiment, fault: str, words: str) -> None:
    engine = experiment()
    engine.objective.model.likelihood = Blurred(fault)
    assert told_by(engine).startswith(f"likelihood (own.Likelihood) {words}")


class Space(LatentSpace):
    """A latent space with one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__(10, 20, Normal(0.0, 1.0))
        self.fault = fault

    def posterior(self, raw: Tensor) -> Distribution:
        mu, scale = raw.chunk(2, dim=1)
        kinds = {"narrow": lambda: Normal(mu[:, :5], 1.0), "nan": lambda: Normal(mu * math.nan, 1.0, False)}
        return kinds.get(self.fault, lambda: Normal(mu, -scale.abs() - 1))()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("narrow", "gives (4, 5) for the mean of its posterior, expected (4, 10)"),
        ("nan", "gives numbers that are not finite for the mean of its posterior"),
        ("scale", "fails on (4, 20) numbers of the network: ValueError: Expected parameter scale"),
    ],
)
def test_a_latent_space_that_does_not_fit_is_named(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    monkeypatch.setattr(Distribution, "_validate_args", True)  # as at the start of a process
    engine = experiment()
    engine.objective.model.spaces = nn.ModuleList([Space(fault)])
    assert told_by(engine).startswith(f"distribution (own.Space) {words}")


def test_a_corruption_that_changes_the_shape_is_named(experiment: Experiment) -> None:
    engine = experiment()
    engine.corruption = lambda x: x[:, :, 1:]
    assert told_by(engine).startswith("corruption (own.Corruption) gives (4, 1, 15, 16) for 4 images 1x16x16")


def test_all_mistakes_are_told_at_once(experiment: Experiment) -> None:
    engine = experiment()
    engine.train.data.images *= 255
    model = engine.objective.model
    model.encoder, model.likelihood = Given(model.encoder, fail), Blurred("all")
    model.decoder = Given(model.decoder, lambda y: y[..., 1:])
    with pytest.raises(UserError) as told:
        probe(engine, CONFIG)
    parts = [line.partition(" ")[0] for line in str(told.value).splitlines()]
    assert parts == ["dataset", "architecture.encoder", "architecture.decoder", "likelihood"]


def told_by(engine: Engine) -> str:
    with pytest.raises(UserError) as told:
        probe(engine, CONFIG)
    (line,) = str(told.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images: images / 255, "the brightest of 64 images is 0.0039 of 1: divided by 255 twice?"),
        (lambda images: images * 0, "64 images have one and the same value everywhere, 0"),
    ],
)
def test_images_that_look_wrong_get_a_warning(
    experiment: Experiment, caplog: pytest.LogCaptureFixture, change: Callable[[Tensor], Tensor], words: str
) -> None:
    engine = experiment()
    engine.train.data.images = change(engine.train.data.images)
    probe(engine, CONFIG)
    assert words in caplog.text


def test_a_sigmoid_before_the_bernoulli_s_logits_gets_a_warning(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    engine = experiment()
    probe(engine, CONFIG)
    assert caplog.text == ""
    engine.objective.model.decoder = Given(engine.objective.model.decoder, torch.sigmoid)
    probe(engine, CONFIG)
    assert "architecture.decoder (own.Decoder) gives numbers from 0." in caplog.text
    assert "leave a last sigmoid or ReLU out" in caplog.text


class Counting(nn.Module):
    """An encoder with all that a forward pass could move: sums, a counter, generators."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.norm, self.calls = part, nn.BatchNorm1d(part.num_features), 0
        self.num_features = part.num_features

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        random.random()
        np.random.rand()  # noqa: NPY002
        return self.norm(self.part(x)) * torch.rand(()).item() / self.calls


def test_it_leaves_no_trace_in_the_run(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "probe", lambda engine, config: None)
    runs = [experiment("corruption=gaussian_noise", "engine.threads=1") for _ in range(2)]
    for engine in runs:
        engine.objective.model.encoder = Counting(engine.objective.model.encoder)
    before = [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002
    probe(runs[1], CONFIG)
    after = [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002
    assert before == after
    weights = [copy.deepcopy(engine.objective.state_dict()) for engine in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [engine.objective.model.encoder.calls for engine in runs] == [0, 0]
    assert runs[0].objective.training == runs[1].objective.training
    assert runs[0].run() == runs[1].run()


class Uncopied(Counting):
    """It holds something that cannot be copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Uncopied":
        raise RuntimeError("no copies")


def test_a_model_that_cannot_be_copied_keeps_its_sums(experiment: Experiment) -> None:
    engine = experiment()
    engine.objective.model.encoder = Uncopied(engine.objective.model.encoder)
    before = copy.copy(engine.objective.model.encoder.norm.running_mean)
    probe(engine, CONFIG)
    assert torch.equal(engine.objective.model.encoder.norm.running_mean, before)
    assert engine.objective.model.training


def test_a_model_alone_is_checked_as_it_is_loaded(experiment: Experiment) -> None:
    model = experiment().objective.model
    check_model(model, (1, 16, 16), CONFIG)
    model.encoder = Given(model.encoder, lambda y: y[:, :5])
    with pytest.raises(UserError, match=r"^architecture.encoder \(own.Encoder\) gives \(4, 5\)"):
        check_model(model, (1, 16, 16), CONFIG)


@pytest.mark.slow
def test_data_that_has_changed_its_range_is_refused_by_resume_redraw_and_load(
    inside: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy

    assert cli.run([OWN_CONFIGS, *TOY, "hydra.run.dir=run", "visualisation=[data]"]) == 0
    made = toy.Blobs.__init__

    def bright(self: Any, *arguments: Any, **settings: Any) -> None:
        made(self, *arguments, **settings)
        self.images = self.images * 255

    monkeypatch.setattr(toy.Blobs, "__init__", bright)
    capfd.readouterr()
    line = "error: dataset (toy.Blobs) gives values from 0 to 255, in "
    assert cli.run(["resume=run", "trust=true", "engine.steps=20"]) == 2
    assert line in capfd.readouterr().err
    from vae_runner.cli import redraw

    assert redraw.run(["run", "trust=true", "engine.device=cpu"]) == 2
    assert line in capfd.readouterr().err
    with pytest.raises(UserError, match="gives values from 0 to 255"):
        vae_runner.load("run", device="cpu", trust=True).images(3)
