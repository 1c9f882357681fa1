"""What a run has written, sent on to a board of another maker: its figures, scores, pictures and settings.

A board reads the run's own files, so that it shows what they have: each record of metrics.jsonl, each picture once its
JSON file says of which step it is, and the scores of the end. What was sent is noted in the run's folder, with the name
that the board has given the run: a resumed run goes on in it, and what it repeats, which is equal, is not sent again.
"""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image

from vae_runner.callbacks.base import Callback, Training
from vae_runner.errors import UserError
from vae_runner.files import read_json, write_atomically
from vae_runner.foreign import dig, json_object, leaves, number, plain_yaml, whole
from vae_runner.runs.names import CONFIG, EVALUATION, GRIDS, LOGGERS, METRICS
from vae_runner.state import State

__all__ = ["PACKAGES", "Board", "LoggerName", "loggers_of", "package_of", "scores_of"]

LoggerName = Literal["tensorboard", "wandb", "mlflow"]
PACKAGES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
APART = ("step", "split")  # of a record: where it belongs


def package_of(name: str) -> Any:
    """The package of a logger. Raises `UserError` where it is not installed, or does not fit."""
    try:
        return importlib.import_module(PACKAGES[name])
    except Exception as error:  # some packages raise what they like
        raise UserError(f"logger={name} needs {name} ({error}): pip install 'vae_runner[{name}]'") from error


def loggers_of(config: Mapping[str, Any]) -> list[str]:
    """The names of the loggers that a config asks for, each once; none that is not known."""
    return list(dict.fromkeys(name for name in config.get("logger") or () if name in [*PACKAGES]))


class Board(Callback):
    """Sends on what the run in `folder` has written, every `every` steps and at the end. Override the four below."""

    kind: ClassVar[str]

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.package = package_of(self.kind)  # said before training, not at its first step
        self._sent: dict[str, int] = {}  # the last step of each split and of each picture
        self._noted: dict[str, Any] = {}  # what the board wants to find again
        self._read = 0  # bytes of the log
        self._is_open = False

    def open(self, noted: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a run of these settings, or go on with the one that is noted; returns what is to be noted of it."""
        raise NotImplementedError

    def figures(self, values: Mapping[str, float], step: int) -> None:
        """Show the figures of a step."""
        raise NotImplementedError

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Show a picture, (H, W, 3) uint8."""
        raise NotImplementedError

    def finish(self) -> None:
        """End the run there."""
        raise NotImplementedError

    def on_start(self, engine: Training) -> None:
        noted = dig(read_json(self.folder / LOGGERS), self.kind)
        noted = noted if isinstance(noted, dict) else {}
        self._sent = {name: step for name, step in (noted.get("sent") or {}).items() if whole(step) is not None}
        config = plain_yaml((self.folder / CONFIG).read_text()) if (self.folder / CONFIG).is_file() else None
        settings = dict(leaves(config)) if config else {}
        self._noted = self.open({key: value for key, value in noted.items() if key != "sent"}, settings)
        self._is_open = True

    def on_step_end(self, engine: Training, state: State) -> None:
        if self._is_open and engine.is_due(self.every):
            self._send()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            try:
                self._send()
                self._send_scores()
            finally:
                self.finish()

    def _send(self) -> None:
        """What has been written since the last time."""
        before = dict(self._sent)
        for record in self._records():
            split, step = str(record.get("split")), whole(record.get("step"))
            if step is None or step <= before.get(split, -1):
                continue
            values = {f"{split}/{name}": value for name, value in _numbers(record).items() if name not in APART}
            self.figures(values, step)
            self._sent[split] = max(step, self._sent.get(split, -1))
        for file in sorted((self.folder / GRIDS).glob("*.png")):
            self._send_picture(file)
        self._note()

    def _records(self) -> list[dict[str, Any]]:
        """Those of the log's whole lines that were not read yet."""
        file = self.folder / METRICS
        if not file.is_file():
            return []
        with file.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        whole_lines = new[: new.rfind(b"\n") + 1]
        self._read += len(whole_lines)
        return [record for line in whole_lines.decode("utf-8", "replace").splitlines() if (record := json_object(line))]

    def _send_picture(self, file: Path) -> None:
        about, key = file.with_suffix(".json"), f"pictures/{file.stem}"
        if not about.exists() or about.stat().st_mtime_ns < file.stat().st_mtime_ns:
            return  # its JSON file, which comes behind it, is still that of the picture before
        step = whole(read_json(about).get("step"))
        if step is not None and step > self._sent.get(key, -1):
            with Image.open(file) as image:
                self.picture(key, np.asarray(image.convert("RGB")), step)
            self._sent[key] = step

    def _send_scores(self) -> None:
        """Those of the end, at the step of the weights that were scored."""
        for key, value, step in scores_of(self.folder):
            if step > self._sent.get(key, -1):
                self.figures({key: value}, step)
                self._sent[key] = step
        self._note()

    def _note(self) -> None:
        noted = {**read_json(self.folder / LOGGERS), self.kind: {**self._noted, "sent": self._sent}}
        write_atomically(self.folder / LOGGERS, json.dumps(noted, indent=1).encode())


def scores_of(folder: Path) -> list[tuple[str, float, int]]:
    """Returns the scores that a run has in its folder: 'score/mig', the value, and the step of what was scored."""
    found = [
        (f"score/{name}", number(dig(about, "value")), whole(dig(about, "step")))
        for name, about in read_json(folder / EVALUATION).items()
    ]
    return [(name, value, step) for name, value, step in found if value is not None and step is not None]


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    found = {name: number(value) for name, value in record.items()}
    return {name: value for name, value in found.items() if value is not None}
