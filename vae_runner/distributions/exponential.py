"""The exponential distribution, with lr the log rate.

log p(x) = lr - e^lr x for x >= 0, else -inf
H        = 1 - lr
"""

import math

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from vae_runner.distributions.base import Shape, SimpleDistribution, as_parameters
from vae_runner.distributions.special import log_standard_exponential, sample_exp, times_exp

__all__ = ["SimpleExponential"]


class SimpleExponential(SimpleDistribution):
    """Exponential distribution with log rate `lograte` (a tensor or a number).

    Example:
        >>> q = SimpleExponential(lograte=torch.tensor([0.0, math.log(4)]))
        >>> q.mean, q.log_prob(0.0)
        (tensor([1.0000, 0.2500]), tensor([0.0000, 1.3863]))
        >>> q.log_prob(-1.0)
        tensor([-inf, -inf])
    """

    arg_constraints = {"lograte": constraints.real}  # noqa: RUF012 - torch's own declaration
    support = constraints.nonnegative
    parameter_names = ("lograte",)

    def __init__(self, lograte: Tensor | float, validate_args: bool = False) -> None:
        (self.lograte,) = as_parameters(lograte)
        super().__init__(self.lograte.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return (-self.lograte).exp()

    @property
    def mode(self) -> Tensor:
        return torch.zeros_like(self.lograte)

    @property
    def variance(self) -> Tensor:
        return (-2 * self.lograte).exp()

    @property
    def stddev(self) -> Tensor:
        return self.mean

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns e^(ln E - lr) with E ~ Exp(1), `sample_shape + batch_shape`, finite and positive."""
        shape = self._extended_shape(Size(sample_shape))
        return sample_exp(log_standard_exponential(shape, self.lograte) - self.lograte)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns the log density at `value`, nats; -inf below 0 and at inf."""
        value = self._value(value)
        outside = (value < 0) | (value == math.inf)
        inside = self.lograte - times_exp(torch.where(outside, 0.0, value), self.lograte)
        return torch.where(outside, -math.inf, inside)

    def cdf(self, value: Tensor | float) -> Tensor:
        value = self._value(value)
        certain = (value == math.inf) | (times_exp(value, self.lograte).detach() == math.inf)
        inside = -torch.expm1(-times_exp(torch.where(certain, 0.0, value).clamp(min=0), self.lograte))
        return torch.where(certain, 1.0, inside)

    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the quantile of the probability `value`."""
        return -torch.log1p(-self._probability(value)) * self.mean

    def entropy(self) -> Tensor:
        """Returns the differential entropy, nats."""
        return 1 - self.lograte
