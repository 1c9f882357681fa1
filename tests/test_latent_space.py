"""Heads and priors: the legal range, the start, the limits."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    ContinuousBernoulli,
    Exponential,
    ExpTransform,
    Gumbel,
    MultivariateNormal,
    Normal,
    RelaxedBernoulli,
    TransformedDistribution,
    kl_divergence,
)
from torch.distributions.constraints import is_dependent

from vae_runner.distributions import SimpleNormal, SimpleUniform, SimpleWeibull
from vae_runner.latent_space import (
    ExponentialSpace,
    GammaSpace,
    LaplaceSpace,
    LatentSpace,
    NormalSpace,
    UniformSpace,
    WeibullSpace,
    limited,
)

FAMILIES = (NormalSpace, LaplaceSpace, ExponentialSpace, WeibullSpace, GammaSpace, UniformSpace)
each_family = pytest.mark.parametrize("family", FAMILIES)


def raw_numbers(space: LatentSpace) -> Tensor:
    """Outputs of a network: usual ones, wild ones, and every corner of +-1e4."""
    generator = torch.Generator().manual_seed(0)
    usual = torch.randn(200, space.num_parameters, generator=generator)
    corners = torch.tensor([[a, b] for a in (-1e4, 0.0, 1e4) for b in (-1e4, 0.0, 1e4)])
    corners = corners.repeat_interleave(space.dims, 1)[:, : space.num_parameters]
    return torch.cat([usual, 30 * usual, corners])


def test_limited_is_the_identity_near_0_and_stays_inside() -> None:
    x = torch.linspace(-1e-2, 1e-2, 5, dtype=torch.float64)
    torch.testing.assert_close(limited(x, -3, 5), x, rtol=1e-4, atol=0)
    x = torch.tensor([-1e30, -10.0, 0.0, 10.0, 1e30], requires_grad=True)
    y = limited(x, -3, 5)
    y.sum().backward()
    assert y.detach().tolist() == pytest.approx([-3, -3 * math.tanh(10 / 3), 0, 5 * math.tanh(2), 5])
    assert x.grad.tolist() == pytest.approx([0, 1 - math.tanh(10 / 3) ** 2, 1, 1 - math.tanh(2) ** 2, 0], abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES[:5])
def test_the_posterior_of_zeros_is_the_standard_prior(family: Callable[..., LatentSpace]) -> None:
    space = family(3)
    kl = kl_divergence(space.posterior(torch.zeros(2, space.num_parameters)), space.prior())
    torch.testing.assert_close(kl, torch.zeros(2, 3), atol=1e-6, rtol=0)


def test_the_uniform_posterior_of_zeros_takes_most_of_its_prior() -> None:
    space = UniformSpace(3)
    posterior = space.posterior(torch.zeros(1, 6))
    torch.testing.assert_close(posterior.mean, torch.zeros(1, 3))
    kl = kl_divergence(posterior, space.prior())
    torch.testing.assert_close(kl, torch.full((1, 3), math.log(1 + math.exp(-2))))  # -ln sigmoid(2)


@each_family
def test_no_network_output_leaves_the_legal_range(family: Callable[..., LatentSpace]) -> None:
    space = family(3)
    posterior = space.posterior(raw_numbers(space))
    assert posterior.batch_shape == (409, 3)
    for name, constraint in posterior.arg_constraints.items():
        if not is_dependent(constraint):
            assert constraint.check(getattr(posterior, name)).all(), name


@each_family
def test_samples_densities_and_kl_are_finite_for_any_network_output(family: Callable[..., LatentSpace]) -> None:
    torch.manual_seed(0)
    space = family(3)
    raw = raw_numbers(space)
    usual = raw[:200].requires_grad_()
    wild = raw[200:].requires_grad_()
    for part in (usual, wild):
        posterior = space.posterior(part)
        z = posterior.rsample()
        kl = kl_divergence(posterior, space.prior())
        assert z.isfinite().all()
        assert posterior.log_prob(z.detach()).isfinite().all()
        assert not kl.isnan().any()
    (gradient,) = torch.autograd.grad((kl_divergence(space.posterior(usual), space.prior()) + z[:200]).sum(), usual)
    assert gradient.isfinite().all()


def test_the_uniform_posterior_stays_inside_its_prior_to_the_last_bit() -> None:
    for low, high in ((-1.0, 1.0), (0.1, 0.7), (-1e3, 1e-3)):
        space = UniformSpace(3, prior=SimpleUniform(low, high))
        posterior = space.posterior(raw_numbers(space))
        assert (posterior.low >= space.prior_low).all()
        assert (posterior.high <= space.prior_high).all()
        assert (posterior.low < posterior.high).all()
        assert kl_divergence(posterior, space.prior()).isfinite().all()


@pytest.mark.parametrize("largest", [1e10, 1e18])
@each_family
def test_nothing_overflows_up_to_the_largest_numbers_that_are_promised(
    family: Callable[..., LatentSpace], largest: float
) -> None:
    torch.manual_seed(0)
    priors = (None, SimpleNormal(0.0, 0.0)) if family is UniformSpace else (None,)
    for prior in priors:
        space = family(1, prior=prior)
        raw = torch.tensor([[a, b] for a in (-largest, 0.0, largest) for b in (-largest, 0.0, largest)])
        raw = raw[:, : space.num_parameters].requires_grad_()
        posterior = space.posterior(raw)
        kl = kl_divergence(posterior, space.prior())
        assert kl.isfinite().all()
        assert posterior.log_prob(posterior.rsample()).isfinite().all()
        assert torch.autograd.grad(kl.sum(), raw)[0].isfinite().all()


def test_a_uniform_posterior_far_off_is_an_ulp_wide_with_the_gradients_of_its_ends() -> None:
    # at 4096 a half width of 8e-5 is rounded off
    raw = torch.tensor([[4096.0, -100.0], [-1e18, 0.0], [16777216.0, -1.0], [0.5, -100.0]], requires_grad=True)
    posterior = UniformSpace(1, prior=SimpleNormal(0.0, 0.0)).posterior(raw)
    expected = torch.nextafter(posterior.low, torch.tensor(math.inf))[:2]
    torch.testing.assert_close(posterior.high[:2], expected, rtol=0, atol=0)
    assert (posterior.low < posterior.high).all()
    assert (posterior.high - posterior.low)[3].item() == pytest.approx(2 * math.sqrt(3) * math.exp(-10), rel=1e-3)
    half = math.sqrt(3) * math.exp(float(limited(torch.tensor(-1.0), -10, 10)))
    slope = half * (1 - math.tanh(0.1) ** 2)
    for end, sign in ((posterior.low, -1), (posterior.high, 1)):
        gradient = torch.autograd.grad(end[2], raw, retain_graph=True)[0][2]
        assert gradient.tolist() == pytest.approx([1, sign * slope])


@pytest.mark.parametrize(("low", "high"), [(1000.0, 1000.001), (1000.0, 1000.0001), (-1e8, -1e8 + 8)])
def test_the_uniform_posterior_fits_into_a_prior_of_few_ulps(low: float, high: float) -> None:
    space = UniformSpace(3, prior=SimpleUniform(low, high))
    posterior = space.posterior(raw_numbers(space))
    assert (posterior.low >= space.prior_low).all()
    assert (posterior.low < posterior.high).all()
    assert (posterior.high <= space.prior_high).all()


def test_a_uniform_posterior_under_a_normal_prior_starts_at_its_moments() -> None:
    space = UniformSpace(2, prior=SimpleNormal(0.0, 0.0))
    posterior = space.posterior(torch.zeros(1, 4))
    torch.testing.assert_close(posterior.mean, torch.zeros(1, 2))
    torch.testing.assert_close(posterior.variance, torch.ones(1, 2))


@each_family
def test_heads_put_out_float32_whatever_comes_in(family: Callable[..., LatentSpace]) -> None:
    space = family(2)
    assert space.posterior(torch.zeros(1, space.num_parameters, dtype=torch.bfloat16)).mean.dtype == torch.float32


def test_the_gamma_head_keeps_mean_and_concentration_apart() -> None:
    posterior = GammaSpace(1).posterior(torch.tensor([[0.7, 1.2]]))
    mean, concentration = (math.exp(float(limited(torch.tensor(x), -b, t))) for x, b, t in (
        (0.7, 10, 10), (1.2, math.log(20), math.log(1000)),
    ))  # fmt: skip
    assert posterior.mean.item() == pytest.approx(mean, rel=1e-6)
    assert posterior.variance.item() == pytest.approx(mean**2 / concentration, rel=1e-6)


def test_the_prior_is_an_argument_and_moves_with_the_model() -> None:
    space = NormalSpace(3, prior=SimpleNormal(torch.tensor([1.0, 2.0, 3.0]), -1.0))
    assert space.prior().mean.tolist() == [1, 2, 3]
    assert space.prior().variance.tolist() == pytest.approx([math.exp(-1)] * 3)
    other = NormalSpace(3)
    other.load_state_dict(space.state_dict())
    assert other.prior().mean.tolist() == [1, 2, 3]
    assert space.double().prior().mean.dtype == torch.float64


@pytest.mark.parametrize("prior", [Normal(1.0, 2.0), Gumbel(0.0, 1.0), SimpleWeibull(2.0, 3.0)], ids=str)
def test_the_prior_may_be_of_any_continuous_family(prior: torch.distributions.Distribution) -> None:
    made = NormalSpace(4, prior=prior).prior()
    assert type(made) is type(prior)
    assert made.batch_shape == (4,)
    torch.testing.assert_close(made.mean, prior.mean.expand(4))


@pytest.mark.parametrize("given", ["probs", "logits"])
def test_a_prior_of_exclusive_parameters_is_made_of_the_given_one(given: str) -> None:
    for asked in (False, True):
        prior = ContinuousBernoulli(**{given: torch.tensor(0.3)})
        if asked:
            assert prior.probs.isfinite()
            assert prior.logits.isfinite()
        space = UniformSpace(2, prior=prior)
        assert list(space.state_dict()) == [f"prior_{given}"]
        torch.testing.assert_close(space.prior().probs, prior.probs.expand(2))
        torch.testing.assert_close(
            space.prior().log_prob(torch.tensor(0.2)), prior.log_prob(torch.tensor(0.2)).expand(2)
        )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: SimpleWeibull(-1.0, 1.0), "prior: SimpleWeibull's l must be positive, got -1.0"),
        (lambda: SimpleNormal(0.0, math.nan), "prior: SimpleNormal's logvar must be in Real"),
        (lambda: SimpleNormal(torch.zeros(3), 0.0), "prior: SimpleNormal's mu has shape .3,.; give one number, or 2"),
        (lambda: MultivariateNormal(torch.zeros(2), torch.eye(2)), "not a continuous distribution of one number"),
        (
            lambda: TransformedDistribution(Normal(0.0, 1.0), [ExpTransform()]),
            "TransformedDistribution cannot be made of no parameters: ",
        ),
        (
            lambda: RelaxedBernoulli(torch.tensor(0.5), torch.tensor(0.3)),
            "RelaxedBernoulli cannot be made of logits: .*temperature",
        ),
        (lambda: Categorical(torch.ones(2)), "not a continuous distribution of one number"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(
    make: Callable[[], torch.distributions.Distribution], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        NormalSpace(2, prior=make())


def test_torchs_own_exponential_serves_as_a_prior() -> None:
    space = ExponentialSpace(2, prior=Exponential(3.0))
    kl = kl_divergence(space.posterior(torch.zeros(1, 2)), space.prior())
    torch.testing.assert_close(kl, torch.full((1, 2), -math.log(3.0) + 3 - 1))


def test_the_base_class_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="posterior"):
        LatentSpace(2, 4, SimpleNormal(0.0, 0.0)).posterior(torch.zeros(1, 4))
