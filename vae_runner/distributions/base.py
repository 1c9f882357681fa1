"""What the distributions have in common.

A reparameterised distribution draws noise that knows nothing of the parameters, and moves it:

    x = g(eps; theta),    d E f(x) / d theta = E f'(x) dg / d theta

Kingma & Welling 2014, arXiv 1312.6114, section 2.4.
"""

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

__all__ = ["Shape", "SimpleDistribution", "as_parameters", "as_value", "held"]

Shape = Size | list[int] | tuple[int, ...]  # as torch takes it


def as_parameters(*values: Tensor | float) -> tuple[Tensor, ...]:
    """Returns `values` as tensors of one shape; tensors of integers take torch's default precision, numbers theirs."""
    floating = (
        value.to(torch.get_default_dtype()) if isinstance(value, Tensor) and not value.is_floating_point() else value
        for value in values
    )
    return tuple(broadcast_all(*floating))


def as_value(distribution: Distribution, value: Tensor | float, like: Tensor) -> Tensor:
    """Returns `value` as a tensor, numbers and integers in the precision of `like`; where the distribution validates,
    checks it.
    """
    if not isinstance(value, Tensor) or not value.is_floating_point():
        value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if distribution._validate_args:
        distribution._validate_sample(value)
    return value


def held(distribution: Distribution) -> Distribution:
    """Returns the same distribution, no gradient of which comes to its parameters."""
    names = getattr(distribution, "parameter_names", None) or tuple(distribution.arg_constraints)
    values = {name: getattr(distribution, name).detach() for name in names}
    return type(distribution)(**values, validate_args=False)


class SimpleDistribution(Distribution):
    """Base class: a reparameterised distribution whose parameters are named in `parameter_names`.

    A subclass sets `arg_constraints`, `support` and, where it names others than these constraints,
    `parameter_names`, and implements `rsample` and `log_prob`.
    What a family cannot offer raises `NotImplementedError`. Where `log_prob` is not differentiable with respect to
    the parameters or the value, the subclass says so.

    Example:
        >>> class At(SimpleDistribution):
        ...     parameter_names = ("x",)
        ...     def __init__(self, x):
        ...         self.x = x
        ...         super().__init__(x.shape)
        >>> At(torch.zeros(1)).expand([3]).x
        tensor([0., 0., 0.])
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own declaration
    parameter_names: tuple[str, ...] = ()

    def __init__(
        self,
        batch_shape: Size = Size(),  # noqa: B008 - immutable
        event_shape: Size = Size(),  # noqa: B008 - immutable
        validate_args: bool = False,  # off: a check of values makes the host wait for the device at every step
    ) -> None:
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "SimpleDistribution":
        """Returns the same distribution with its parameters expanded (not copied) to `batch_shape`."""
        names = self._names()
        if not names:
            raise NotImplementedError(f"{type(self).__name__}: set parameter_names for expand")
        new = self._get_checked_instance(type(self), _instance)
        shape = Size(batch_shape)
        for name in names:
            setattr(new, name, getattr(self, name).expand(shape))
        SimpleDistribution.__init__(new, shape, self.event_shape)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns a reparameterised sample, `sample_shape + batch_shape`, with gradients to the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density at `value`, nats."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def _names(self) -> tuple[str, ...]:
        return self.parameter_names or tuple(self.arg_constraints)

    def _value(self, value: Tensor | float) -> Tensor:
        return as_value(self, value, like=getattr(self, self._names()[0]))

    def _probability(self, value: Tensor | float) -> Tensor:
        like = getattr(self, self._names()[0])
        return torch.as_tensor(value, dtype=like.dtype, device=like.device)
