"""DIP-VAE's penalty: against values computed elsewhere, and as the distance of what it names."""

import pytest
import torch
from oracles import close, objective_cases
from torch import Tensor

from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import DIP, plain_kl
from vae_runner.divergence.moments import covariance, squared_deviations
from vae_runner.state import METRICS, SCHEDULED, State, posterior_key, prior_key

SPACE = ((posterior_key(0),), (prior_key(0),))


@pytest.mark.parametrize("kind", ["dip_i", "dip_ii"])
@objective_cases("dip")
def test_the_penalty_is_that_computed_elsewhere(case: dict, dtype: torch.dtype, kind: str) -> None:
    mu, logvar = (torch.tensor(case[name], dtype=dtype) for name in ("mu", "logvar"))
    found = covariance(mu, logvar.exp() if kind == "dip_ii" else None)
    if kind == "dip_i":
        close(found, case["cov_mu"])
    off_diagonal, diagonal = squared_deviations(found)
    close(case["lambda_od"] * off_diagonal + case["lambda_d"] * diagonal, case[kind])


def test_the_covariance_of_codes_is_that_of_many_draws() -> None:
    torch.manual_seed(0)
    mu, logvar = torch.randn(2, 20, 3, dtype=torch.float64).unbind()
    z = SimpleNormal(mu, logvar).rsample((100_000,)).reshape(-1, 3)
    drawn = torch.cov(z.T)
    error = 4 * torch.sqrt(2 * drawn.diagonal().max() ** 2 / len(z)).item()
    torch.testing.assert_close(covariance(mu, logvar.exp()), drawn, rtol=0, atol=error)


def given(q: SimpleNormal | None = None) -> State:
    torch.manual_seed(0)
    q = q or SimpleNormal(*torch.randn(2, 16, 3, dtype=torch.float64))
    zeros = torch.zeros(3, dtype=torch.float64)
    return {posterior_key(0): q, prior_key(0): SimpleNormal(zeros, zeros), METRICS: {}, SCHEDULED: {}}


@pytest.mark.parametrize("of", ["means", "codes"])
def test_the_term_is_the_kl_and_the_weighted_penalty(of: str) -> None:
    state = given()
    value = DIP(*SPACE, batch_size=16, of=of, lambda_od=3.0, lambda_d=5.0, beta=2.0).loss(state)
    logged = state[METRICS]
    kl = plain_kl(posterior_key(0), prior_key(0)).loss(given())
    torch.testing.assert_close(value, 2 * kl + 3 * logged["dip_od"] + 5 * logged["dip_d"])
    q = state[posterior_key(0)]
    expected = squared_deviations(covariance(q.mu, q.logvar.exp() if of == "codes" else None))
    torch.testing.assert_close((logged["dip_od"], logged["dip_d"]), expected)
    assert state[SCHEDULED].keys() == {"beta", "lambda_od", "lambda_d"}


@pytest.mark.parametrize("of", ["means", "codes"])
def test_the_gradient_is_right(of: str) -> None:
    loss = DIP(*SPACE, batch_size=6, of=of)

    def value(mu: Tensor, logvar: Tensor) -> Tensor:
        return loss.loss(given(SimpleNormal(mu, logvar)))

    torch.manual_seed(1)
    assert torch.autograd.gradcheck(value, tuple(torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)))


def test_a_batch_of_one_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="one image has no covariance; make engine"):
        DIP(*SPACE, batch_size=1)
