"""Being asked to stop: Ctrl-C, and the signals that batch systems send."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from vae_runner.engine import Interrupted

__all__ = ["StopSignals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSignals:
    """While `listening`, the first signal raises `Interrupted`; inside `deferred`, it is kept in `number` for the
    engine to stop at the next step, and a second one stops at once.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._deferring = False

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignals"]:
        """Take the signals, and give them back at the end. Only the main thread can; elsewhere nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Until the end of the block, one signal waits for a good moment."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferring and self.number is None:
            self.number = number
        else:
            raise Interrupted(number, 0)
