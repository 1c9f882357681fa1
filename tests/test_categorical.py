"""Latents that are one of several classes: the draws, the KL, the traversal, and JointVAE made of them."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from oracles import close, objective_cases
from test_terms import weights
from torch.distributions import Categorical, kl_divergence

from vae_runner.checkpoint import load_latest
from vae_runner.distributions import OneHot, RelaxedOneHot, SimpleNormal
from vae_runner.distributions.one_hot import relaxed
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check
from vae_runner.latent_space import CategoricalSpace, NormalSpace
from vae_runner.learned_prior import MixturePrior
from vae_runner.state import METRICS, MODEL, SCHEDULED, X, posterior_key, sample_key
from vae_runner.visualisation import CodePathWalker, LinSpaceWalker, PriorSampler, RandomWalker, Traversal

Make = Callable[..., Engine]
SMALL = ("architecture=mlp", "engine.threads=1", "visualisation=[]")
JOINT = ("distribution=joint",)


@objective_cases("categorical")
def test_kl_and_draw_are_those_computed_elsewhere(case: dict, dtype: torch.dtype) -> None:
    logits, gumbel = (torch.tensor(case[name], dtype=dtype) for name in ("logits", "gumbel"))
    kl = kl_divergence(RelaxedOneHot(logits, 1.0), OneHot(torch.zeros_like(logits)))
    assert (kl >= 0).all()
    close(kl.sum(), case["kl_to_uniform"])
    close(relaxed(logits, gumbel, case["temperature"]), case["sample"])


def test_the_kl_to_any_prior_is_that_of_torch() -> None:
    torch.manual_seed(0)
    p, r = torch.randn(5, 4).double(), torch.randn(4).double()
    ours = kl_divergence(OneHot(p), OneHot(r)).sum(1)
    torch.testing.assert_close(ours, kl_divergence(Categorical(logits=p), Categorical(logits=r.expand(5, 4))))
    torch.testing.assert_close(OneHot(p).entropy().sum(1), Categorical(logits=p).entropy())


@pytest.mark.parametrize("temperature", [None, 0.3, 5.0])
def test_the_largest_number_of_a_draw_has_the_classes_probabilities(temperature: float | None) -> None:
    torch.manual_seed(0)
    logits = torch.tensor([0.3, -1.0, 1.2])
    q = OneHot(logits) if temperature is None else RelaxedOneHot(logits, temperature)
    drawn = q.sample((40_000,))
    torch.testing.assert_close(drawn.sum(1), torch.ones(40_000))
    share = torch.bincount(drawn.argmax(1), minlength=3) / 40_000
    error = (q.variance / 40_000).sqrt()
    assert ((share - torch.softmax(logits, 0)).abs() < 4 * error).all()


def test_straight_through_is_a_class_with_the_gradient_of_the_point() -> None:
    found = {}
    for straight in (True, False):
        torch.manual_seed(0)
        logits = torch.randn(6, 4).requires_grad_()
        drawn = RelaxedOneHot(logits, 0.7, straight).rsample()
        (found[straight],) = torch.autograd.grad((drawn * torch.arange(4.0)).sum(), logits)
        if straight:
            assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(found[True], found[False])


def test_the_gradient_of_the_kl_is_right() -> None:
    torch.manual_seed(0)
    arguments = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 4), (4,))]
    assert torch.autograd.gradcheck(lambda p, r: kl_divergence(OneHot(p), OneHot(r)), arguments)
    noise = torch.randn(3, 4).double()
    assert torch.autograd.gradcheck(lambda logits: relaxed(logits, noise, 0.5), arguments[:1])


def test_in_evaluation_a_draw_is_a_class() -> None:
    space = CategoricalSpace(4)
    raw = torch.randn(50, 4)
    assert not set(space.posterior(raw).sample().unique().tolist()) <= {0.0, 1.0}
    assert set(space.eval().posterior(raw).sample().unique().tolist()) == {0.0, 1.0}
    assert kl_divergence(space.posterior(torch.zeros(1, 4)), space.prior()).abs().sum() < 1e-6


def test_the_temperature_may_be_a_schedule_and_is_told(experiment: Make) -> None:
    chosen = ["schedule@distribution.temperature=linear", "distribution.temperature.start=1"]
    chosen += ["distribution.temperature.end=0.5", "distribution.temperature.steps=2"]
    engine = experiment("distribution=categorical", *chosen, *SMALL)
    states = [engine.train_step() for _ in range(3)]
    assert [float(state[SCHEDULED]["temperature"]) for state in states] == [1, 0.75, 0.5]
    assert [float(state[posterior_key()].temperature) for state in states] == [1, 0.75, 0.5]
    assert engine.objective.scheduled_at(torch.arange(3))["temperature"].tolist() == [1, 0.75, 0.5]


def test_a_joint_vae_has_a_capacity_for_each_space(experiment: Make) -> None:
    mixed = ("distribution=mixed", "distribution@distribution.space1=categorical", "distribution.space1.dims=3")
    chosen = ("divergence=per_space", "divergence@divergence.space0=capacity")
    engine = experiment(*mixed, *chosen, *SMALL)
    state = engine.train_step()
    metrics = state[METRICS]
    assert {"space0/capacity", "space1/capacity", "space1/temperature"} <= state[SCHEDULED].keys()
    drawn = state[sample_key(1)]
    assert drawn.shape == (16, 3)
    torch.testing.assert_close(drawn.sum(1), torch.ones(16))
    probability = state[posterior_key(1)].mean
    torch.testing.assert_close(metrics["space1/kl"], (probability * (3 * probability).log()).sum(1).mean())
    parts = metrics["space0/divergence"] + metrics["space1/divergence"]
    torch.testing.assert_close(metrics["loss"], metrics["recon"] + parts)


@pytest.mark.slow
def test_a_resumed_run_is_the_unbroken_one(experiment: Make, tmp_path: Path) -> None:
    chosen = ["schedule@distribution.space1.temperature=linear", "distribution.space1.temperature.start=1"]
    chosen += ["distribution.space1.temperature.end=0.5", "distribution.space1.temperature.steps=4"]
    arguments = (*JOINT, *chosen, *SMALL, "engine.steps=4", "engine.checkpoint_every=2")
    unbroken = experiment(*arguments, folder=tmp_path / "a")
    with unbroken.session():
        for _ in range(2):
            unbroken.advance()
    content = load_latest(tmp_path / "a" / "checkpoints")
    resumed = experiment(*arguments, folder=tmp_path / "b")
    resumed.load_state_dict(content)
    for engine in (unbroken, resumed):
        with engine.session():
            for _ in range(2):
                engine.advance()
    one, other = weights(unbroken), weights(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def joint(experiment: Make) -> dict:
    """A state with a JointVAE in evaluation mode."""
    engine = experiment(*JOINT, *SMALL)
    torch.manual_seed(0)
    return {MODEL: engine.objective.model.eval(), X: torch.rand(4, *engine.train.data.image_shape)}


@torch.no_grad()
def test_a_traversal_goes_through_the_classes_vectors(joint: dict) -> None:
    for walker in (Traversal(lin_steps=5), LinSpaceWalker(lin_steps=5, dims_to_walk=None)):
        grid = walker(joint)
        rows = grid.details["rows"]
        assert len(rows) == 6 + 1
        place = next(index for index, row in enumerate(rows) if row["space"] == 1)
        assert rows[place]["values"] == [0, 0, 1, 1, 2]
        codes = torch.tensor(grid.details["codes"][1]).unflatten(0, (7, 5))
        assert codes[place].equal(torch.eye(3)[[0, 0, 1, 1, 2]])
        other = (place + 1) % 7
        assert codes[other].equal(codes[other][:1].expand(5, 3))  # where another is walked, they stay
    few = LinSpaceWalker(lin_steps=2, dims_to_walk=None, space_id=1)(joint)
    assert [row["values"] for row in few.details["rows"]] == [[0, 1], [2, 2]]


@torch.no_grad()
def test_random_codes_and_paths_are_of_classes(joint: dict) -> None:
    for walker in (PriorSampler(40), RandomWalker(num_images=40)):
        codes = torch.tensor(walker(joint).details["codes"][1])
        assert set(codes.argmax(1).tolist()) == {0, 1, 2}
        assert codes.sort(1).values.equal(torch.tensor([0.0, 0.0, 1.0]).expand(40, 3))
    codes = torch.tensor(CodePathWalker(3, None, None)(joint).details["codes"][1])
    assert codes.tolist() == [[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]]


@pytest.mark.parametrize("option", ["beta_tc", "factor", "dip_ii", "iwae"])
def test_terms_of_numbers_refuse_classes_in_a_line(option: str, experiment: Make) -> None:
    with pytest.raises(UserError, match="is of latents that are numbers, and not of a categorical space's classes"):
        experiment(*JOINT, f"divergence={option}", *SMALL)


def test_samples_of_a_kl_in_closed_form_are_refused(experiment: Make) -> None:
    with pytest.raises(UserError, match=r"set divergence\.samples=null"):
        experiment("distribution=categorical", "divergence=kl", "divergence.samples=4", *SMALL)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: CategoricalSpace(1), "dims must be at least 2, for there to be a choice, got 1"),
        (lambda: CategoricalSpace(temperature=0.0), "temperature must be positive, got 0.0"),
        (lambda: CategoricalSpace(prior=SimpleNormal(0.0, 0.0)), "SimpleNormal is not over classes"),
        (lambda: CategoricalSpace(prior=MixturePrior()), "MixturePrior is not over classes"),
        (lambda: NormalSpace(prior=OneHot(0.0)), "OneHot is over classes, and not over normal latents"),
        (lambda: CategoricalSpace(3, prior=OneHot([0.0, 1.0])), "logits has shape"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        make()


def test_a_schedule_of_the_temperature_must_stay_positive(compose: Callable[..., DictConfig]) -> None:
    chosen = ["schedule@distribution.temperature=linear", "distribution.temperature.start=1"]
    chosen += ["distribution.temperature.end=0", "distribution.temperature.steps=2"]
    _, problems = check(compose("dataset=toy", "distribution=categorical", *chosen))
    assert problems == ["distribution.temperature.end must be positive, got 0"]


def test_the_preset_is_the_paper_s(compose: Callable[..., DictConfig]) -> None:
    cfg = compose("experiment=dupont2018_dsprites")
    _, problems = check(cfg)
    assert problems == []
    spaces, terms = cfg.distribution, cfg.divergence
    assert (spaces.space0.dims, spaces.space1.dims, spaces.space1.temperature) == (6, 3, 0.67)
    assert (terms.space0.gamma, terms.space1.gamma) == (150, 150)
    assert (terms.space0.capacity.end, terms.space0.capacity.steps) == (40, 300_000)
    assert terms.space1.capacity.end == pytest.approx(math.log(3), abs=1e-4)
    assert (cfg.optimizer.lr, cfg.engine.batch_size, cfg.engine.epochs) == (5e-4, 64, 30)
