"""The uniform distribution on the half-open interval [a, b).

    log p(x) = -ln(b - a) for a <= x < b, else -inf
    H        = ln(b - a)

It has no mode.
"""

import math

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from vae_runner.distributions.base import Shape, SimpleDistribution, as_parameters

__all__ = ["SimpleUniform"]


class SimpleUniform(SimpleDistribution):
    """Uniform distribution on [`low`, `high`) (tensors or numbers, broadcast together).

    `low >= high` raises ValueError where looking is free: for numbers, and for tensors on the CPU outside of
    `torch.compile`. Elsewhere it would make the host wait for the device (or break the graph), so that only
    `validate_args=True` looks; unseen, such an interval has log density -inf everywhere.

    `high - low` has to be finite too: beyond, samples and quantiles may be NaN.

    `log_prob` is only piecewise differentiable: its gradient with respect to the value is 0.

    Example:
        >>> q = SimpleUniform(low=0.0, high=torch.tensor([1.0, 4.0]))
        >>> q.entropy()  # ln(b - a)
        tensor([0.0000, 1.3863])
        >>> q.log_prob(1.0)
        tensor([   -inf, -1.3863])
    """

    arg_constraints = {  # noqa: RUF012 - torch's own declaration
        "low": constraints.dependent(is_discrete=False, event_dim=0),
        "high": constraints.dependent(is_discrete=False, event_dim=0),
    }
    parameter_names = ("low", "high")

    def __init__(self, low: Tensor | float, high: Tensor | float, validate_args: bool = False) -> None:
        numbers = not isinstance(low, Tensor) and not isinstance(high, Tensor)
        if numbers and not low < high:
            raise ValueError(f"SimpleUniform: low must be less than high, but they are {low} and {high}")
        self.low, self.high = as_parameters(low, high)
        at_hand = self.low.device.type == "cpu" and not torch.compiler.is_compiling()
        if not numbers and (validate_args or at_hand):
            self._check_order()
        super().__init__(self.low.shape, validate_args=validate_args)

    def _check_order(self) -> None:
        wrong = ~(self.low < self.high)  # so that nan is wrong
        if wrong.any():
            low, high = self.low[wrong][0].item(), self.high[wrong][0].item()
            raise ValueError(f"SimpleUniform: low must be less than high, but somewhere they are {low} and {high}")

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.half_open_interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / math.sqrt(12)

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns a + (b - a) u with u ~ U[0, 1), `sample_shape + batch_shape`, in [low, high) also when rounded."""
        shape = self._extended_shape(Size(sample_shape))
        noise = torch.rand(shape, dtype=self.low.dtype, device=self.low.device)
        sample = self.low + (self.high - self.low) * noise
        largest = torch.nextafter(self.high.detach(), self.low.detach())
        return sample + (torch.minimum(sample.detach(), largest) - sample.detach())  # the gradient stays that of u

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns the log density at `value`, nats; -inf outside of [low, high)."""
        value = self._value(value)
        inside = (value >= self.low) & (value < self.high)
        return torch.where(inside, -(self.high - self.low).log(), -math.inf)

    def cdf(self, value: Tensor | float) -> Tensor:
        return ((self._value(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the quantile of the probability `value`."""
        return self.low + (self.high - self.low) * self._probability(value)

    def entropy(self) -> Tensor:
        """Returns the differential entropy, nats."""
        return (self.high - self.low).log()
