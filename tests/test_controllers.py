"""The controllers: their traces against those computed elsewhere, and what they come to in a simulated training."""

import math

import pytest
import torch
from oracles import OBJECTIVES
from torch import Tensor

from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import ControlledKL, ReconstructionConstraint, plain_kl
from vae_runner.schedule import Linear
from vae_runner.state import METRICS, RECON, SCHEDULED, Y_PRED, Y_TRUE, State, posterior_key, prior_key

SPACE = (posterior_key(0), prior_key(0))
ALL = ((posterior_key(0),), (prior_key(0),))


@pytest.mark.parametrize("case", OBJECTIVES["control_vae"]["cases"])
def test_beta_follows_the_trace_of_control_vae(case: dict) -> None:
    settings = {name: float(case[name]) for name in ("kp", "ki", "beta_min", "beta_max")}
    term = ControlledKL(*SPACE, set_point=float(case["target"]), **settings).double()
    assert term.beta.item() == settings["beta_min"]
    seen = []
    for kl in case["kl"]:
        term.move(torch.tensor(kl, dtype=torch.float64))
        seen.append(term.beta.item())
    assert seen == pytest.approx(case["beta"], rel=1e-9)


@pytest.mark.parametrize("case", OBJECTIVES["geco"]["cases"])
def test_the_multiplier_follows_the_trace_of_geco(case: dict) -> None:
    clamp = {} if case["clamp"] is None else dict(zip(("smallest", "largest"), map(float, case["clamp"]), strict=True))
    term = ReconstructionConstraint(
        *ALL, kappa=0.0, rate=float(case["rate"]), decay=float(case["alpha"]), **clamp
    ).double()
    averages, multipliers = [], []
    for excess in case["constraint"]:
        term.move(torch.tensor(excess, dtype=torch.float64))
        averages.append(term.average.item())
        multipliers.append(term.multiplier.item())
    assert averages == pytest.approx(case["moving_average"], rel=1e-9)
    assert multipliers == pytest.approx(case["lambda"], rel=1e-9)


def given(kl: float = 2.0, recon: float = 50.0) -> State:
    """A state with a KL and a reconstruction of so many nats."""
    mu = torch.full((4, 1), math.sqrt(2 * kl))
    images = torch.zeros(4, 1, 2, 3)
    return {
        posterior_key(0): SimpleNormal(mu, torch.zeros(4, 1)),
        prior_key(0): SimpleNormal(torch.zeros(1), torch.zeros(1)),
        RECON: torch.full((4,), recon, requires_grad=True),
        Y_PRED: images + 0.5,
        Y_TRUE: images,
        METRICS: {},
        SCHEDULED: {},
    }


def test_the_term_is_beta_kl_and_beta_is_logged_as_it_was() -> None:
    term, state = ControlledKL(*SPACE, set_point=Linear(1, 3, 2), start=2.0, kp=1.0, ki=1.0), given(kl=3.0)
    torch.testing.assert_close(term.loss(state), 2 * plain_kl(*SPACE).loss(given(kl=3.0)))
    term.on_step_training(state)
    assert (state[METRICS]["beta"].item(), state[SCHEDULED]["set_point"].item()) == (2, 1)
    assert term.beta.item() == pytest.approx(1 / (1 + math.exp(-2)) + 2 + 1)  # P + I + beta_min, of e = 1 - 3
    assert term.step.item() == 1


@pytest.mark.parametrize("form", ["position", "velocity"])
def test_beta_brings_the_kl_to_its_set_point_within_5_percent(form: str) -> None:
    """The KL as a model answers to beta, R + D of one latent: KL = 12 / beta, slowly."""
    term = ControlledKL(*SPACE, set_point=4.0, form=form, average=5 if form == "velocity" else 1)
    kl = 12.0
    for _ in range(3000):
        kl += 0.1 * (12.0 / term.beta.item() - kl)
        term.move(torch.tensor(kl))
    assert kl == pytest.approx(4, rel=0.05)
    assert term.beta.item() == pytest.approx(3, rel=0.05)


def test_the_velocity_form_moves_beta_from_where_it_is() -> None:
    term = ControlledKL(*SPACE, set_point=4.0, kp=0.1, ki=0.01, start=50.0, form="velocity").double()
    term.move(torch.tensor(6.0, dtype=torch.float64))
    assert term.beta.item() == pytest.approx(50 + 0.02)  # no error before the first
    term.move(torch.tensor(5.0, dtype=torch.float64))
    logistic = 1 / (1 + math.exp(-1)) - 1 / (1 + math.exp(-2))
    assert term.beta.item() == pytest.approx(50 + 0.02 + 0.1 * logistic + 0.01)


def test_the_kl_may_be_averaged_over_the_last_steps() -> None:
    term = ControlledKL(*SPACE, set_point=0.0, kp=0.0, ki=1.0, beta_min=0.0, average=2)
    for kl in (1.0, 3.0, 5.0):
        term.move(torch.tensor(kl))
    assert term.beta.item() == pytest.approx(1 + (1 + 3) / 2 + (3 + 5) / 2)


def test_a_step_that_is_not_finite_leaves_both_as_they_are() -> None:
    control, constraint = ControlledKL(*SPACE, set_point=1.0, average=2), ReconstructionConstraint(*ALL, kappa=1.0)
    control.move(torch.tensor(9.0))
    constraint.move(torch.tensor(9.0))
    before = [{name: value.clone() for name, value in term.state_dict().items()} for term in (control, constraint)]
    for bad in (math.nan, math.inf):
        control.move(torch.tensor(bad))
        constraint.move(torch.tensor(bad))
    torch.testing.assert_close([control.state_dict(), constraint.state_dict()], before, rtol=0, atol=0)


def test_geco_trains_the_kl_and_lambda_times_the_constraint() -> None:
    term, state = ReconstructionConstraint(*ALL, kappa=30.0, start=3.0, rate=0.001), given(kl=2.0, recon=50.0)
    term.average.fill_(10.0)
    term.moves.fill_(1)
    whole = state[RECON].mean() + term.loss(state)  # what an objective adds up
    average = 0.99 * 10 + 0.01 * 20
    assert whole.item() == pytest.approx(2 + 3 * average)
    (gradient,) = torch.autograd.grad(whole, state[RECON])
    torch.testing.assert_close(gradient, torch.full((4,), 3 / 4))
    assert state[METRICS]["lambda"].item() == 3
    assert state[METRICS]["constraint"].item() == pytest.approx(average)
    term.on_step_training(state)
    assert term.multiplier.item() == pytest.approx(3 * math.exp(0.001 * average))
    assert state[METRICS]["lambda"].item() == 3


@pytest.mark.parametrize(
    ("settings", "excess"),
    [
        ({"kappa": 30.0}, 20.0),
        ({"kappa": 2.0, "unit": "value"}, 50 - 2 * 6),
        ({"kappa": 1.0, "constraint": "mse"}, 6 * 0.25 - 1),
        ({"kappa": 0.1, "constraint": "mse", "unit": "value"}, 6 * (0.25 - 0.1)),
    ],
)
def test_kappa_is_of_what_its_settings_name(settings: dict, excess: float) -> None:
    state = given(recon=50.0)
    found = ReconstructionConstraint(*ALL, **settings).excess(state[RECON], state[Y_PRED], state[Y_TRUE])
    assert found.item() == pytest.approx(excess)


def test_the_multiplier_brings_the_error_to_kappa() -> None:
    """A model whose error is 90 / lambda, slowly."""
    term, error = ReconstructionConstraint(*ALL, kappa=30.0, rate=0.001, decay=0.9), 90.0
    for _ in range(3000):
        error += 0.1 * (90.0 / term.multiplier.item() - error)
        term.move(torch.tensor(error - 30.0))
    assert error == pytest.approx(30, rel=0.05)


def test_their_state_is_saved() -> None:
    def moved(count: int) -> list[Tensor]:
        term, constraint = ControlledKL(*SPACE), ReconstructionConstraint(*ALL, kappa=1.0)
        for number in range(count):
            term.move(torch.tensor(20.0 + number))
            constraint.move(torch.tensor(20.0 + number))
        return term, constraint

    (saved, other), (fresh, another) = moved(3), moved(0)
    fresh.load_state_dict(saved.state_dict())
    another.load_state_dict(other.state_dict())
    for term in (saved, fresh, other, another):
        term.move(torch.tensor(17.0))
    assert (fresh.beta.item(), another.multiplier.item()) == (saved.beta.item(), other.multiplier.item())
    assert fresh.beta.item() != ControlledKL(*SPACE).beta.item()


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="start must lie from beta_min to beta_max, 1 to 100, got 0"):
        ControlledKL(*SPACE, start=0.0)
    with pytest.raises(ValueError, match="beta_min must be at most beta_max, got 5 and 2"):
        ControlledKL(*SPACE, beta_min=5.0, beta_max=2.0)
    with pytest.raises(ValueError, match=r"start must lie from smallest to largest, 2 to 1e\+10, got 1"):
        ReconstructionConstraint(*ALL, kappa=1.0, smallest=2.0)
    with pytest.raises(ValueError, match="smallest must be at most largest, got 5 and 2"):
        ReconstructionConstraint(*ALL, kappa=1.0, start=3.0, smallest=5.0, largest=2.0)
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1, for the average to move, got 1"):
        ReconstructionConstraint(*ALL, kappa=1.0, decay=1.0)
    with pytest.raises(ValueError, match="ControlledKL takes no capacity"):
        ControlledKL(*SPACE).with_capacity(2)
