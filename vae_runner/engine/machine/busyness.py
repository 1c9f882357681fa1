"""Signs that a machine has become busy, or free again: steps that take longer, and processors that others use."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["OthersBusy", "Slowdown", "busy_seconds"]

FACTOR = 2.0  # how much slower is a slowdown
WINDOW = 0.5  # seconds of steps that are judged together, or of other programs' work
PATIENCE = 1.0  # seconds of such windows in a row
SHARE = 0.4  # of a processor, by which others' work has changed
STAT = Path("/proc/stat")  # Linux: what all processors have done since the start, in clock ticks


class Slowdown:
    """Notices that steps have taken `FACTOR` times as long as in the best window, for `PATIENCE` seconds."""

    def __init__(self) -> None:
        self._steps: list[float] = []
        self._best, self._slow = float("inf"), 0.0

    def noticed(self, seconds: float) -> bool:
        """Whether it is so, with this step's wall time; then it starts anew."""
        self._steps.append(seconds)
        taken = sum(self._steps)
        if taken < WINDOW:
            return False
        median = statistics.median(self._steps)
        self._steps = []
        self._best = min(self._best, median)
        self._slow = self._slow + taken if median > FACTOR * self._best else 0.0
        if self._slow < PATIENCE:
            return False
        self._best, self._slow = float("inf"), 0.0
        return True


def busy_seconds() -> float | None:
    """Seconds that the machine's processors have worked for other processes, added up; None where it does not say."""
    try:
        ticks = STAT.read_text().splitlines()[0].split()
        user, nice, system, _, _, interrupts, soft, stolen = map(int, ticks[1:9])
    except (OSError, ValueError, IndexError):
        return None
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK") - time.process_time()


class OthersBusy:
    """Notices that other programs use `SHARE` of a processor more than before, or less, for `PATIENCE` seconds."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, busy: Callable[[], float | None] = busy_seconds
    ) -> None:
        self._clock, self._busy = clock, busy
        self._seen: tuple[float, float] | None = None  # when, and how much they had worked
        self._usual: float | None = None  # processors that they used when that was last noticed
        self._other = 0.0  # seconds for which they have used more, or less

    def have_changed(self) -> bool:
        """Whether it is so; then what they use now is what is usual."""
        now = self._clock()
        if self._seen is not None and now - self._seen[0] < WINDOW:
            return False
        worked, before = self._busy(), self._seen
        if worked is None:
            return False
        self._seen = now, worked
        if before is None:
            return False
        used = (worked - before[1]) / (now - before[0])
        if self._usual is None:
            self._usual = used
        self._other = self._other + now - before[0] if abs(used - self._usual) > SHARE else 0.0
        if self._other < PATIENCE:
            return False
        self._usual, self._other = used, 0.0
        return True
