"""What a step needs that follows from its number: the factor of the learning rate, and the seed of its noise.

Between two steps the processor's caches hold the images and the weights, and whatever else is computed there waits for
the memory at every turn: these two take ten times as long as they do in a row. So they are computed in a row.
"""

import torch

from vae_runner.randomness import seed_for
from vae_runner.schedule import Schedule

__all__ = ["StepValues"]

ROW = 128  # steps


class StepValues:
    """The values of the next steps, made where the first of them is asked for; each is as if it were made alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._schedule: Schedule | None = None
        self._first = 0
        self._values: list[tuple[float, int]] = []

    def at(self, step: int, end: int, schedule: Schedule) -> tuple[float, int]:
        """Returns the schedule's value and the seed of the noise at that step; none is made from step `end` on, that
        nobody has asked for.
        """
        if schedule is not self._schedule or not 0 <= step - self._first < len(self._values):
            steps = range(step, max(min(step + ROW, end), step + 1))
            self._values = [(_value(schedule, number), seed_for(self.seed, "step", number)) for number in steps]
            self._first, self._schedule = step, schedule
        return self._values[step - self._first]


def _value(schedule: Schedule, step: int) -> float:
    return float(schedule(torch.tensor(step)))  # on the CPU: no device is waited for; alone, for the same last digit
