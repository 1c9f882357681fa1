"""A mixture of distributions of D numbers: p(z) = sum_k w_k prod_d p_k(z_d).

Its dimensions are independent in each component, and not in the mixture. What is told of one dimension d is that of it
given those before, which the chain rule sums to log p(z):

    log p(z_d | z_1..z_d-1) = L_d - L_d-1,    L_d = log sum_k w_k prod_e<=d p_k(z_e),    sum_d = L_D = log p(z)

so that a KL's parts sum to the KL, and none is negative in the mean. `mean`, `variance`, `cdf` and `icdf` are those of
each dimension alone; `icdf` has no formula, and is found by halving between the components' quantiles.
"""

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from vae_runner.distributions.base import Shape, SimpleDistribution
from vae_runner.distributions.special import log_sum_exp

__all__ = ["Mixture"]

HALVINGS = {torch.float32: 40, torch.float64: 80}  # until the bits of the value are used up


class Mixture(SimpleDistribution):
    """The mixture of `components`, batch shape (K, D), whose weights have these log odds `logits`, (K,).

    Batch shape (D,), or what `expand` says. Draws have no gradient: which component one is of is a choice.

    Example:
        >>> from vae_runner.distributions.normal import SimpleNormal
        >>> p = Mixture(torch.zeros(2), SimpleNormal(torch.tensor([[-3.0], [3.0]]), 0.0))  # K = 2 of D = 1
        >>> p.mean, p.variance  # 1 within, 3^2 between
        (tensor([0.]), tensor([10.]))
        >>> p.sample((5,)).shape
        torch.Size([5, 1])
    """

    has_rsample = False
    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012 - torch's own declaration
    parameter_names = ("logits",)

    def __init__(self, logits: Tensor, components: Distribution, validate_args: bool = False) -> None:
        self.logits, self.components = logits, components
        super().__init__(components.batch_shape[1:], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return self.components.support

    @property
    def weights(self) -> Tensor:
        """w_k, (K, 1)."""
        return torch.softmax(self.logits, 0).unsqueeze(1)

    @property
    def mean(self) -> Tensor:
        return (self.weights * self.components.mean).sum(0).expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        spread = self.components.variance + (self.components.mean - self.mean_alone).square()
        return (self.weights * spread).sum(0).expand(self.batch_shape)

    @property
    def mean_alone(self) -> Tensor:
        """The mean, (D,)."""
        return (self.weights * self.components.mean).sum(0)

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "Mixture":
        new = self._get_checked_instance(type(self), _instance)
        new.logits, new.components = self.logits, self.components
        SimpleDistribution.__init__(new, Size(batch_shape))
        return new

    def sample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns draws, `sample_shape + batch_shape`: of all components, of which one is taken."""
        shape = Size(sample_shape) + self.batch_shape[:-1]
        with torch.no_grad():
            drawn = self.components.sample(shape)  # (..., K, D)
            gumbel = -torch.empty(*shape, len(self.logits), dtype=drawn.dtype, device=drawn.device).exponential_().log()
            chosen = (self.logits + gumbel).argmax(-1)[..., None, None].expand(*shape, 1, drawn.shape[-1])
            return drawn.gather(-2, chosen).squeeze(-2)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns log p(z_d | z_1..z_d-1), nats, in the value's shape (..., D): their sum is log p(z)."""
        value = self._value(value)
        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape))
        each = self.components.log_prob(value.unsqueeze(-2)).cumsum(-1)  # (..., K, D)
        joint = log_sum_exp(torch.log_softmax(self.logits, 0).unsqueeze(1) + each, -2)  # L_d
        before = torch.nn.functional.pad(joint[..., :-1], (1, 0))
        return torch.where(joint.isneginf(), joint, joint - before)

    def cdf(self, value: Tensor | float) -> Tensor:
        return (self.weights * self.components.cdf(self._value(value).unsqueeze(-2))).sum(-2)

    @torch.no_grad()
    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the quantile of the probability `value`, of each dimension alone; it has no gradient."""
        probability = self._probability(value)
        ends = self.components.icdf(probability.unsqueeze(-2))  # (..., K, D)
        low, high = ends.amin(-2), ends.amax(-2)
        for _ in range(HALVINGS.get(probability.dtype, 40)):
            middle = (low + high) / 2
            below = self.cdf(middle) < probability
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2
