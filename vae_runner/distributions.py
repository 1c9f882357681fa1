"""Distributions in the parametrisation that a network's output has, with the KL divergences between them.

`SimpleNormal(mu, logvar)`, with lv the log variance:

    log p(x) = -[(x - mu)^2 e^-lv + lv + ln 2 pi] / 2
    H        = (1 + ln 2 pi + lv) / 2
    KL(1||2) = [expm1(lv1 - lv2) - (lv1 - lv2) + (mu1 - mu2)^2 e^-lv2] / 2        Kingma & Welling 2014, appendix B

`torch.distributions.kl_divergence` finds the KLs by the pair of types.
"""

import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Normal, constraints, register_kl
from torch.distributions.utils import broadcast_all

__all__ = ["SimpleDistribution", "SimpleNormal"]

LOG_TWO_PI = math.log(2 * math.pi)


class SimpleDistribution(Distribution):
    """Base class: a reparameterised distribution whose parameters are named in `parameter_names`.

    A subclass sets `arg_constraints`, `support` and `parameter_names`, and implements `rsample` and `log_prob`.
    What a family cannot offer raises `NotImplementedError`. Where `log_prob` is not differentiable with respect to
    the parameters or the value, the subclass says so.
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

    def expand(self, batch_shape: Size, _instance: Any = None) -> "SimpleDistribution":
        """The same distribution with its parameters expanded (not copied) to `batch_shape`."""
        new = self._get_checked_instance(type(self), _instance)
        shape = Size(batch_shape)
        for name in self.parameter_names:
            setattr(new, name, getattr(self, name).expand(shape))
        SimpleDistribution.__init__(new, shape, self.event_shape)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Size = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns a reparameterised sample, `sample_shape + batch_shape`, with gradients to the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density at `value`, nats."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")


class SimpleNormal(SimpleDistribution):
    """Normal distribution with mean `mu` and log variance `logvar` (tensors or numbers, broadcast together).

    Value and gradients stay finite for every `logvar` whose exp(-logvar) is, and `log_prob(mu)` beyond.
    """

    arg_constraints = {"mu": constraints.real, "logvar": constraints.real}  # noqa: RUF012 - torch's own declaration
    support = constraints.real
    parameter_names = ("mu", "logvar")

    def __init__(self, mu: Tensor | float, logvar: Tensor | float, validate_args: bool = False) -> None:
        self.mu, self.logvar = broadcast_all(mu, logvar)
        super().__init__(self.mu.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.mu

    @property
    def mode(self) -> Tensor:
        return self.mu

    @property
    def variance(self) -> Tensor:
        return self.logvar.exp()

    @property
    def stddev(self) -> Tensor:
        return (self.logvar / 2).exp()

    def rsample(self, sample_shape: Size = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns mu + e^(lv/2) eps with eps ~ N(0, 1), `sample_shape + batch_shape`."""
        shape = self._extended_shape(Size(sample_shape))
        noise = torch.randn(shape, dtype=self.mu.dtype, device=self.mu.device)
        return self.mu + self.stddev * noise

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns the log density at `value`, nats."""
        if self._validate_args:
            self._validate_sample(torch.as_tensor(value))
        standardised = (value - self.mu) * (-self.logvar / 2).exp()  # squared only when scaled: no 0 * inf
        return -(standardised.square() + self.logvar + LOG_TWO_PI) / 2

    def cdf(self, value: Tensor | float) -> Tensor:
        return torch.special.ndtr((value - self.mu) * (-self.logvar / 2).exp())

    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the quantile of the probability `value`."""
        return self.mu + self.stddev * torch.special.ndtri(torch.as_tensor(value).to(self.mu))

    def entropy(self) -> Tensor:
        """Returns the differential entropy, nats."""
        return (1 + LOG_TWO_PI + self.logvar) / 2


def _kl_normal(mu1: Tensor, logvar1: Tensor, mu2: Tensor, logvar2: Tensor) -> Tensor:
    difference = logvar1 - logvar2
    scaled = (mu1 - mu2) * (-logvar2 / 2).exp()
    return (torch.expm1(difference) - difference + scaled.square()) / 2


@register_kl(SimpleNormal, SimpleNormal)
def _kl_simple_simple(p: SimpleNormal, q: SimpleNormal) -> Tensor:
    return _kl_normal(p.mu, p.logvar, q.mu, q.logvar)


@register_kl(SimpleNormal, Normal)
def _kl_simple_torch(p: SimpleNormal, q: Normal) -> Tensor:
    return _kl_normal(p.mu, p.logvar, q.loc, 2 * q.scale.log())


@register_kl(Normal, SimpleNormal)
def _kl_torch_simple(p: Normal, q: SimpleNormal) -> Tensor:
    return _kl_normal(p.loc, 2 * p.scale.log(), q.mu, q.logvar)
