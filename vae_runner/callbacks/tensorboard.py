"""The run's figures and pictures as TensorBoard reads them, by torch's own SummaryWriter."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.loggers.board import scores_of
from vae_runner.callbacks.logs import MetricsLog
from vae_runner.errors import UserError
from vae_runner.files import read_json
from vae_runner.foreign import json_object
from vae_runner.runs.names import EVALUATION, METRICS
from vae_runner.state import State

__all__ = ["TensorBoard", "summary_writer"]


def summary_writer() -> Any:
    """The SummaryWriter class. Raises `UserError` where tensorboard is not installed, or does not fit."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except Exception as error:  # its protobuf raises what it likes
        raise UserError(
            f"engine.tensorboard=true needs tensorboard ({error}): pip install 'vae_runner[tensorboard]'"
        ) from error
    return SummaryWriter


class TensorBoard(Callback):
    """Writes to `folder` what `metrics`, behind which it stands, has recorded, each validation, and the pictures.

    Pictures are read from the PNG files in `pictures` once they are there, and stand at the step they are of.
    """

    def __init__(self, metrics: MetricsLog, folder: Path, pictures: Path) -> None:
        self.metrics, self.folder, self.pictures = metrics, folder, pictures
        self._make_writer = summary_writer()  # said before training, not at its first step
        self._writer: Any = None
        self._logged, self._scored = 0, 0  # bytes of the log, and when the scores were written, at the start
        self._seen: dict[str, int] = {}  # picture: when its file was written, nanoseconds

    def on_start(self, engine: Training) -> None:
        # A resumed run takes back what was written after the step that it goes on from.
        self._writer = self._make_writer(str(self.folder), purge_step=engine.step + 1 if engine.step else None)
        log, scored = self.folder.parent / METRICS, self.folder.parent / EVALUATION
        self._logged = log.stat().st_size if log.is_file() else 0
        self._scored = scored.stat().st_mtime_ns if scored.is_file() else 0
        self._seen = {file.stem: file.stat().st_mtime_ns for file in self.pictures.glob("*.png")}

    def on_validation(self, engine: Training) -> None:
        self._scalars("validation", engine.validated, engine.step)

    def on_step_end(self, engine: Training, state: State) -> None:
        if engine.is_due(self.metrics.every):
            self._scalars("train", self.metrics.latest, engine.step)
            self._new_pictures()

    def close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            try:
                self._new_pictures(writer)
                self._notes(writer)
            finally:
                writer.close()

    def _notes(self, writer: Any) -> None:
        """What was measured by the way and at the end since the start, beside training and validation: each once."""
        log, scored = self.folder.parent / METRICS, self.folder.parent / EVALUATION
        lines = log.read_bytes()[self._logged :].splitlines() if log.is_file() else []
        for record in filter(None, (json_object(line.decode("utf-8", "replace")) for line in lines)):
            if record.get("split") not in ("train", "validation"):
                for name, value in record.items():
                    if isinstance(value, (int, float)) and name not in ("step", "epoch", "seconds"):
                        writer.add_scalar(f"{record['split']}/{name}", value, record["step"])
        if scored.is_file() and scored.stat().st_mtime_ns != self._scored:
            for name, value, step in scores_of(self.folder.parent):
                writer.add_scalar(name, value, step)

    def _scalars(self, split: str, values: dict[str, Any], step: int) -> None:
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(f"{split}/{name}", value, step)

    def _new_pictures(self, writer: Any = None) -> None:
        for file in sorted(self.pictures.glob("*.png")):
            written, about = file.stat().st_mtime_ns, file.with_suffix(".json")
            if written == self._seen.get(file.stem) or not about.exists() or about.stat().st_mtime_ns < written:
                continue  # its JSON file, which comes behind it, is still that of the picture before
            if isinstance(step := read_json(about).get("step"), int):
                self._seen[file.stem] = written
                with Image.open(file) as image:
                    pixels = np.asarray(image.convert("RGB"))
                (writer or self._writer).add_image(f"pictures/{file.stem}", pixels, step, dataformats="HWC")
