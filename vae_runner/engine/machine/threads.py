"""How many CPU threads a step is best made with: tried, not guessed.

On a quiet machine two threads make a small network's step 1.6 times as fast as one. On a busy one they wait for each
other, and one thread alone is faster, by far where they spin meanwhile. So a run tries at its start, and again when its
steps have become slow, or when other programs have begun or ceased to use processors: after a second or so, for time
counts, and not steps. Where a trial changes nothing, the next one has to wait twice as long.
"""

import logging
import statistics
import time
from collections.abc import Callable

import torch

from vae_runner.engine.machine.busyness import OthersBusy, Slowdown

__all__ = ["ThreadChoice", "candidates", "fastest_threads"]

log = logging.getLogger(__name__)

ROUNDS = 3  # timed steps with each number of threads, and fewer where
LONG = 1.0  # seconds have been tried already
TIE = 1.1  # more threads have to gain more than this
HOPELESS = 3.0  # times as long as the best: tried once
COST = 4  # times as long as a trial has taken are steps made before the next one, at least
REST = 1.0, 30.0  # seconds from a trial to the next one, at least, and once nothing has changed for a while


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
        for number in range(1 + ROUNDS):  # the first round warms up
            if number > 1 and sum(map(sum, times.values())) > LONG:
                break
            best = min((taken[-1] for taken in times.values() if taken), default=float("inf"))
            for count in [count for count in tried if not times[count] or times[count][-1] <= HOPELESS * best]:
                torch.set_num_threads(count)
                times[count].append(seconds())
    finally:
        torch.set_num_threads(before)
    medians = {count: statistics.median(taken[1:] or taken) for count, taken in times.items()}
    best = min(medians.values())
    return min(count for count, median in medians.items() if median <= TIE * best)


class ThreadChoice:
    """The number of threads of a run's steps: as `fixed`, or else the fastest by trial. On a GPU the host's threads
    make no difference, and nobody waits for a step to end.

    `trial()` returns what makes a step without a trace in the run, and returns its wall time.
    """

    def __init__(
        self,
        fixed: int | None,
        device: torch.device,
        trial: Callable[[], Callable[[], float]],
        clock: Callable[[], float] = time.monotonic,
        others: OthersBusy | None = None,
    ) -> None:
        self.count = fixed  # None until they are chosen
        self._free, self._on_cpu = fixed is None, device.type == "cpu"
        self._trial, self._clock = trial, clock
        self._slowdown, self._others = Slowdown(), others or OthersBusy(clock)
        self._most = torch.get_num_threads()
        self._is_due, self._rest, self._next = False, REST[0], 0.0

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
        """Behind a step that took so many seconds: choose anew where there is a reason to."""
        if not self._free or not self._on_cpu or self._most == 1:
            return
        is_slow, have_changed = self._slowdown.noticed(seconds), self._others.have_changed()
        self._is_due |= is_slow or have_changed
        if self._is_due and self._clock() >= self._next:
            self._choose_anew(step)

    def _choose_anew(self, step: int) -> None:
        before, begun = self.count, self._clock()
        torch.set_num_threads(self._most)
        self.count = self._fastest()
        torch.set_num_threads(self.count)
        self._rest = REST[0] if self.count != before else min(2 * self._rest, REST[1])
        now = self._clock()
        self._is_due, self._next = False, now + max(self._rest, COST * (now - begun))
        self._slowdown = Slowdown()
        if self.count != before:
            log.info("step %s: threads: %d instead of %d, which is faster now", f"{step:,}", self.count, before)

    def _fastest(self) -> int:
        most = torch.get_num_threads()
        return fastest_threads(self._trial(), most) if self._on_cpu and most > 1 else most
