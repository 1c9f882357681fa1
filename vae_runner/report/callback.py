"""Writing the report again and again while the run goes on."""

import time
from pathlib import Path

from vae_runner.callbacks import Callback, Training
from vae_runner.callbacks.pictures import FIRST
from vae_runner.report.write import write_report
from vae_runner.state import State

__all__ = ["Report"]

SECONDS = 2  # between two looks whether new pictures have come


class Report(Callback):
    """Writes the report of `folder` when pictures are due, and whenever new ones are there; stand behind `Pictures`."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self._shown: int | None = None
        self._looked = 0.0

    def on_step_end(self, engine: Training, state: State) -> None:
        is_due = engine.is_due(self.every) or engine.step == min(FIRST, self.every)
        now = time.monotonic()
        if (
            is_due or now - self._looked >= SECONDS
        ):  # pictures may be written in the background, later than they are due
            self._looked = now
            if is_due or self._newest() != self._shown:
                self._shown = self._newest()
                write_report(self.folder)

    def _newest(self) -> int | None:
        """When a file last came into the pictures' folder, nanoseconds."""
        try:
            return (self.folder / "grids").stat().st_mtime_ns
        except OSError:
            return None
