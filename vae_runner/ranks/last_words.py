"""What a process leaves to be read by the others of its run where it ends before its time: why.

When a process ends, its connections do too, and whoever waits for it gets an error of torch's in many words. Then one
line is told, and by one process: by the first, where it is still there; it finds here what has become of the other. It
is kept in the store where the processes have met: by torchrun, else by the first process.
"""

import contextlib
import time
from collections.abc import Iterator

from torch.distributed import DistError, Store

from vae_runner.errors import RunError

__all__ = ["LastWords", "OthersGone", "losses_told"]

FAILURE, FIRST_LEFT, SEEN, TELLERS = "failure", "first left", "seen", "tellers"
LOST = (RuntimeError, DistError)  # of what waits for others, and of a store that is gone


class OthersGone(RunError):
    """Another process of the run has ended."""


@contextlib.contextmanager
def losses_told() -> Iterator[None]:
    """Inside, what fails since another process does not answer raises `OthersGone`."""
    try:
        yield
    except LOST as error:
        raise OthersGone("another process of this run has ended, without which it cannot go on") from error


class LastWords:
    """Notes of the `world` processes of a run, which others than the writer read."""

    def __init__(self, store: Store, world: int) -> None:
        self._store, self._world = store, world

    def fail(self, why: str) -> None:
        """Note why this process ends."""
        with contextlib.suppress(*LOST):
            self._store.set(FAILURE, why)

    def failure(self) -> str | None:
        """Returns why another one has ended, where it could say so."""
        with contextlib.suppress(*LOST):
            if self._store.check([FAILURE]):
                return self._store.get(FAILURE).decode(errors="replace")
        return None

    def first_leaves(self) -> None:
        """Note that the first process has told the user what there was to tell."""
        with contextlib.suppress(*LOST):
            self._store.set(FIRST_LEFT, "")

    def is_to_tell(self, patience: float) -> bool:
        """Whether this process, not the first, is to tell the user that another one is gone: the first is it, too."""
        try:
            until = time.monotonic() + patience
            while time.monotonic() < until:
                if self._store.check([FIRST_LEFT]):
                    return False
                time.sleep(0.05)
            return self._store.add(TELLERS, 1) == 1
        except LOST:  # gone with the first process, which had time to say what there was to say
            return True

    def see(self) -> None:
        """Note that this process needs the board no more."""
        with contextlib.suppress(*LOST):
            self._store.add(SEEN, 1)

    def wait_till_seen(self, patience: float) -> None:
        """Wait until all others need it no more: where it is kept by the first process, it ends with it."""
        with contextlib.suppress(*LOST):
            until = time.monotonic() + patience
            while time.monotonic() < until and self._store.add(SEEN, 0) < self._world - 1:
                time.sleep(0.02)
