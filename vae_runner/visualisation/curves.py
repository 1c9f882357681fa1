"""Charts over the steps of a run: its schedules, before it starts, and its losses."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch

from vae_runner.drawing.chart.axes import Series
from vae_runner.drawing.encoded import Drawing
from vae_runner.drawing.on_screen import Panel, panels
from vae_runner.drawing.palette import COLOURS
from vae_runner.foreign import json_object, number
from vae_runner.foreign import whole as count
from vae_runner.runs.names import METRICS
from vae_runner.runs.turn_marks import TURN, turn_marks
from vae_runner.signature import Limit, enforced, positive
from vae_runner.visualisation.charts import Chart
from vae_runner.visualisation.picture import Picture, Scene

__all__ = ["LossCurves", "ScheduleChart"]

Count = Annotated[int, positive, Limit("must be at most 100,000", lambda value: value <= 100_000)]
FALLING = ("loss, nats", "reconstruction, nats")  # by so much that a logarithmic scale shows more
APART = 30  # times that of several schedules one is above where another ends, from which on the scale is logarithmic
MEANINGS = {"beta": "beta, weight of the KL", "capacity": "capacity C, nats", "lr": "learning rate"}
OF_TERMS = "beta of each term"  # of a set of terms with names
WITHOUT_NAME = re.compile(r"(space\d+/)?[^/]*")  # figures of a run with one term, or one for each space


@enforced
class ScheduleChart(Picture):
    """The schedules over all steps of the run: beta, capacity and learning rate; drawn before the first step.

    From 0, so that a small change looks small; several that are far apart, as the betas of two spaces may be, on a
    logarithmic scale.

    Args:
        points: at how many steps each is shown.

    Example:
        >>> scene = Scene(0, 1001, Path("run"), state=dict, schedules=lambda steps: {"beta": steps / 1000})
        >>> ScheduleChart(points=3).drawings(scene)[0].details
        {'steps': [0, 500, 1000], 'schedules': {'beta': [0.0, 0.5, 1.0]}}
    """

    at_start: ClassVar[bool] = True
    history: ClassVar[bool] = False

    def __init__(self, points: Count = 400) -> None:
        self.points = points

    def drawings(self, scene: Scene) -> list[Drawing]:
        count = min(self.points, scene.total_steps)
        steps = torch.linspace(0, scene.total_steps - 1, count, dtype=torch.float64).round().long()
        schedules = {name: values.tolist() for name, values in scene.schedules(steps).items()}
        kinds = dict.fromkeys(name.rpartition("/")[2] for name in schedules)
        shown = []
        for kind in kinds:
            of_kind = [name for name in schedules if name.rpartition("/")[2] == kind]
            curves = [
                Series(name.rpartition("/")[0], list(zip(steps.tolist(), schedules[name], strict=True)), colour)
                for name, colour in zip(of_kind, COLOURS * len(of_kind), strict=False)
            ]
            shown.append(_panel(_meaning(kind, of_kind), curves, is_schedule=True))
        canvas = panels(shown, f"schedules over {scene.total_steps:,} steps", scene.total_steps, 1, 620, 110)
        return [Chart(canvas, {"steps": steps.tolist(), "schedules": schedules})]


@enforced
class LossCurves(Picture):
    """Loss, reconstruction, KL with the capacity, beta, and the terms where these are several with names, over the
    steps so far, from metrics.jsonl: lines of the training, dots of the validation; nats per image. Upright lines stand
    where latents were turned or opened, and the JSON file says what was.

    Args:
        points: of a curve at most.

    Example:
        >>> with Path(METRICS).open("w") as log:
        ...     print('{"step": 1, "split": "train", "loss": 90.0}', file=log)
        >>> [chart] = LossCurves().drawings(Scene(1, 100, Path(), state=dict, schedules=dict))
        >>> sorted(chart.encode().files)
        ['.png', '.svg']
    """

    history: ClassVar[bool] = False

    def __init__(self, points: Count = 500) -> None:
        self.points = points
        self._log = _Log()

    def drawings(self, scene: Scene) -> list[Drawing]:
        logged = self._log.records(scene.folder / METRICS)
        records = [record for record in logged if record["step"] <= scene.step]
        if not records:
            return []
        betas = _named(records, "beta")
        terms = [name for name in _named(records, "divergence") if not WITHOUT_NAME.fullmatch(name)]
        found = [
            ("loss, nats", self._both(records, "loss")),
            ("reconstruction, nats", self._both(records, "recon")),
            ("KL, nats", [*self._both(records, "kl"), *self._lines(records, _named(records, "capacity"), "C")]),
            (_meaning("beta", betas), self._lines(records, betas)),
            ("terms as weighted, nats", self._lines(records, terms)),
        ]
        found = [(title, [curve for curve in curves if curve.points]) for title, curves in found]
        shown = [_panel(title, curves) for title, curves in found if curves]
        turns = list(turn_marks(records))
        title = f"training, step {scene.step:,}" + ("; upright: latents turned or opened" if turns else "")
        marks = [(turn.step, turn.words) for turn in turns]
        details = {"turns": [turn.words for turn in turns]} if turns else {}
        return [Chart(panels(shown, title, scene.step, 2, 340, 170, marks), details)]

    def _both(self, records: Sequence[dict[str, Any]], name: str) -> list[Series]:
        train, validation = (self._points(_of(records, split), name) for split in ("train", "validation"))
        return [Series("training", train, COLOURS[0]), Series("validation", validation, COLOURS[1], "dots")]

    def _lines(self, records: Sequence[dict[str, Any]], names: Sequence[str], label: str = "") -> list[Series]:
        """A curve of the training for each name, called by what stands before its last part."""
        train = _of(records, "train")
        return [
            Series(f"{label} {name.rpartition('/')[0]}".strip(), self._points(train, name), COLOURS[2 + number % 4])
            for number, name in enumerate(names)
        ]

    def _points(self, records: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
        points = [(record["step"], record[name]) for record in records if name in record]
        every = -(-len(points) // self.points) or 1
        return [*points[:-1:every], *points[-1:]]


def _named(records: Sequence[dict[str, Any]], kind: str) -> list[str]:
    """The names of all figures of that kind, `tc/beta` is a `beta`, in the order in which they come."""
    return list(dict.fromkeys(name for record in records for name in record if name.rpartition("/")[2] == kind))


def _meaning(kind: str, names: Sequence[str]) -> str:
    """What a kind of schedule is, for the head of its chart."""
    is_of_terms = kind == "beta" and not all(map(WITHOUT_NAME.fullmatch, names))
    return OF_TERMS if is_of_terms else MEANINGS.get(kind, kind)


def _of(records: Sequence[dict[str, Any]], split: str) -> list[dict[str, Any]]:
    return [record for record in records if record.get("split") == split]


class _Log:
    """A log that grows, of which every line is read once: the training waits for it."""

    def __init__(self) -> None:
        self._file: tuple[Path, int] | None = None  # its path and its number on the disk, for it may be replaced
        self._end = 0  # bytes that were read
        self._records: list[dict[str, Any]] = []

    def records(self, file: Path) -> list[dict[str, Any]]:
        """The figures of the whole lines; a line that is no record is left out."""
        if not file.is_file():
            return []
        with file.open("rb") as log:
            about = os.fstat(log.fileno())
            if self._file != (file, about.st_ino) or about.st_size < self._end:
                self._file, self._end, self._records = (file, about.st_ino), 0, []
            log.seek(self._end)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._end += len(whole)
        read = map(json_object, whole.decode("utf-8", "replace").split("\n")[:-1])
        self._records += [_figures(record) for record in read if record and count(record.get("step")) is not None]
        return self._records


def _figures(record: dict[str, Any]) -> dict[str, Any]:
    """Its numbers, and what it is of; of a turn all."""
    if record.get("split") == TURN:
        return {**record, "step": count(record["step"])}
    figures = {name: figure for name, value in record.items() if (figure := number(value)) is not None}
    return {**figures, "step": count(record["step"]), "split": record.get("split")}


def _panel(title: str, curves: Sequence[Series], is_schedule: bool = False) -> Panel:
    """Schedules from 0."""
    is_schedule = is_schedule or title in (*MEANINGS.values(), OF_TERMS)
    return title, curves, _far_apart(curves) if is_schedule else title in FALLING, is_schedule


def _far_apart(curves: Sequence[Series]) -> bool:
    """Whether, of several curves, the largest value is more than `APART` times the smallest at their ends but for 0."""
    ends = [value for curve in curves if (value := curve.points[-1][1]) > 0]
    largest = max(value for curve in curves for _, value in curve.points)
    return len(curves) > 1 and bool(ends) and largest > APART * min(ends)
