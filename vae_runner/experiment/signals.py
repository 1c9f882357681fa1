"""Being asked to stop: Ctrl-C, the signals that batch systems send, and a terminal that is closed."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from vae_runner.engine import Interrupted
from vae_runner.ranks import current

__all__ = ["StopSignals", "hand_on", "stop_if_asked"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
ECHO = 3.0  # seconds in which several processes hear a signal again: from the terminal, and from torchrun
LAUNCHERS = (signal.SIGUSR1, signal.SIGUSR2)  # by which one asks its jobs to make room, and hears of it itself


class StopSignals:
    """While `listening`, the first signal raises `Interrupted`; from `defer` on it is kept in `number` for the
    engine to stop at the next step, and a second one stops at once.

    SIGHUP counts once: the shell and the system both send it when a terminal is closed, and nobody insists. Where it
    was ignored at the start, by nohup, it stays so. SIGUSR2 counts where a launcher listens to it: see `hand_on`.
    One of several processes hears the same signal twice, and counts it once.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._deferring = False
        self._heard = 0.0
        self._around: StopSignals | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignals"]:
        """Take the signals, and give them back at the end. Only the main thread can; elsewhere nothing changes.

        Another one may be listening around it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self._around = _listening()
        wanted = [number for number in SIGNALS if number != signal.SIGHUP or not _is_ignored(number)]
        wanted += [signal.SIGUSR2] if callable(signal.getsignal(signal.SIGUSR2)) else []
        before = {number: signal.signal(number, self._handle) for number in wanted}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def defer(self) -> None:
        """From now on one signal waits for a good moment."""
        self._deferring = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_first = self.number is None
        if not is_first and (
            number == signal.SIGHUP or (current().world > 1 and time.monotonic() < self._heard + ECHO)
        ):
            return
        self._heard = time.monotonic()
        self._note(number)
        if not (self._deferring and is_first):
            raise Interrupted(number, 0)

    def _note(self, number: int) -> None:
        """Here and in all that are listening around it, which hear what is sent next."""
        self.number = self.number or number
        if self._around:
            self._around._note(number)


def stop_if_asked() -> None:
    """Raises `Interrupted` where a run was asked to stop that had come to its end: what would follow it does not."""
    listening = _listening()
    if listening is not None and listening.number is not None:
        raise Interrupted(listening.number, 0)


def hand_on(stop: KeyboardInterrupt) -> None:
    """Give the signal by which a job was stopped to the launcher that listens to it, if any, now that the step is
    saved: it may put the job into its queue again, and end the process.
    """
    number = getattr(stop, "number", 0)
    handler = signal.getsignal(number) if number in LAUNCHERS else None
    if callable(handler) and not isinstance(getattr(handler, "__self__", None), StopSignals):
        handler(number, None)


def _listening() -> StopSignals | None:
    handler = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return handler if isinstance(handler, StopSignals) else None


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) == signal.SIG_IGN
