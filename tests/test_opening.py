"""Latents that are closed until a step: their prior, nothing more, and never called dead."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from test_step import graphs_alone
from torch.distributions import kl_divergence

from vae_runner.callbacks.collapse import _still_to_come
from vae_runner.distributions import SimpleNormal
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import assemble
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.notices.turns import openings_to_come
from vae_runner.latent_frame import AlignedNormalSpace
from vae_runner.latent_space import (
    ExponentialSpace,
    GammaSpace,
    LaplaceSpace,
    LatentSpace,
    NormalSpace,
    UniformSpace,
    WeibullSpace,
)
from vae_runner.report.run.findings import findings, latent_kl
from vae_runner.report.run.sections import sections
from vae_runner.runs.read import read_run
from vae_runner.schedule import Linear, Steps
from vae_runner.state import LOSS

__all__ = ["graphs_alone"]  # a fixture

Experiment = Callable[..., Engine]
PLAIN = ("engine.threads=1", "engine.compile=false", "divergence=kl", "architecture=mlp", "visualisation=[]")
PLAIN += ("architecture.encoder.hidden=[32]", "architecture.decoder.hidden=[32]")
OPENED = (
    *PLAIN,
    "schedule@distribution.open=steps",
    "distribution.open.values=[3,10]",
    "distribution.open.steps=[0,4]",
)
LN2 = math.log(2)
MEDIANS = {  # of the standard prior: of Weibull(1, 1), Exponential(1) and Gamma(1, 1), which are one, ln 2
    NormalSpace: 0.0,
    AlignedNormalSpace: 0.0,
    LaplaceSpace: 0.0,
    UniformSpace: 0.0,
    ExponentialSpace: LN2,
    WeibullSpace: LN2,
    GammaSpace: LN2,
}


@pytest.mark.parametrize("family", MEDIANS, ids=lambda family: family.__name__)
def test_a_closed_latent_is_its_prior_and_the_median_is_decoded(family: type[LatentSpace]) -> None:
    space, free = family(4, open=2), family(4)
    raw = torch.randn(50, space.num_parameters, requires_grad=True)
    q, whole = space.posterior(raw), free.posterior(raw)
    kl = kl_divergence(q, space.prior())
    assert torch.equal(kl[:, 2:], torch.zeros(50, 2))
    torch.testing.assert_close(kl[:, :2], kl_divergence(whole, free.prior())[:, :2])
    z = space.decoded(q.rsample())
    torch.testing.assert_close(z[:, 2:], torch.full((50, 2), MEDIANS[family]), atol=1e-6, rtol=0)
    (kl.sum() + z.square().sum()).backward()
    of_latents = raw.grad.unflatten(1, (-1, 4)).abs().sum((0, 1))
    assert torch.equal(of_latents[2:], torch.zeros(2))
    assert (of_latents[:2] > 0).all()


def test_latents_are_opened_as_the_schedule_says() -> None:
    space, raw = NormalSpace(5, open=Linear(1.0, 5.0, steps=8)), torch.ones(1, 10)
    counts = []
    for _ in range(10):
        counts.append(int((space.posterior(raw).mean != 0).sum()))
        space.on_step_training({})
    assert counts == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [space.opening.opened_at(step) for step in (0, 1, 2, 4, 9)] == [(), (), (1,), (2,), ()]


def test_weights_of_closed_latents_stay_as_they_were_drawn_until_they_are_opened(
    experiment: Experiment,
) -> None:
    engine = experiment(*OPENED)
    model = engine.objective.model
    of_closed = lambda: torch.cat([  # noqa: E731
        model.head.weight.unflatten(0, (2, 10))[:, 3:].flatten(),
        next(model.decoder.parameters())[:, 3:].flatten(),
    ]).detach().clone()  # fmt: skip
    drawn = of_closed()
    for _ in range(4):
        engine.train_step()
    assert torch.equal(of_closed(), drawn)
    assert engine.validate()["kl_dims"][3] > 0  # behind step 4 it is open
    engine.train_step()
    assert (of_closed() != drawn).float().mean() > 0.9


def test_closed_latents_are_never_turned() -> None:
    space = AlignedNormalSpace(4, open=2, threshold=0.0)
    raw = torch.randn(500, 8)
    q = space.posterior(raw)
    turn = space.turn(q.mean, kl_divergence(q, space.prior()).mean(0))
    assert turn.latents == (0, 1)
    q = space.posterior(raw)
    assert torch.equal(q.mean[:, 2:], torch.zeros(500, 2))
    assert torch.equal(kl_divergence(q, space.prior())[:, 2:], torch.zeros(500, 2))


@pytest.mark.parametrize("distribution", ["normal", "normal_aligned"])
@pytest.mark.parametrize("broken", [2, 4, 5])
def test_a_run_broken_before_at_and_behind_an_opening_is_bit_equal(
    experiment: Experiment, distribution: str, broken: int
) -> None:
    settings = (*OPENED[: len(PLAIN)], f"distribution={distribution}", *OPENED[len(PLAIN) :])
    unbroken, other, resumed = (experiment(*settings) for _ in range(3))
    while unbroken.step < 7:
        unbroken.train_step()
    while other.step < broken:
        other.train_step()
    resumed.load_state_dict(copy.deepcopy(other.state_dict()))
    while resumed.step < 7:
        resumed.train_step()
    one, two = unbroken.objective.state_dict(), resumed.objective.state_dict()
    assert "model.spaces.0.step" in one
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.mark.slow
def test_a_run_that_opens_latents_is_the_same_compiled(
    experiment: Experiment, graphs_alone: None, caplog: pytest.LogCaptureFixture
) -> None:
    def losses(compiles: str) -> list[float]:
        engine = experiment(*OPENED, f"engine.compile={compiles}", "engine.steps=7")
        engine.prepare()
        return [engine.train_step()[LOSS].item() for _ in range(7)]

    assert losses("true") == pytest.approx(losses("false"), rel=1e-5)
    assert "going on without" not in caplog.text


def test_an_opening_is_recorded_and_closed_latents_are_not_called_dead(experiment: Experiment, tmp_path: Path) -> None:
    settings = ("engine.steps=3", "engine.log_every=1", "engine.validate_every=1")
    engine = experiment(*OPENED, *settings, folder=tmp_path)
    assert list(openings_to_come(engine)) == ["open  3 of 10 latents"]
    engine.run()
    run = read_run(tmp_path)
    kl = latent_kl(run)
    assert kl.dead == []
    assert kl.closed == {f"z{latent}" for latent in range(3, 10)}
    notes = [finding.text for finding in findings(run) if "latents" in finding.text]
    assert notes == ["7 of 10 latents are closed at step 3 (z3, z4, z5, z6, z7, z8, z9), as `open` says."]
    assert str(sections(run)).count(">closed<") == 7
    engine = experiment(*OPENED, "engine.steps=8", *settings[1:], folder=tmp_path)
    assert list(openings_to_come(engine)) == ["open  3 of 10 latents, 10 from step 4"]
    assert _still_to_come(_at(engine, 2))
    assert not _still_to_come(_at(engine, 6))
    engine.step = 0
    engine.run()
    records = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert [(one["step"], one["opened"]) for one in records if one["split"] == "turn"] == [(4, list(range(3, 10)))]
    assert "step 4: latents 3, 4, 5, 6, 7, 8, 9 opened" in str(sections(read_run(tmp_path)))
    assert latent_kl(read_run(tmp_path)).closed == set()


def _at(engine: Engine, step: int) -> Engine:
    engine.step = step
    return engine


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["distribution.open=11"], "open: at most 11 of 10 latents would be open; give 1 to 10, or null for all"),
        (["distribution.open=0"], "open: at most 0 of 10 latents would be open"),
        (["distribution/prior=laplace", "distribution.open=3"], "open: the posterior of a closed latent is its prior"),
        (["distribution/prior=vamp", "distribution.open=3", "divergence.samples=2"], "latents cannot be VampPrior"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(
    compose: Callable[..., DictConfig], settings: list[str], message: str
) -> None:
    config, problems = check(compose("dataset=toy", "divergence=kl", "distribution=normal", *settings))
    assert problems == []
    with pytest.raises(UserError) as raised:
        assemble(config)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_count_below_0_and_classes_are_refused(compose: Callable[..., DictConfig]) -> None:
    _, (line,) = check(compose("dataset=toy", "distribution.open=-1"))
    assert line == "distribution.open must not be negative, got -1"
    _, (line,) = check(compose("dataset=toy", "distribution=categorical", "+distribution.open=2"))
    assert line.startswith("no setting called 'distribution.open'")
    with pytest.raises(ValueError, match="open: at most 4 of 2 latents"):
        NormalSpace(2, SimpleNormal(0.0, 0.0), open=Steps([1, 4], [0, 9]))
