"""How many CPU threads a step is best made with: tried, not guessed.

On a quiet machine two threads make a small network's step 1.6 times as fast as one. On a busy one they spin while they
wait for each other, and one thread alone is four to thirteen times as fast. So a run tries at its start, and again when
its steps have taken twice as long for a while.
"""

import logging
import statistics
from collections.abc import Callable

import torch

__all__ = ["Slowdown", "ThreadChoice", "candidates", "fastest_threads"]

log = logging.getLogger(__name__)

ROUNDS = 3  # timed steps with each number of threads
TIE = 1.1  # more threads have to gain more than this
FACTOR = 2.0  # how much slower is a slowdown
WINDOW = 2.0  # seconds of steps that are judged together
PATIENCE = 3  # slow windows in a row


def candidates(most: int) -> list[int]:
    """The numbers of threads worth trying: 1, 2, 4, ... and `most`."""
    return sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most})


def fastest_threads(seconds: Callable[[], float], most: int) -> int:
    """Time steps with up to `most` threads, in turns, and return the number that is fastest; the fewer in a tie.

    `seconds()` makes a step and returns its wall time. torch's number of threads is as before afterwards.
    """
    tried = candidates(most)
    if tried == [1]:
        return 1
    before = torch.get_num_threads()
    times: dict[int, list[float]] = {count: [] for count in tried}
    try:
        for _ in range(1 + ROUNDS):  # the first round warms up
            for count in tried:
                torch.set_num_threads(count)
                times[count].append(seconds())
    finally:
        torch.set_num_threads(before)
    medians = {count: statistics.median(taken[1:]) for count, taken in times.items()}
    best = min(medians.values())
    return min(count for count, median in medians.items() if median <= TIE * best)


class Slowdown:
    """Notices that steps have taken `FACTOR` times as long as in the best window, for `PATIENCE` windows."""

    def __init__(self) -> None:
        self._steps: list[float] = []
        self._best, self._slow = float("inf"), 0

    def noticed(self, seconds: float) -> bool:
        """Whether it is so, with this step's wall time; then it starts anew."""
        self._steps.append(seconds)
        if len(self._steps) < 5 or sum(self._steps) < WINDOW:
            return False
        median = statistics.median(self._steps)
        self._steps = []
        self._best = min(self._best, median)
        self._slow = self._slow + 1 if median > FACTOR * self._best else 0
        if self._slow < PATIENCE:
            return False
        self._best, self._slow = float("inf"), 0
        return True


class ThreadChoice:
    """The number of threads of a run's steps: as `fixed`, or else the fastest by trial. On a GPU the host's threads
    make no difference, and nobody waits for a step to end.

    `trial()` returns what makes a step without a trace in the run, and returns its wall time.
    """

    def __init__(self, fixed: int | None, device: torch.device, trial: Callable[[], Callable[[], float]]) -> None:
        self.count = fixed  # None until they are chosen
        self._free, self._on_cpu = fixed is None, device.type == "cpu"
        self._trial, self._slowdown = trial, Slowdown()
        self._most = torch.get_num_threads()

    def choose(self) -> None:
        """Before the first step of a session."""
        self._most = torch.get_num_threads()
        if self.count is None:
            self.count = self._fastest()

    def restore(self, count: object) -> None:
        """Take the number of a checkpoint, where the user has set none and this process may use so many."""
        if self._free and self._on_cpu and count in range(1, torch.get_num_threads() + 1):
            assert isinstance(count, int)
            self.count = count

    def watch(self, seconds: float, step: int) -> None:
        """Where steps, the last of which took so many seconds, have become slow, choose anew."""
        if not self._free or not self._on_cpu or not self._slowdown.noticed(seconds):
            return
        before = self.count
        torch.set_num_threads(self._most)
        self.count = self._fastest()
        torch.set_num_threads(self.count)
        if self.count != before:
            log.info("step %s: steps are slow; threads: %d instead of %d", f"{step:,}", self.count, before)

    def _fastest(self) -> int:
        most = torch.get_num_threads()
        return fastest_threads(self._trial(), most) if self._on_cpu and most > 1 else most
