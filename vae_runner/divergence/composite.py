"""Terms that are sums of several parts, each with a weight of its own, a number or a schedule.

term = sum over parts of weight(t) part,     each weight logged and drawn under its name.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vae_runner.distributions import monte_carlo_kl
from vae_runner.divergence.base import DivergenceBase, sum_mean
from vae_runner.schedule import Constant, Schedule, as_schedule
from vae_runner.state import StateKey

__all__ = ["NARROW", "WeightedParts", "as_precise_as", "kl_of"]

Several = tuple[Distribution, ...]
NARROW = (torch.bfloat16, torch.float16)


class WeightedParts(DivergenceBase):
    """Base class: override `compute_parts`, which weights its parts by `weight(name)`.

    The weights are the term's own, so that `with_beta` would be one too many, and of what a capacity is to be kept away
    from none of them says: both raise `ValueError`.

    Attributes:
        kl_weight: the name of the weight of the KL, where that is a part.
        needs_kl: whether KL(q||p) is a part of it; with a weight of 0 at every step it need not even exist.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Example:
        >>> from vae_runner.state import METRICS
        >>> class Spread(WeightedParts):
        ...     def compute_parts(self, codes):
        ...         return self.weight("lambda_spread") * codes.square().mean(), {}
        >>> z = StateKey("z")
        >>> Spread({"codes": z}, {"lambda_spread": 3.0}).loss({z: torch.ones(4, 2), METRICS: {}})
        tensor(3.)
    """

    kl_weight: ClassVar[str | None] = None
    samples: int | None = None

    def __init__(
        self, keys: Mapping[str, StateKey | tuple[StateKey, ...]], weights: Mapping[str, float | Schedule]
    ) -> None:
        super().__init__(keys)
        self.weights = {name: as_schedule(weight) for name, weight in weights.items()}
        self.needs_kl = self.kl_weight is not None and self.weights[self.kl_weight] != Constant(0.0)

    @property
    def moves_prior(self) -> bool:
        return self.needs_kl or self.kl_weight is None

    def weight(self, name: str) -> Tensor:
        """Returns the weight of that name at the current step, ()."""
        return self.weights[name](self.step)

    def kl_part(self, q: Distribution | Several, p: Distribution | Several) -> Tensor:
        """Returns the weighted batch mean of KL(q||p), (), nats; 0 where it is not needed."""
        if not self.needs_kl:
            return self.step.new_zeros((), dtype=torch.get_default_dtype())
        return self.weight(str(self.kl_weight)) * sum_mean(kl_of(q, p, self.samples))

    def schedules(self) -> dict[str, Schedule]:
        return dict(self.weights)

    def with_beta(self, beta: float | Schedule) -> DivergenceBase:
        raise ValueError(f"{type(self).__name__} has weights of its own ({', '.join(self.weights) or 'none'}), no beta")

    def with_capacity(self, capacity: float | Schedule, gamma: float = 1000.0) -> DivergenceBase:
        raise ValueError(f"{type(self).__name__} takes no capacity; divergence=capacity is gamma |KL - C|")


def as_precise_as(raw: Tensor) -> torch.autocast:
    """Inside, networks compute in the precision in which a decoder made `raw`."""
    return torch.autocast(raw.device.type, raw.dtype, enabled=raw.dtype in NARROW)


def kl_of(q: Distribution | Several, p: Distribution | Several, samples: int | None = None) -> Tensor:
    """Returns KL(q||p) of each image and dimension, (B, D), nats; of several spaces their dimensions side by side.

    The closed form, `NotImplementedError` where the pair has none; or the Monte-Carlo estimate from so many samples.
    """
    if isinstance(q, tuple) or isinstance(p, tuple):
        pairs = zip(_several(q), _several(p), strict=True)
        return torch.cat([kl_of(one, prior, samples) for one, prior in pairs], dim=1)
    return kl_divergence(q, p) if samples is None else monte_carlo_kl(q, p, samples)


def _several(one: Distribution | Several) -> Several:
    return one if isinstance(one, tuple) else (one,)
