"""Coefficients that change with the step: a schedule maps a tensor of steps to a float tensor of its shape.

With s = clip((t - delay) / steps, 0, 1), the fraction of the way that step t has gone:

    Linear   start + (end - start) s
    Cosine   end + (start - end) (1 + cos(pi s)) / 2          Loshchilov & Hutter 2017, equation 5
    Cyclic   as Linear, anew every `period` steps             Fu et al. 2019, cyclical annealing

A schedule has no state: what it needs to know is the step. So it can be compiled, saved and resumed without care.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from vae_runner.signature import enforced, non_negative, positive, probability

__all__ = ["Constant", "Cosine", "Cyclic", "Linear", "Scaled", "Schedule", "as_schedule"]


class Schedule(ABC):
    """Base class: override `__call__`."""

    @abstractmethod
    def __call__(self, step: Tensor) -> Tensor:
        """The coefficient at each of the (integer) steps, in torch's default float type."""


@enforced
@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step."""

    value: float = 1.0

    def __call__(self, step: Tensor) -> Tensor:
        return torch.full_like(step, self.value, dtype=torch.get_default_dtype())


@enforced
@dataclass(frozen=True)
class Linear(Schedule):
    """From `start` to `end` (either may be the larger) in `steps` steps, after `delay` steps at `start`."""

    start: float
    end: float
    steps: Annotated[int, positive]
    delay: Annotated[int, non_negative] = 0

    def __call__(self, step: Tensor) -> Tensor:
        return self.start + (self.end - self.start) * _way(step - self.delay, self.steps)


@enforced
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from `start` to `end` in `steps` steps, after `delay` steps at `start`."""

    start: float
    end: float
    steps: Annotated[int, positive]
    delay: Annotated[int, non_negative] = 0

    def __call__(self, step: Tensor) -> Tensor:
        way = _way(step - self.delay, self.steps)
        return self.end + (self.start - self.end) * (1 + torch.cos(math.pi * way)) / 2


@enforced
@dataclass(frozen=True)
class Cyclic(Schedule):
    """Every `period` steps anew: linear from `start` to `end` over the first `rising` of the period, then at `end`."""

    start: float
    end: float
    period: Annotated[int, positive]
    rising: Annotated[float, probability] = 0.5

    def __call__(self, step: Tensor) -> Tensor:
        steps = max(round(self.period * self.rising), 1)
        return self.start + (self.end - self.start) * _way(step % self.period, steps)


@dataclass(frozen=True)
class Scaled(Schedule):
    """`factor` times another schedule."""

    schedule: Schedule
    factor: float

    def __call__(self, step: Tensor) -> Tensor:
        return self.schedule(step) * self.factor


def as_schedule(value: "float | Schedule") -> Schedule:
    """A number as the schedule that stays at it."""
    return value if isinstance(value, Schedule) else Constant(float(value))


def _way(step: Tensor, steps: int) -> Tensor:
    return (step / steps).clamp(0, 1)
