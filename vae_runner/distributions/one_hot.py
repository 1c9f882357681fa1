"""One of K classes, as a vector of K numbers: 1 in its place and 0 elsewhere; p_k = softmax(logits)_k.

    KL(p || r) = sum_k p_k log(p_k / r_k) = sum_k [p_k log(p_k / r_k) - p_k + r_k]

of which the second sum has no term below 0; that is what each class is told to carry. A draw has no gradient; in its
place a point between the classes has one, with g_k = -log E_k, E_k ~ Exp(1), and the temperature T:

    z = softmax((log p + g) / T)      Jang et al. 2017, arXiv 1611.01144; Maddison et al. 2017, arXiv 1611.00712

which comes to a class as T falls to 0. Straight through, z is that class, with the gradient of the point.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import constraints
from torch.nn import functional

from vae_runner.distributions.base import Shape, SimpleDistribution

__all__ = ["OneHot", "RelaxedOneHot", "kl_of_classes", "relaxed"]


def relaxed(logits: Tensor, gumbel: Tensor, temperature: Tensor | float) -> Tensor:
    """Returns softmax((log p + g) / T) of log odds and noise (..., K)."""
    return torch.softmax((torch.log_softmax(logits, -1) + gumbel) / temperature, -1)


class OneHot(SimpleDistribution):
    """One of the K classes whose log odds are `logits`, (..., K); a draw is a vector, and has no gradient.

    Batch shape (..., K): what is told of single numbers, the mean, the variance, the parts of log p and of a KL, is
    told of each class, and those of a vector sum to log p and to the KL.

    Example:
        >>> q = OneHot(torch.tensor([0.25, 0.75]).log())
        >>> q.mean, q.mode
        (tensor([0.2500, 0.7500]), tensor([0., 1.]))
        >>> q.entropy().sum()  # nats
        tensor(0.5623)
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012 - torch's own declaration
    support = constraints.unit_interval  # of each number
    parameter_names = ("logits",)

    def __init__(self, logits: Tensor | float | Sequence[float], validate_args: bool = False) -> None:
        self.logits = torch.as_tensor(logits, dtype=None if isinstance(logits, Tensor) else torch.get_default_dtype())
        super().__init__(self.logits.shape, validate_args=validate_args)

    @property
    def log_probs(self) -> Tensor:
        """log p_k, (..., K)."""
        return torch.log_softmax(self.logits, -1)

    @property
    def mean(self) -> Tensor:
        return torch.softmax(self.logits, -1)

    @property
    def mode(self) -> Tensor:
        return as_vectors(self.logits.argmax(-1), self.logits)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean)

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns draws, `sample_shape + batch_shape`."""
        return as_vectors((self.log_probs + self._gumbel(sample_shape)).argmax(-1), self.logits)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns z_k log p_k, nats: of a vector they sum to log p."""
        return self._value(value) * self.log_probs

    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the class whose number is the quantile of the probability `value` (..., K), as a vector."""
        passed = self.mean.cumsum(-1)[..., :-1] < self._probability(value)[..., :1]
        return as_vectors(passed.sum(-1), self.logits)

    def entropy(self) -> Tensor:
        """Returns -p_k log p_k, nats: of a vector they sum to the entropy."""
        return -self.mean * self.log_probs

    def _gumbel(self, sample_shape: Shape) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        return -torch.empty(shape, dtype=self.logits.dtype, device=self.logits.device).exponential_().log()


class RelaxedOneHot(OneHot):
    """As `OneHot`, with draws that have a gradient: points between the classes at a `temperature`, or, where they go
    `straight_through`, classes with the gradient of such points.

    Example:
        >>> q = RelaxedOneHot(torch.zeros(3), temperature=0.5)
        >>> soft, hard = q.rsample(), RelaxedOneHot(torch.zeros(3), 0.5, straight_through=True).rsample()
        >>> round(soft.sum().item(), 4), sorted(hard.tolist())
        (1.0, [0.0, 0.0, 1.0])
    """

    def __init__(
        self,
        logits: Tensor,
        temperature: Tensor | float,
        straight_through: bool = False,
        validate_args: bool = False,
    ) -> None:
        self.temperature, self.straight_through = temperature, straight_through
        super().__init__(logits, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "RelaxedOneHot":
        return RelaxedOneHot(self.logits.expand(batch_shape), self.temperature, self.straight_through)

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns draws, `sample_shape + batch_shape`, with gradients to the logits."""
        soft = relaxed(self.logits, self._gumbel(sample_shape), self.temperature)
        if not self.straight_through:
            return soft
        return as_vectors(soft.argmax(-1), soft) + (soft - soft.detach())


def as_vectors(classes: Tensor, like: Tensor) -> Tensor:
    """Returns class numbers (...) as vectors (..., K), in the precision of `like` (..., K)."""
    return functional.one_hot(classes, like.shape[-1]).to(like.dtype)


def kl_of_classes(p: OneHot, r: OneHot) -> Tensor:
    """Returns each class's part of KL(p||r), (..., K), nats."""
    return p.mean * (p.log_probs - r.log_probs) - p.mean + r.mean
