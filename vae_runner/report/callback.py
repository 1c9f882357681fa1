"""Writing the report again and again while the run goes on."""

from pathlib import Path

from vae_runner.callbacks import Callback, Training
from vae_runner.callbacks.pictures import FIRST
from vae_runner.report.write import write_report
from vae_runner.state import State

__all__ = ["Report"]


class Report(Callback):
    """Writes the report of `folder` when pictures are due; to be called `Behind` them, when they are written."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def on_step_end(self, engine: Training, state: State) -> None:
        if engine.is_due(self.every) or engine.step == min(FIRST, self.every):
            write_report(self.folder)
