"""Latents that are numbers: the head of each family, from what the network puts out to its parameters."""

import math
from typing import Annotated

import torch
from torch import Tensor

from vae_runner.distributions import (
    Gamma,
    SimpleExponential,
    SimpleLaplace,
    SimpleNormal,
    SimpleUniform,
    SimpleWeibull,
)
from vae_runner.latent_space.base import LatentSpace, Prior, limited
from vae_runner.latent_space.opening import Open
from vae_runner.learned_prior import VampPrior
from vae_runner.signature import Limit, enforced, positive

__all__ = [
    "Bound",
    "ExponentialSpace",
    "GammaSpace",
    "LaplaceSpace",
    "NormalSpace",
    "UniformSpace",
    "WeibullSpace",
]

few = Limit("must be at most 100,000", lambda value: value <= 100_000)
Count = Annotated[int, positive, few]
Bound = Annotated[float, positive] | None


@enforced
class NormalSpace(LatentSpace):
    """q(z|x) = N(mu, e^logvar), diagonal; p(z) = N(0, 1) unless a `prior` is given.

    The log variance bends towards +-`logvar_limit`, and stays inside; None: it is what the network puts out, as most
    other programs have it, and may overflow.

    Example:
        >>> q = NormalSpace(dims=2).posterior(torch.tensor([[1.0, -1.0, 0.0, 0.0]]))  # mu, then log variance
        >>> q.mean, q.stddev
        (tensor([[ 1., -1.]]), tensor([[1., 1.]]))
    """

    family = "normal"
    own_prior = SimpleNormal

    def __init__(
        self, dims: Count = 10, prior: Prior | None = None, open: Open = None, logvar_limit: Bound = 20.0
    ) -> None:
        super().__init__(dims, 2 * dims, prior or SimpleNormal(0.0, 0.0), open)
        self.logvar_limit = logvar_limit

    def posterior(self, raw: Tensor) -> SimpleNormal:
        mu, logvar = raw.float().chunk(2, dim=1)
        bound = self.logvar_limit
        return self._opened(SimpleNormal(mu, logvar if bound is None else limited(logvar, -bound, bound)))


@enforced
class LaplaceSpace(LatentSpace):
    """q(z|x) = Laplace(loc, scale); p(z) = Laplace(0, 1) unless a `prior` is given.

    Example:
        >>> LaplaceSpace(dims=2).posterior(torch.zeros(1, 4)).scale  # of zeros, the prior
        tensor([[1., 1.]])
    """

    family = "laplace"
    own_prior = SimpleLaplace

    def __init__(self, dims: Count = 10, prior: Prior | None = None, open: Open = None) -> None:
        super().__init__(dims, 2 * dims, prior or SimpleLaplace(0.0, 1.0), open)

    def posterior(self, raw: Tensor) -> SimpleLaplace:
        loc, logscale = raw.float().chunk(2, dim=1)
        return self._opened(SimpleLaplace(loc, limited(logscale, -10, 10).exp()))


@enforced
class ExponentialSpace(LatentSpace):
    """q(z|x) = Exponential(e^lograte), one parameter for each dimension; p(z) = Exponential(1) unless given.

    Example:
        >>> ExponentialSpace(dims=2).posterior(torch.zeros(1, 2)).mean
        tensor([[1., 1.]])
    """

    family = "exponential"
    own_prior = SimpleExponential

    def __init__(self, dims: Count = 10, prior: Prior | None = None, open: Open = None) -> None:
        super().__init__(dims, dims, prior or SimpleExponential(0.0), open)

    def posterior(self, raw: Tensor) -> SimpleExponential:
        return self._opened(SimpleExponential(limited(raw.float(), -20, 20)))


@enforced
class WeibullSpace(LatentSpace):
    """q(z|x) = Weibull(scale l, shape k); p(z) = Weibull(1, 1) unless given (Squires et al. 2019, arXiv 1906.05912).

    Example:
        >>> WeibullSpace(dims=2).posterior(torch.zeros(1, 4)).k  # a shape of 1: exponential
        tensor([[1., 1.]])
    """

    family = "weibull"
    own_prior = SimpleWeibull

    def __init__(self, dims: Count = 10, prior: Prior | None = None, open: Open = None) -> None:
        super().__init__(dims, 2 * dims, prior or SimpleWeibull(1.0, 1.0), open)

    def posterior(self, raw: Tensor) -> SimpleWeibull:
        logscale, logshape = raw.float().chunk(2, dim=1)
        shape = limited(logshape, -math.log(10), math.log(30)).exp()
        return self._opened(SimpleWeibull(limited(logscale, -10, 10).exp(), shape))


@enforced
class GammaSpace(LatentSpace):
    """q(z|x) = Gamma(concentration, concentration / mean); p(z) = Gamma(1, 1) unless a `prior` is given.

    Example:
        >>> GammaSpace(dims=2).posterior(torch.tensor([[1.0, 1.0, 0.0, 0.0]])).mean.log()  # nearly what was put in
        tensor([[0.9967, 0.9967]])
    """

    family = "gamma"
    own_prior = Gamma

    def __init__(self, dims: Count = 10, prior: Prior | None = None, open: Open = None) -> None:
        super().__init__(dims, 2 * dims, prior or Gamma(1.0, 1.0), open)

    def posterior(self, raw: Tensor) -> Gamma:
        logmean, logconcentration = raw.float().chunk(2, dim=1)
        concentration = limited(logconcentration, -math.log(20), math.log(1000)).exp()
        return self._opened(Gamma(concentration, concentration * (-limited(logmean, -10, 10)).exp()))


@enforced
class UniformSpace(LatentSpace):
    """q(z|x) = Uniform(low, high); p(z) = Uniform(-1, 1) unless a `prior` is given.

    Inside a uniform prior, the KL is minus the logarithm of the part of it that the posterior takes.

    Example:
        >>> q = UniformSpace(dims=1).posterior(torch.zeros(1, 2))
        >>> q.low, q.high  # 0.88 of [-1, 1]
        (tensor([[-0.8808]]), tensor([[0.8808]]))
    """

    family = "uniform"
    own_prior = SimpleUniform
    prior_low: Tensor
    prior_high: Tensor

    def __init__(self, dims: Count = 10, prior: Prior | None = None, open: Open = None) -> None:
        prior = prior or SimpleUniform(-1.0, 1.0)
        if isinstance(prior, VampPrior):
            raise ValueError("prior: vamp, of uniform posteriors, has gaps, where the KL is infinite; take mixture")
        super().__init__(dims, 2 * dims, prior, open)
        self.nested = {"low", "high"} <= set(self.prior_names)

    def posterior(self, raw: Tensor) -> SimpleUniform:
        centre, width = raw.float().chunk(2, dim=1)
        if not self.nested:
            half = math.sqrt(3) * limited(width, -10, 10).exp()
            return _interval(centre - half, centre + half)  # none is closed: that needs a uniform prior
        low, high = self.prior_low, self.prior_high
        part = torch.sigmoid(2 + limited(width, -10, 10))
        start = low + (high - low) * (1 - part) * torch.sigmoid(centre)
        start = _moved(start, torch.minimum(start, torch.nextafter(high, low)))
        return self._opened(_interval(start, torch.minimum(start + (high - low) * part, high)))  # not an ulp beyond


def _interval(low: Tensor, high: Tensor) -> SimpleUniform:
    """Returns the uniform distribution on [low, high), an ulp wide where both are rounded to one number."""
    next_to_low = torch.nextafter(low.detach(), torch.full_like(low, math.inf))
    return SimpleUniform(low, _moved(high, torch.maximum(high, next_to_low)))


def _moved(value: Tensor, to: Tensor) -> Tensor:
    """Returns `to`, with the gradient of `value`."""
    return value + (to.detach() - value.detach())
