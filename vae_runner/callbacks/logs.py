"""Figures on disk: `metrics.jsonl`, one record a line, and `epochs.csv`, one validation a line."""

import contextlib
import csv
import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vae_runner.callbacks.base import Callback, Training
from vae_runner.errors import RunError
from vae_runner.evaluation import Means
from vae_runner.files import append, flush, write_atomically
from vae_runner.foreign import json_object, read_bytes, whole
from vae_runner.latent_frame import Turn
from vae_runner.objective.elbo import space_prefix
from vae_runner.runs.turn_marks import TURN
from vae_runner.state import METRICS, SCHEDULED, TURNS, State

__all__ = ["TESTED", "EpochTable", "MetricsLog"]

log = logging.getLogger(__name__)

TESTED = "test"  # the split of a record of the test images


class MetricsLog(Callback):
    """Appends a record of the first step and one every `every` steps, the means over the steps since the last, one for
    each validation, one for each turn of a latent space, or latents that are opened, behind what else there is of its
    step, and, at the end, one of the test images.

    Losses in nats per image; `skipped` counts the steps that were left out so far, where there are any; `seconds` since
    the start of the process and `images_per_second` are wall time.
    """

    def __init__(self, file: Path, every: int) -> None:
        self.file, self.every = file, every
        self.means = Means()
        self.latest: dict[str, Any] = {}  # the newest training record
        self._started = self._logged = time.monotonic()
        self._steps = 0  # of this process since the last record

    def on_start(self, engine: Training) -> None:
        _forget_after(self.file, engine.step, _step_of_record)
        self._started = self._logged = time.monotonic()

    def on_step(self, engine: Training, state: State) -> None:
        happened = [_of_turn(space, turn) for space, turn in state.get(TURNS, {}).items()]
        happened += [{f"{space}opened": latents} for space, latents in _opened(engine)]
        for event in happened:
            before = {"step": engine.step - 1, "epoch": engine.epoch * (1 - 1 / engine.step)}
            self._append(engine, TURN, before | event)
        self.means.add(state[METRICS])
        self._steps += 1
        if engine.is_due(self.every) or engine.step == 1:
            scheduled = {name: float(value) for name, value in state[SCHEDULED].items()}
            now = time.monotonic()
            rate = self._steps * engine.config.batch_size / max(now - self._logged, 1e-9)
            skipped = {"skipped": engine.skipped} if engine.skipped else {}
            # The first step is no measure of speed: much is made in it that others find.
            speed = {"images_per_second": round(rate, 1)} if engine.step > 1 else {}
            self.latest = {**self.means.read(), **scheduled, **skipped, **speed}
            self._append(engine, "train", self.latest)
            self.means.clear()
            self._logged, self._steps = now, 0

    def on_validation(self, engine: Training) -> None:
        self._append(engine, "validation", engine.validated)

    def note(self, engine: Training, split: str, values: Mapping[str, Any]) -> None:
        """Append a record of another kind, such as `test`; its `step` may be among the values."""
        self._append(engine, split, values)

    def state_dict(self) -> dict[str, Any]:
        """Who asks is about to claim that this step is done, and so its records have to be on the disk."""
        if self.file.exists():
            flush(self.file)
        return self.means.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.means.load_state_dict(state)

    def _append(self, engine: Training, split: str, values: Mapping[str, Any]) -> None:
        seconds = round(time.monotonic() - self._started, 3)
        record = {"step": engine.step, "epoch": engine.epoch, "split": split, **values, "seconds": seconds}
        append(self.file, json.dumps(record) + "\n")


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
        """As of `MetricsLog`; but the table may be missing."""
        with contextlib.suppress(RunError):
            if self.file.exists():
                flush(self.file)
        return self.means.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.means.load_state_dict(state)

    def _append(self, row: Mapping[str, Any]) -> None:
        names = ["epoch", "step", *(f"train_{name}" for name in self.METRICS)]
        names += [f"val_{name}" for name in ("neg_elbo", *self.METRICS, "bits_per_dim")]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        if not self.file.exists() or self.file.stat().st_size == 0:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
        append(self.file, text.getvalue())


def _of_turn(space: str, turn: Turn) -> dict[str, Any]:
    values = {"latents": turn.latents, "degrees": turn.degrees, **({"why": turn.why} if turn.why else {})}
    return {f"{space}{name}": value for name, value in values.items()}


def _opened(engine: Training) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Latents that were closed until the step before this one, by what stands before the names of their figures."""
    spaces = engine.objective.model.spaces
    for number, space in enumerate(spaces):
        opening = getattr(space, "opening", None)  # a space of one's own may have none
        if opening is not None and (latents := opening.opened_at(engine.step - 1)):
            yield space_prefix(number, len(spaces)), latents


def _step_of_record(line: str) -> int:
    """The step that it is written in: for a turn behind a step, the next; what is of the end is behind all steps."""
    record = json_object(line) or {}
    if (step := whole(record.get("step"))) is None:
        raise ValueError("no step")
    if record.get("split") == TESTED:
        return sys.maxsize
    return step + (record.get("split") == TURN)


def _step_of_row(line: str) -> int:
    return -1 if line.startswith("epoch,step,") else int(line.split(",")[1])  # -1: the header


def _forget_after(file: Path, step: int, step_of: Callable[[str], int]) -> None:
    """Take out what was written after the step that a run goes on from, all of it where that is the start, and a last
    line that was not finished. Other lines that cannot be read are left out with a warning.
    """
    if not file.exists():
        return
    try:
        lines = read_bytes(file).decode(errors="replace").split("\n")[:-1]
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    kept = []
    for line in lines:
        try:
            if step_of(line) <= (step or -1):  # step 0 is validated again
                kept.append(line)
        except (ValueError, LookupError, TypeError):
            log.warning("%s: left out a line that cannot be read: %.40r", file.name, line)
    write_atomically(file, "".join(f"{line}\n" for line in kept).encode())
