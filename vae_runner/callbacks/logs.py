"""Figures on disk: `metrics.jsonl`, one record a line, and `epochs.csv`, one validation a line."""

import csv
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_runner.callbacks.base import Callback, Training
from vae_runner.files import write_atomically
from vae_runner.metrics import Means
from vae_runner.state import METRICS, SCHEDULED, State

__all__ = ["EpochTable", "MetricsLog"]


class MetricsLog(Callback):
    """Appends a record every `every` steps, the means over the steps since the last, and one for each validation.

    Losses in nats per image; `seconds` since the start of the process and `images_per_second` are wall time.
    """

    def __init__(self, file: Path, every: int) -> None:
        self.file, self.every = file, every
        self.means = Means()
        self.latest: dict[str, Any] = {}  # the newest training record
        self._started = self._logged = time.monotonic()
        self._steps = 0  # of this process since the last record

    def on_start(self, engine: Training) -> None:
        _forget_after(self.file, engine.step, lambda line: json.loads(line)["step"])
        self._started = self._logged = time.monotonic()

    def on_step(self, engine: Training, state: State) -> None:
        self.means.add(state[METRICS])
        self._steps += 1
        if engine.is_due(self.every):
            scheduled = {name: float(value) for name, value in state[SCHEDULED].items()}
            now = time.monotonic()
            rate = self._steps * engine.config.batch_size / max(now - self._logged, 1e-9)
            self.latest = {**self.means.read(), **scheduled, "images_per_second": round(rate, 1)}
            self._append(engine, "train", self.latest)
            self.means.clear()
            self._logged, self._steps = now, 0

    def on_validation(self, engine: Training) -> None:
        self._append(engine, "validation", engine.validated)

    def state_dict(self) -> dict[str, Any]:
        return self.means.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.means.load_state_dict(state)

    def _append(self, engine: Training, split: str, values: Mapping[str, Any]) -> None:
        seconds = round(time.monotonic() - self._started, 3)
        record = {"step": engine.step, "epoch": engine.epoch, "split": split, **values, "seconds": seconds}
        with self.file.open("a") as file:
            file.write(json.dumps(record) + "\n")


class EpochTable(Callback):
    """A row for each validation: training means since the row before, and validation means, nats per image.

    Bits per dimension come last.
    """

    METRICS = ("loss", "recon", "kl", "divergence")

    def __init__(self, file: Path) -> None:
        self.file = file
        self.means = Means()

    def on_start(self, engine: Training) -> None:
        _forget_after(self.file, engine.step, _step_of_row)

    def on_step(self, engine: Training, state: State) -> None:
        self.means.add({name: state[METRICS][name] for name in self.METRICS if name in state[METRICS]})

    def on_validation(self, engine: Training) -> None:
        trained = {f"train_{name}": value for name, value in self.means.read().items()}
        names = ("neg_elbo", *self.METRICS, "bits_per_dim")
        validated = {f"val_{name}": engine.validated[name] for name in names if name in engine.validated}
        self._append({"epoch": engine.epoch, "step": engine.step, **trained, **validated})
        self.means.clear()

    def state_dict(self) -> dict[str, Any]:
        return self.means.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.means.load_state_dict(state)

    def _append(self, row: Mapping[str, Any]) -> None:
        names = ["epoch", "step", *(f"train_{name}" for name in self.METRICS)]
        names += [f"val_{name}" for name in ("neg_elbo", *self.METRICS, "bits_per_dim")]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        if not self.file.exists():
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
        with self.file.open("a") as file:
            file.write(text.getvalue())


def _step_of_row(line: str) -> int:
    step = line.split(",")[1]
    return int(step) if step.isdigit() else -1  # -1: the header


def _forget_after(file: Path, step: int, step_of: Any) -> None:
    """Take out what was written after the step that a run goes on from, and a last line that was not finished."""
    if not file.exists():
        return
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    kept = [line for line in whole if step_of(line) <= step]
    write_atomically(file, "".join(kept).encode())
