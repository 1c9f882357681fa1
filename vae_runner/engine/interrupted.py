"""A run that was asked to stop."""

import signal

__all__ = ["Interrupted"]


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, by the signal of that `number`, and has saved where it was: the `step`; 0 where it
    stops at once, and has not.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(signal.Signals(number).name + (" (Ctrl-C)" if number == signal.SIGINT else ""))
        self.number, self.step = number, step

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (self.number, self.step)  # from the process of a job to that of its sweep
