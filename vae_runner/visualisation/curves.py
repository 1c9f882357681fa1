"""Charts over the steps of a run: its schedules, before it starts, and its losses."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch

from vae_runner.signature import enforced, positive
from vae_runner.visualisation.axes import COLOURS, INK, Box, Curve, plot
from vae_runner.visualisation.canvas import Canvas
from vae_runner.visualisation.charts import Chart
from vae_runner.visualisation.picture import Drawing, Picture, Scene

__all__ = ["LossCurves", "ScheduleChart"]

Count = Annotated[int, positive]
FALLING = ("loss, nats", "reconstruction, nats")  # by so much that a logarithmic scale shows more
APART = 30  # times that of several schedules one is above where another ends, from which on the scale is logarithmic
MEANINGS = {"beta": "beta, weight of the KL", "capacity": "capacity C, nats", "lr": "learning rate"}
OF_TERMS = "beta, weight of each term"  # of a set of terms with names
WITHOUT_NAME = re.compile(r"(space\d+/)?[^/]*")  # figures of a run with one term, or one for each space


@enforced
class ScheduleChart(Picture):
    """The schedules over all steps of the run: beta, capacity and learning rate; drawn before the first step.

    From 0, so that a small change looks small; several that are far apart, as the betas of two spaces may be, on a
    logarithmic scale.

    points   at how many steps each is shown
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
        panels = []
        for kind in kinds:
            of_kind = [name for name in schedules if name.rpartition("/")[2] == kind]
            curves = [
                Curve(name.rpartition("/")[0], list(zip(steps.tolist(), schedules[name], strict=True)), colour)
                for name, colour in zip(of_kind, COLOURS * len(of_kind), strict=False)
            ]
            panels.append((_meaning(kind, of_kind), curves))
        title = f"schedules over {scene.total_steps:,} steps"
        canvas = _panels(panels, title, scene.total_steps, 1, 620, 110, are_schedules=True)
        return [Chart(canvas, {"steps": steps.tolist(), "schedules": schedules})]


@enforced
class LossCurves(Picture):
    """Loss, reconstruction, KL with the capacity, beta, and the terms where these are several with names, over the
    steps so far, from metrics.jsonl: lines of the training, dots of the validation; nats per image.

    points   of a curve at most
    """

    history: ClassVar[bool] = False

    def __init__(self, points: Count = 500) -> None:
        self.points = points
        self._log = _Log()

    def drawings(self, scene: Scene) -> list[Drawing]:
        found = self._log.records(scene.folder / "metrics.jsonl")
        records = [record for record in found if record["step"] <= scene.step]
        if not records:
            return []
        panels = [
            ("loss, nats", self._both(records, "loss")),
            ("reconstruction, nats", self._both(records, "recon")),
            ("KL, nats", [*self._both(records, "kl"), *self._scheduled(records, "capacity", "C")]),
            (_meaning("beta", _named(records, "beta")), self._scheduled(records, "beta", "")),
            ("terms as weighted, nats", self._terms(records)),
        ]
        panels = [(title, [curve for curve in curves if curve.points]) for title, curves in panels]
        panels = [(title, curves) for title, curves in panels if curves]
        return [Chart(_panels(panels, f"training, step {scene.step:,}", scene.step, 2, 340, 170))]

    def _both(self, records: Sequence[dict[str, Any]], name: str) -> list[Curve]:
        train, validation = (self._points(_of(records, split), name) for split in ("train", "validation"))
        return [Curve("training", train, COLOURS[0]), Curve("validation", validation, COLOURS[1], as_dots=True)]

    def _scheduled(self, records: Sequence[dict[str, Any]], kind: str, label: str) -> list[Curve]:
        train = _of(records, "train")
        return [
            Curve(f"{label} {name.rpartition('/')[0]}".strip(), self._points(train, name), COLOURS[2 + number % 4])
            for number, name in enumerate(_named(records, kind))
        ]

    def _terms(self, records: Sequence[dict[str, Any]]) -> list[Curve]:
        """What each term with a name adds to the loss."""
        names = [name for name in _named(records, "divergence") if not WITHOUT_NAME.fullmatch(name)]
        train = _of(records, "train")
        return [
            Curve(name.rpartition("/")[0], self._points(train, name), colour)
            for name, colour in zip(names, COLOURS * len(names), strict=False)
        ]

    def _points(self, records: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
        points = [(record["step"], record[name]) for record in records if isinstance(record.get(name), (int, float))]
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
        """What the whole lines hold, without its lists."""
        if not file.exists():
            return []
        with open(file, "rb") as log:
            about = os.fstat(log.fileno())
            if self._file != (file, about.st_ino) or about.st_size < self._end:
                self._file, self._end, self._records = (file, about.st_ino), 0, []
            log.seek(self._end)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._end += len(whole)
        self._records += map(_without_lists, map(json.loads, whole.splitlines()))
        return self._records


def _without_lists(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if not isinstance(value, list)}


def _panels(
    panels: Sequence[tuple[str, Sequence[Curve]]], title: str, x_end: float, columns: int, wide: float, high: float,
    are_schedules: bool = False,
) -> Canvas:  # fmt: skip
    """Small charts over the same steps, in rows of so many columns; schedules from 0."""
    rows = -(-len(panels) // columns)
    across, down = wide + 92, high + 74
    canvas = Canvas(across * min(columns, len(panels)) + 14, 44 + down * rows + 12)
    canvas.text(70, 26, title, INK, 14)
    for number, (name, curves) in enumerate(panels):
        row, column = divmod(number, columns)
        left, top = 70 + across * column, 66 + down * row
        x_title = "step" if number + columns >= len(panels) else ""
        is_schedule = are_schedules or name in (*MEANINGS.values(), OF_TERMS)
        may_be_log = _far_apart(curves) if is_schedule else name in FALLING
        plot(canvas, Box(left, top, left + wide, top + high), name, curves, x_end, x_title, may_be_log, is_schedule)
    return canvas


def _far_apart(curves: Sequence[Curve]) -> bool:
    """Whether, of several curves, the largest value is more than `APART` times the smallest at their ends but for 0."""
    ends = [value for curve in curves if (value := curve.points[-1][1]) > 0]
    largest = max(value for curve in curves for _, value in curve.points)
    return len(curves) > 1 and bool(ends) and largest > APART * min(ends)
