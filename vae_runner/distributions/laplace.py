"""The Laplace distribution, with location m and scale b.

log p(x) = -|x - m| / b - ln 2b
x        = m + b (E1 - E2),    E1, E2 ~ Exp(1)
H        = 1 + ln 2b

Kotz, Kozubowski & Podgorski 2001, The Laplace distribution and generalizations, Birkhauser, chapter 2.
"""

import math

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from vae_runner.distributions.base import Shape, SimpleDistribution, as_parameters

__all__ = ["SimpleLaplace"]


class SimpleLaplace(SimpleDistribution):
    """Laplace distribution with location `loc` and scale `scale` (tensors or numbers, broadcast together).

    `log_prob` has no derivative at the location; its gradient there is given as 0.

    Example:
        >>> q = SimpleLaplace(loc=torch.tensor([0.0, 1.0]), scale=2.0)
        >>> q.cdf(q.loc), q.variance  # 2 b^2
        (tensor([0.5000, 0.5000]), tensor([8., 8.]))
        >>> q.entropy()  # 1 + ln 2b
        tensor([2.3863, 2.3863])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012 - torch's own declaration
    support = constraints.real
    parameter_names = ("loc", "scale")

    def __init__(self, loc: Tensor | float, scale: Tensor | float, validate_args: bool = False) -> None:
        self.loc, self.scale = as_parameters(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale.square()

    @property
    def stddev(self) -> Tensor:
        return math.sqrt(2) * self.scale

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns m + b (E1 - E2), `sample_shape + batch_shape`: finite, since E is."""
        shape = Size((2, *self._extended_shape(Size(sample_shape))))
        first, second = torch.empty(shape, dtype=self.loc.dtype, device=self.loc.device).exponential_().unbind()
        return self.loc + self.scale * (first - second)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns the log density at `value`, nats."""
        return -(self._value(value) - self.loc).abs() / self.scale - (2 * self.scale).log()

    def cdf(self, value: Tensor | float) -> Tensor:
        scaled = (self._value(value) - self.loc) / self.scale
        left = scaled.clamp(max=0).exp() / 2  # no 1 - ... in this tail: it keeps its digits down to the smallest number
        right = 0.5 - torch.expm1(-torch.where(scaled < 0, 0.0, scaled)) / 2
        return torch.where(scaled < 0, left, right)

    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the quantile of the probability `value`."""
        value = self._probability(value)
        left, right = (2 * value).log(), -(2 * (1 - value)).log()
        return self.loc + self.scale * torch.where(value < 0.5, left, right)

    def entropy(self) -> Tensor:
        """Returns the differential entropy, nats."""
        return 1 + (2 * self.scale).log()
