"""What a command that does not train takes of the machine: the processors that no other program uses, and memory that
it keeps for its next batch.

A run tries how many are fastest, and goes on trying. A command that scores, draws or encodes for seconds has no steps
to try them on; where others use the processors, its threads wait for each other.
"""

import contextlib
import os
import time
from collections.abc import Iterator

import torch

from vae_runner.engine.machine.allocator import keep_freed_memory
from vae_runner.engine.machine.busyness import busy_seconds

__all__ = ["own_share"]

WINDOW = 0.2  # seconds for which others are watched
GIVEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # by which a user says how many


@contextlib.contextmanager
def own_share() -> Iterator[None]:
    """Inside, torch has at most so many threads as there are processors to spare, and one at least; afterwards as many
    as before. What the user has set stands, and so does torch's own number where the system tells nothing of others.
    Freed memory is kept from now on: given back after each batch, it costs a third of the time that codes take.
    """
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(_spare(before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _spare(most: int) -> int:
    used = _used_by_others() if most > 1 and not any(name in os.environ for name in GIVEN) else None
    return most if used is None else max(1, min(most, round((os.cpu_count() or most) - used)))


def _used_by_others() -> float | None:
    """Processors that other programs use now, on the average; None where the system does not say."""
    before, began = busy_seconds(), time.monotonic()
    time.sleep(WINDOW)
    after, passed = busy_seconds(), time.monotonic() - began
    return None if before is None or after is None else (after - before) / passed
