"""Loggers that a run can do without: what they raise costs a warning, not the run."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from vae_runner.callbacks.base import Callback, Training
from vae_runner.state import State

__all__ = ["NonFatal"]

log = logging.getLogger(__name__)
tracebacks = logging.getLogger("vae_runner.traceback")  # goes to train.log alone


class NonFatal(Callback):
    """Does what `callback` does. What it raises is told once, in a line; it is called again, a full disk may be freed.

    Its state is saved under the name that `callback` has by itself.
    """

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self._warned = False

    @property
    def name(self) -> str:
        """That of the callback."""
        return self.callback.name

    def on_start(self, engine: Training) -> None:
        self._call(self.callback.on_start, engine)

    def on_step(self, engine: Training, state: State) -> None:
        self._call(self.callback.on_step, engine, state)

    def on_validation(self, engine: Training) -> None:
        self._call(self.callback.on_validation, engine)

    def on_step_end(self, engine: Training, state: State) -> None:
        self._call(self.callback.on_step_end, engine, state)

    def on_interrupt(self, engine: Training) -> None:
        self._call(self.callback.on_interrupt, engine)

    def on_end(self, engine: Training) -> None:
        self._call(self.callback.on_end, engine)

    def close(self) -> None:
        self._call(self.callback.close)

    def state_dict(self) -> dict[str, Any]:
        """Returns that of the callback."""
        return self.callback.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.callback.load_state_dict(state)

    def _call(self, hook: Callable[..., None], *arguments: Any) -> None:
        try:
            hook(*arguments)
        except Exception as error:
            if not self._warned:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
                log.warning("%s has failed, training goes on without it: %s", self.callback.name, reason)
                tracebacks.error("%s has failed", self.callback.name, exc_info=error)
            self._warned = True
