"""Writing the report: once, or again and again while the run goes on."""

import logging
from pathlib import Path

from vae_runner.callbacks import Callback, Training
from vae_runner.callbacks.pictures import FIRST
from vae_runner.errors import RunError
from vae_runner.files import write_atomically
from vae_runner.report.folder import read_run
from vae_runner.report.page import page
from vae_runner.report.sections import sections
from vae_runner.state import State

__all__ = ["Report", "write_report"]

log = logging.getLogger(__name__)


def write_report(folder: Path) -> Path:
    """Make report.html of what is in the run's folder; returns its path."""
    folder = Path(folder)
    run = read_run(folder)
    file = folder / "report.html"
    write_atomically(file, page(f"{run.name}: {run.state}" if run.status else run.name, sections(run)))
    return file


class Report(Callback):
    """Writes the report of `folder` whenever new pictures are there; stand behind `Pictures`.

    Training does not depend on it: where it cannot be written, one warning says so.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self._warned = False

    def on_step_end(self, engine: Training, state: State) -> None:
        if engine.is_due(self.every) or engine.step == min(FIRST, self.every):
            self._write()

    def _write(self) -> None:
        try:
            write_report(self.folder)
        except (OSError, RunError) as error:  # RunError: what `write_atomically` makes of a full disk
            if not self._warned:
                log.warning("no report: %s; training goes on", error)
            self._warned = True
