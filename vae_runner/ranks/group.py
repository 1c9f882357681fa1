"""What a process of a run is to the others; alone, it has nobody to tell anything.

The first process reads the config, keeps the folder, validates and draws; the others follow it. `current()` is what
this process is, `ALONE` until it has joined a group.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ALONE", "Ranks", "Unsent", "being", "current"]


class Unsent:
    """A message to nobody."""

    def __init__(self, stop_signal: Callable[[], int | None]) -> None:
        self.stop_signal = stop_signal

    def exchange(self, loss: Tensor) -> None:
        """Make the gradients those of the whole batch; the loss () is that of all processes."""

    def asked(self, step: int) -> int | None:
        """Returns the signal to stop at behind that step, the same on all processes."""
        return self.stop_signal()


class Ranks:
    """A process alone: it has all of a batch, and there is nobody to wait for.

    Example:
        >>> ALONE.world, ALONE.rows(batch=64), ALONE.hand_out("a config")
        (1, None, 'a config')
    """

    rank, world = 0, 1

    @property
    def is_first(self) -> bool:
        """Whether it is the one that validates, draws and writes."""
        return self.rank == 0

    def rows(self, batch: int) -> slice | None:
        """Returns which images of a batch are this process's; None: all. Raises `UserError` where they cannot be
        shared out.
        """
        return None

    def taken(self, device: torch.device) -> torch.device:
        """Returns the device. Raises `UserError` where there is no device of that kind for each process."""
        return device

    def threads(self, fixed: int | None) -> int | None:
        """Returns how many threads each process takes, of what is set; None: what is fastest."""
        return fixed

    def sharing(self) -> contextlib.AbstractContextManager[None]:
        """Inside, a step is made together: see `ranks.share`."""
        return contextlib.nullcontext()

    def message(self, parameters: Iterable[nn.Parameter], stop_signal: Callable[[], int | None]) -> Unsent:
        """Returns what is told to the others in every step: these parameters' gradients, and the signal to stop at."""
        return Unsent(stop_signal)

    def hand_out(self, value: Any = None) -> Any:
        """Returns what the first process gives."""
        return value

    def all_faults(self, fault: str | None = None) -> list[str]:
        """Returns what is wrong with any process."""
        return [] if fault is None else [fault]

    def even(self, tensors: Sequence[Tensor]) -> None:
        """Make them those of the first process."""

    def loss(self, error: Exception) -> str:
        """Returns the error's words, or, where it says that another process is gone, what that one has said of it."""
        return str(error)

    def fail(self, why: str) -> None:
        """Leave word why this process ends."""

    def is_to_tell(self) -> bool:
        """Whether this process has to tell the user that another one is gone: the first one, or one where that is."""
        return True


ALONE = Ranks()
_current = ALONE


def current() -> Ranks:
    """Returns what this process is to others."""
    return _current


@contextlib.contextmanager
def being(ranks: Ranks) -> Iterator[Ranks]:
    """Inside, this process is that to others."""
    global _current
    before, _current = _current, ranks
    try:
        yield ranks
    finally:
        _current = before
