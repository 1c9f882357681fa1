"""The parts of beta-TCVAE's term: against values computed elsewhere, in their sum, and over many draws."""

import math

import pytest
import torch
from oracles import close, objective_cases
from torch import Tensor

from vae_runner.distributions import SimpleLaplace, SimpleNormal, SimpleUniform
from vae_runner.divergence import TotalCorrelation
from vae_runner.divergence.total_correlation import (
    Decomposition,
    decompose,
    mss_weights,
    mws_weights,
    pairwise_log_prob,
)
from vae_runner.schedule import Linear
from vae_runner.state import METRICS, SCHEDULED, State, posterior_key, prior_key, sample_key

WEIGHTS = {"mss": mss_weights, "mws": mws_weights}
SPACE = ((posterior_key(0),), (prior_key(0),), (sample_key(0),))


def parts(mu: Tensor, logvar: Tensor, z: Tensor, num_images: int, estimator: str) -> Decomposition:
    log_prior = SimpleNormal(torch.zeros_like(z), 0.0).log_prob(z).sum(1)
    weights = WEIGHTS[estimator](len(z), num_images, z)
    return decompose(pairwise_log_prob(SimpleNormal(mu, logvar), z), weights, log_prior)


@pytest.mark.parametrize("estimator", WEIGHTS)
@objective_cases("total_correlation")
def test_the_parts_are_those_computed_elsewhere(case: dict, dtype: torch.dtype, estimator: str) -> None:
    mu, logvar, z = (torch.tensor(case[name], dtype=dtype) for name in ("mu", "logvar", "z"))
    found = parts(mu, logvar, z, case["num_images"], estimator)
    size = max(map(abs, case[estimator]["log_prod_qz"]))  # each part is a difference of such numbers
    for name, expected in case[estimator].items():
        close(getattr(found, name), expected, size)


@pytest.mark.parametrize("estimator", WEIGHTS)
def test_the_parts_sum_to_the_sampled_kl(estimator: str) -> None:
    torch.manual_seed(0)
    for family in (SimpleNormal, SimpleLaplace):
        q = family(torch.randn(32, 7).double(), torch.rand(32, 7).double() + 0.1)
        p = family(torch.zeros(7).double(), torch.ones(7).double())
        z = q.rsample()
        weights = WEIGHTS[estimator](32, 1000, z)
        found = decompose(pairwise_log_prob(q, z), weights, p.log_prob(z).sum(1))
        sampled = (q.log_prob(z) - p.log_prob(z)).sum(1).mean()
        torch.testing.assert_close(found.mi + found.tc + found.dwkl, sampled, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("batch", "num_images"), [(2, 2), (2, 9), (5, 5), (64, 737_280), (1, 7)])
def test_each_row_of_stratified_weights_is_a_mean_s_and_its_own_image_one_of_n(batch: int, num_images: int) -> None:
    weights = mss_weights(batch, num_images, torch.zeros((), dtype=torch.float64)).exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(batch).double(), rtol=1e-12, atol=0)
    own = torch.full((batch,), 1 / num_images if batch > 1 else 1.0, dtype=torch.float64)
    torch.testing.assert_close(weights.diagonal(), own, rtol=1e-12, atol=0)


def test_weighted_sampling_of_the_whole_set_is_exact() -> None:
    torch.manual_seed(0)
    q = SimpleNormal(torch.randn(50, 1).double(), torch.zeros(50, 1).double())
    z = q.rsample()
    exact = q.log_prob(z.unsqueeze(1)).squeeze(2).exp().mean(1).log()  # q(z) of all 50, each as likely
    found = decompose(pairwise_log_prob(q, z), mws_weights(50, 50, z), torch.zeros(50).double())
    torch.testing.assert_close(found.log_qz, exact - math.log(50))  # its bias: log N of N B, where N / B is wanted


@pytest.mark.slow
def test_independent_latents_have_the_known_bias_over_200_draws() -> None:
    """N(0, 1) latents of posteriors with log variance -4, whose I is 20 nats, more than log N = 13.51 can show.

    What is beyond log N is counted as TC, less the bias of ten marginals of 256 images each, at most half a nat here.
    The released code, which fills columns, gives 14.2.
    """
    torch.manual_seed(0)
    logvar, logarithm = torch.full((256, 10), -4.0), math.log(737_280)
    found = {"mss": [], "mws": []}
    for draw in range(200):
        mu = torch.randn(256, 10) * math.sqrt(1 - math.exp(-4))
        z = mu + math.exp(-2) * torch.randn(256, 10)
        for name in ("mss", "mws") if draw < 20 else ("mss",):
            found[name].append(torch.stack(parts(mu, logvar, z, 737_280, name)[:3]))
    mi, tc, dwkl = torch.stack(found["mss"]).mean(0).tolist()
    assert mi == pytest.approx(logarithm, abs=1e-3)
    assert tc == pytest.approx(20 - logarithm, abs=0.5)
    spread = torch.stack(found["mss"]).sum(1).std().item()
    assert mi + tc + dwkl == pytest.approx(20, abs=4 * spread / math.sqrt(200))
    mi, tc, _ = torch.stack(found["mws"]).mean(0).tolist()
    assert mi == pytest.approx(logarithm + math.log(256), abs=1e-3)  # each image counts 1 / (N B) of q(z)
    assert tc == pytest.approx(20 - logarithm - math.log(256) + 10 * logarithm, abs=0.5)


def term(**settings: object) -> TotalCorrelation:
    return TotalCorrelation(*SPACE, **({"dims": 3, "num_images": 1000, "batch_size": 16} | settings))


def given(q: SimpleNormal | None = None) -> State:
    torch.manual_seed(0)
    q = q or SimpleNormal(torch.randn(16, 3).double(), torch.randn(16, 3).double())
    prior = SimpleNormal(torch.zeros(3).double(), torch.zeros(3).double())
    return {posterior_key(0): q, prior_key(0): prior, sample_key(0): q.rsample(), METRICS: {}, SCHEDULED: {}}


def test_each_part_has_its_weight_and_is_logged() -> None:
    state = given()
    loss = term(alpha=0.5, beta=Linear(0, 8, 10), gamma=2.0)
    loss.step.fill_(5)
    value = loss.loss(state)
    logged = state[METRICS]
    torch.testing.assert_close(value, 0.5 * logged["mi"] + 4 * logged["tc"] + 2 * logged["dwkl"])
    assert {name: float(value) for name, value in state[SCHEDULED].items()} == {"alpha": 0.5, "beta": 4, "gamma": 2}


def test_the_total_correlation_goes_over_all_spaces() -> None:
    state = given()
    whole = term().loss(state)
    q, p, z = state[posterior_key(0)], state[prior_key(0)], state[sample_key(0)]
    for number, dims in enumerate((slice(0, 1), slice(1, 3))):
        state[posterior_key(number)] = SimpleNormal(q.mu[:, dims], q.logvar[:, dims])
        state[prior_key(number)] = SimpleNormal(p.mu[dims], p.logvar[dims])
        state[sample_key(number)] = z[:, dims]
    keys = [tuple(key(number) for number in (0, 1)) for key in (posterior_key, prior_key, sample_key)]
    split = TotalCorrelation(*keys, dims=3, num_images=1000, batch_size=16)
    torch.testing.assert_close(split.loss(state), whole)


@pytest.mark.parametrize("estimator", WEIGHTS)
def test_the_gradient_is_right(estimator: str) -> None:
    loss = term(estimator=estimator)
    noise = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def value(mu: Tensor, logvar: Tensor) -> Tensor:
        q = SimpleNormal(mu, logvar)
        return loss.loss({**given(q), sample_key(0): mu + torch.exp(logvar / 2) * noise})

    torch.manual_seed(1)
    assert torch.autograd.gradcheck(value, tuple(torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)))


def test_bounded_families_have_finite_gradients() -> None:
    low = torch.randn(16, 3, dtype=torch.float64, requires_grad=True)
    q = SimpleUniform(low, low.detach() + 0.5)  # most codes lie outside of the others' intervals
    state = given(q)
    state[prior_key(0)] = SimpleUniform(torch.full((3,), -9.0).double(), torch.full((3,), 9.0).double())
    loss = term().loss(state)
    loss.backward()
    assert loss.isfinite()
    assert low.grad.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"num_images": 0}, "num_images must be positive, got 0"),
        ({"dims": 1}, "one latent has no total correlation; make distribution.dims at least 2"),
        ({"batch_size": 1}, "engine.batch_size must be from 2 to their number, 1,000, got 1"),
        ({"batch_size": 1001}, "engine.batch_size must be from 2 to their number, 1,000, got 1001"),
        ({"beta": -1.0}, "beta must not be negative, got -1.0"),
    ],
)
def test_what_has_no_total_correlation_is_refused(settings: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        term(**settings)


def test_its_weights_are_its_own() -> None:
    with pytest.raises(ValueError, match="TotalCorrelation has weights of its own"):
        term().with_beta(2)
    with pytest.raises(ValueError, match="TotalCorrelation takes no capacity"):
        term().with_linear_capacity()
