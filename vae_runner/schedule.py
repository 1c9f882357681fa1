"""Coefficients that change with the step: a schedule maps a tensor of steps to a float tensor of its shape.

With s = clip((t - delay) / steps, 0, 1), the fraction of the way that step t has gone, and k the steepness:

    Linear        start + (end - start) s
    Cosine        start + (end - start) (1 - cos(pi s)) / 2            Loshchilov & Hutter 2017, arXiv 1608.03983
    Sigmoid       start + (end - start) (1 + tanh(k (s - 1/2) / 2) / tanh(k / 4)) / 2
                                                                   Bowman et al. 2016, arXiv 1511.06349
    Exponential   start (end / start)^s: the same factor at every step
    Cyclic        one of the first three, anew every `period` steps    Fu et al. 2019, arXiv 1903.10145
    Steps         values at given steps, kept until the next or joined by straight lines
    Chain         one schedule until a step, then another, whose steps count from there

A schedule has no state: what it needs to know is the step. So it can be compiled, saved and resumed without care.
On the command line, `schedule@divergence.beta=cyclic divergence.beta.period=1000` puts one where a number stood.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import torch
from torch import Tensor

from vae_runner.signature import enforced, finite, non_negative, positive, probability

__all__ = ["Chain", "Constant", "Cosine", "Cyclic", "Exponential", "Linear", "Scaled", "Schedule", "Sigmoid", "Steps"]
__all__ += ["as_schedule"]

Finite = Annotated[float, finite]
Count = Annotated[int, positive]
Delay = Annotated[int, non_negative]

STEEPNESS = 12.0  # Fu et al.'s: the logistic function from -6 to 6


class Schedule(ABC):
    """Base class: override `__call__`.

    Example:
        >>> class Halving(Schedule):
        ...     def __call__(self, step):
        ...         return 0.5 ** step.float()
        >>> Halving()(torch.arange(3))
        tensor([1.0000, 0.5000, 0.2500])
    """

    @abstractmethod
    def __call__(self, step: Tensor) -> Tensor:
        """Returns the coefficient at each of the (integer) steps, in torch's default float type."""

    def extremes(self) -> tuple[float, ...]:
        """Returns values between which the coefficient stays, to check its range; () where it is not known."""
        return ()


@enforced
@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step.

    Example:
        >>> Constant(4.0)(torch.tensor([0, 1000]))
        tensor([4., 4.])
    """

    value: Finite = 1.0

    def __call__(self, step: Tensor) -> Tensor:
        return torch.full_like(step, self.value, dtype=torch.get_default_dtype())

    def extremes(self) -> tuple[float, ...]:
        return (self.value,)


@dataclass(frozen=True)
class _FromTo(Schedule):
    """What the schedules from one value to another have in common."""

    start: Finite
    end: Finite

    def extremes(self) -> tuple[float, ...]:
        return (self.start, self.end)

    def _between(self, ramp: Tensor) -> Tensor:
        """Where `ramp` of the way from `start` to `end` is gone."""
        return self.start + (self.end - self.start) * ramp


@enforced
@dataclass(frozen=True)
class Linear(_FromTo):
    """From `start` to `end` (either may be the larger) in `steps` steps, after `delay` steps at `start`.

    Example:
        >>> Linear(start=0.0, end=1.0, steps=4, delay=2)(torch.tensor([0, 2, 4, 6, 8]))
        tensor([0.0000, 0.0000, 0.5000, 1.0000, 1.0000])
    """

    steps: Count
    delay: Delay = 0

    def __call__(self, step: Tensor) -> Tensor:
        return self._between(_way(step - self.delay, self.steps))


@enforced
@dataclass(frozen=True)
class Cosine(_FromTo):
    """Half a cosine from `start` to `end` in `steps` steps, after `delay` steps at `start`.

    Example:
        >>> Cosine(start=1.0, end=0.0, steps=4)(torch.arange(5))
        tensor([1.0000, 0.8536, 0.5000, 0.1464, 0.0000])
    """

    steps: Count
    delay: Delay = 0

    def __call__(self, step: Tensor) -> Tensor:
        return self._between(_cosine(_way(step - self.delay, self.steps)))


@enforced
@dataclass(frozen=True)
class Sigmoid(_FromTo):
    """The logistic function from -steepness / 2 to steepness / 2, stretched so that it goes from `start` to `end`.

    In `steps` steps, after `delay` steps at `start`; half of the way is gone in the middle.

    Example:
        >>> Sigmoid(start=0.0, end=1.0, steps=4)(torch.arange(5))
        tensor([0.0000, 0.0452, 0.5000, 0.9548, 1.0000])
    """

    steps: Count
    steepness: Annotated[float, positive] = STEEPNESS
    delay: Delay = 0

    def __call__(self, step: Tensor) -> Tensor:
        return self._between(_sigmoid(_way(step - self.delay, self.steps), self.steepness))


@enforced
@dataclass(frozen=True)
class Exponential(Schedule):
    """From `start` to `end`, both positive, by the same factor at each of `steps` steps, after `delay` at `start`.

    Example:
        >>> Exponential(start=1.0, end=16.0, steps=4)(torch.arange(5))
        tensor([ 1.,  2.,  4.,  8., 16.])
    """

    start: Annotated[float, positive]
    end: Annotated[float, positive]
    steps: Count
    delay: Delay = 0

    def __call__(self, step: Tensor) -> Tensor:
        return self.start * torch.exp(math.log(self.end / self.start) * _way(step - self.delay, self.steps))

    def extremes(self) -> tuple[float, ...]:
        return (self.start, self.end)


@enforced
@dataclass(frozen=True)
class Cyclic(_FromTo):
    """Every `period` steps anew: from `start` to `end` over the first `rising` of the period, then at `end`.

    `shape` is the way of the rise, each as the schedule of that name; `delay` steps at `start` come before the first.

    Example:
        >>> Cyclic(start=0.0, end=1.0, period=4, rising=0.5)(torch.arange(9))
        tensor([0.0000, 0.5000, 1.0000, 1.0000, 0.0000, 0.5000, 1.0000, 1.0000, 0.0000])
    """

    period: Count
    rising: Annotated[float, probability] = 0.5
    shape: Literal["linear", "sigmoid", "cosine"] = "linear"
    delay: Delay = 0

    def __call__(self, step: Tensor) -> Tensor:
        steps = max(round(self.period * self.rising), 1)
        return self._between(RAMPS[self.shape](_way((step - self.delay).clamp(min=0) % self.period, steps)))


@enforced
@dataclass(frozen=True)
class Steps(Schedule):
    """`values[i]` at step `steps[i]`, the first of them before it, the last one for ever after.

    `between` two steps the value is kept (`constant`), or goes to the next in a straight line (`linear`).

    Raises:
        ValueError: where the lists are not of one length, or the steps do not rise.

    Example:
        >>> Steps(values=[0.0, 1.0], steps=[0, 4], between="linear")(torch.tensor([0, 2, 4, 9]))
        tensor([0.0000, 0.5000, 1.0000, 1.0000])
    """

    values: Sequence[Finite]
    steps: Sequence[Delay]
    between: Literal["constant", "linear"] = "constant"

    def __post_init__(self) -> None:
        values, steps = tuple(map(float, self.values)), tuple(self.steps)  # hashable, and not to be changed outside
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "steps", steps)
        if not values or len(values) != len(steps):
            raise ValueError(f"Steps: one value for each step, got {len(values)} values and {len(steps)} steps")
        if any(later <= step for step, later in pairwise(steps)):
            raise ValueError(f"Steps: steps must rise, got {list(steps)}")

    def __call__(self, step: Tensor) -> Tensor:
        value = torch.full_like(step, self.values[0], dtype=torch.get_default_dtype())
        for i in range(1, len(self.values)):
            value = torch.where(step >= self.steps[i - 1], self._towards(i, step), value)
        return torch.where(step >= self.steps[-1], self.values[-1], value)

    def extremes(self) -> tuple[float, ...]:
        return tuple(self.values)

    def _towards(self, i: int, step: Tensor) -> Tensor:
        """The value on the way to step number `i`."""
        before, after = self.values[i - 1], self.values[i]
        if self.between == "constant":
            after = before
        way = _way(step - self.steps[i - 1], self.steps[i] - self.steps[i - 1])
        return before + (after - before) * way


@enforced
@dataclass(frozen=True)
class Chain(Schedule):
    """`first` until step `at`, from there on `then`, which counts its steps from `at`; either may be a chain again.

    Example:
        >>> Chain(first=0.0, then=Linear(0.0, 1.0, steps=2), at=3)(torch.arange(6))
        tensor([0.0000, 0.0000, 0.0000, 0.0000, 0.5000, 1.0000])
    """

    first: Finite | Schedule
    then: Finite | Schedule
    at: Delay

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", as_schedule(self.first))
        object.__setattr__(self, "then", as_schedule(self.then))

    def __call__(self, step: Tensor) -> Tensor:
        return torch.where(step < self.at, self.first(step), self.then(step - self.at))

    def extremes(self) -> tuple[float, ...]:
        return self.first.extremes() + self.then.extremes()


@dataclass(frozen=True)
class Scaled(Schedule):
    """`factor` times another schedule.

    Example:
        >>> Scaled(Linear(0.0, 1.0, steps=2), factor=10.0)(torch.arange(3))
        tensor([ 0.,  5., 10.])
    """

    schedule: Schedule
    factor: float

    def __call__(self, step: Tensor) -> Tensor:
        return self.schedule(step) * self.factor

    def extremes(self) -> tuple[float, ...]:
        return tuple(value * self.factor for value in self.schedule.extremes())


def as_schedule(value: "float | Schedule") -> Schedule:
    """Returns a number as the schedule that stays at it."""
    return value if isinstance(value, Schedule) else Constant(float(value))


def _way(step: Tensor, steps: int) -> Tensor:
    return (step / steps).clamp(0, 1)


def _cosine(way: Tensor) -> Tensor:
    return (1 - torch.cos(math.pi * way)) / 2


def _sigmoid(way: Tensor, steepness: float = STEEPNESS) -> Tensor:
    return (1 + torch.tanh(steepness * (way - 0.5) / 2) / math.tanh(steepness / 4)) / 2


RAMPS: dict[str, Callable[[Tensor], Tensor]] = {"linear": lambda way: way, "sigmoid": _sigmoid, "cosine": _cosine}
