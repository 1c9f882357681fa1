"""The Weibull distribution, with scale l and shape k; g is Euler's constant.

    log p(x) = ln k - ln l + (k - 1)(ln x - ln l) - (x / l)^k for x > 0, its right limit at 0, -inf below
    x        = l E^(1/k),    E ~ Exp(1)
    E x      = l G(1 + 1/k),    Var x = l^2 [G(1 + 2/k) - G(1 + 1/k)^2]
    H        = g (1 - 1/k) + ln(l/k) + 1

Squires, Prugel-Bennett & Niranjan 2019, arXiv 1906.05912, "A variational autoencoder for probabilistic non-negative
matrix factorisation". k = 1 is the exponential distribution of rate 1/l.
"""

import math

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from vae_runner.distributions.base import Shape, SimpleDistribution, as_parameters
from vae_runner.distributions.special import EULER_GAMMA, lgamma_gap, log_standard_exponential, sample_exp

__all__ = ["SimpleWeibull", "weibull_entropy", "weibull_log_mean", "weibull_log_variance"]


def weibull_log_mean(log_scale: Tensor, k: Tensor) -> Tensor:
    """Returns ln E x = ln l + ln G(1 + 1/k), in the parameters' shape."""
    return log_scale + torch.lgamma(1 + 1 / k)


def weibull_log_variance(log_scale: Tensor, k: Tensor) -> Tensor:
    """Returns 2 ln E x + ln(e^v - 1) with v = ln G(1 + 2/k) - 2 ln G(1 + 1/k): no difference, no overflow."""
    v = lgamma_gap(1 / k)
    return 2 * weibull_log_mean(log_scale, k) + v + torch.log(-torch.expm1(-v))


def weibull_entropy(log_scale: Tensor, k: Tensor) -> Tensor:
    """Returns the differential entropy, nats, of a log scale and a shape."""
    return EULER_GAMMA * (1 - 1 / k) + log_scale - k.log() + 1


class SimpleWeibull(SimpleDistribution):
    """Weibull distribution with scale `l` and shape `k` (tensors or numbers, broadcast together).

    Example:
        >>> q = SimpleWeibull(l=2.0, k=torch.tensor([1.0, 2.0]))  # k = 1: an exponential of mean l
        >>> q.mean  # 2 G(3/2) = sqrt(pi)
        tensor([2.0000, 1.7725])
        >>> q.cdf(2.0)  # 1 - 1/e, whatever k
        tensor([0.6321, 0.6321])
    """

    arg_constraints = {"l": constraints.positive, "k": constraints.positive}  # noqa: RUF012 - torch's own declaration
    support = constraints.nonnegative
    parameter_names = ("l", "k")

    def __init__(self, l: Tensor | float, k: Tensor | float, validate_args: bool = False) -> None:  # noqa: E741
        self.l, self.k = as_parameters(l, k)
        super().__init__(self.l.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return weibull_log_mean(self.l.log(), self.k).exp()

    @property
    def mode(self) -> Tensor:
        peaked = self.k > 1
        k = torch.where(peaked, self.k, 2.0)
        return torch.where(peaked, self.l * (torch.log1p(-1 / k) / k).exp(), 0.0)

    @property
    def variance(self) -> Tensor:
        return weibull_log_variance(self.l.log(), self.k).exp()

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns e^(ln l + ln E / k) with E ~ Exp(1), `sample_shape + batch_shape`, finite and positive."""
        shape = self._extended_shape(Size(sample_shape))
        return sample_exp(self.l.log() + log_standard_exponential(shape, self.l) / self.k)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns the log density at `value`, nats; -inf below 0 and at inf, at 0 the right limit."""
        value = self._value(value)
        log_scale, scaled = self.l.log(), self._log_scaled(value)
        inside = self.k.log() - log_scale + (self.k - 1) * scaled - (self.k * scaled).exp()
        at_zero = torch.where(self.k < 1, math.inf, torch.where(self.k > 1, -math.inf, -log_scale))
        outside = (value < 0) | (value == math.inf)
        return torch.where(outside, -math.inf, torch.where(value == 0, at_zero, inside))

    def cdf(self, value: Tensor | float) -> Tensor:
        value = self._value(value)
        log_hazard = (self.k * self._log_scaled(value)).clamp(max=math.log(torch.finfo(self.k.dtype).max) - 1)
        inside = -torch.expm1(-log_hazard.exp())  # at the limit it is 1, with no slope
        return torch.where(value <= 0, 0.0, torch.where(value == math.inf, 1.0, inside))

    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the quantile of the probability `value`."""
        value = self._probability(value)
        log_hazard = (-torch.log1p(-torch.where(value == 0, 0.5, value))).log()
        return torch.where(value == 0, 0.0, (self.l.log() + log_hazard / self.k).exp())

    def entropy(self) -> Tensor:
        """Returns the differential entropy, nats."""
        return weibull_entropy(self.l.log(), self.k)

    def _log_scaled(self, value: Tensor) -> Tensor:
        """Returns ln(x/l); 0 where x is not inside (0, inf), which must not be used."""
        unused = (value <= 0) | (value == math.inf)
        return torch.where(unused, self.l.detach(), value).log() - self.l.log()
