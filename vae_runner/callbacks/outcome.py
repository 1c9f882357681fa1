"""How far the run is and how it ended, for who looks into its folder: its status, and the page made of all there."""

import time
from pathlib import Path

from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.pictures import FIRST
from vae_runner.errors import RunError
from vae_runner.report import write_report
from vae_runner.runs.names import PAGE, STATUS
from vae_runner.runs.status import StatusFile
from vae_runner.runs.words import shown
from vae_runner.state import State

__all__ = ["Report", "Status", "finish_page"]

SECONDS = 5  # after which the status is written anew: who looks at it from outside sees that the run is alive


class Status(Callback):
    """Keeps status.json up to date: at the start, every few seconds, at each validation, and, by `end`, when the run is
    over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, StatusFile(folder)
        self._written = 0.0

    def write(self, state: str, reason: str | None = None) -> None:
        """Say what has become of the run: running, done, failed or interrupted, and why."""
        self.file.write(state, reason)

    def end(self, state: str, reason: str | None = None) -> None:
        """Say how the run has ended, and write the page of it."""
        self.write(state, reason)
        write_report(self.folder)

    def on_start(self, engine: Training) -> None:
        self._follow(engine)

    def on_step(self, engine: Training, state: State) -> None:
        """Raises `RunError` where the folder is gone, before anyone makes another of that name."""
        if not self.file.path.exists():
            raise RunError(f"{shown(self.folder)} is gone: stopped at step {engine.step:,}")

    def on_validation(self, engine: Training) -> None:
        self._follow(engine)

    def on_step_end(self, engine: Training, state: State) -> None:
        self.file.step, self.file.skipped = engine.step, engine.skipped
        if time.monotonic() - self._written >= SECONDS and engine.step < engine.total_steps:
            self._follow(engine)

    def _follow(self, engine: Training) -> None:
        self.file.step, self.file.total_steps, self.file.skipped = engine.step, engine.total_steps, engine.skipped
        epochs = engine.config.epochs  # a run is made longer in the unit that it was given in
        self.file.longer = f"engine.epochs={2 * epochs}" if epochs else f"engine.steps={2 * engine.total_steps}"
        self.file.write("running")
        self._written = time.monotonic()


class Report(Callback):
    """Writes the page of `folder` at the start, with the first validation, and when pictures are due; to be called
    `AfterPictures` them, when they are written.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def on_start(self, engine: Training) -> None:
        write_report(self.folder)

    def on_validation(self, engine: Training) -> None:
        if engine.step == 0:
            write_report(self.folder)

    def on_step_end(self, engine: Training, state: State) -> None:
        if engine.is_due(self.every) or engine.step == min(FIRST, self.every):
            write_report(self.folder)


def finish_page(folder: Path) -> None:
    """Write the page of a run that was killed when it was done, before its page said so."""
    page, status = folder / PAGE, folder / STATUS
    if not page.exists() or page.stat().st_mtime_ns < status.stat().st_mtime_ns:
        write_report(folder)
