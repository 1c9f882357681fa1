"""Charts over the steps of a run: its schedules, before it starts, and its losses."""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch

from vae_runner.drawing.chart.axes import Series
from vae_runner.drawing.encoded import Drawing
from vae_runner.drawing.on_screen import Panel, panels
from vae_runner.drawing.palette import COLOURS
from vae_runner.runs.growing.growing_log import Log, read_log
from vae_runner.runs.growing.record_table import names, points
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
        >>> from pathlib import Path
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
        >>> from pathlib import Path
        >>> with Path(METRICS).open("w") as log:
        ...     print('{"step": 1, "split": "train", "loss": 90.0}', file=log)
        >>> [chart] = LossCurves().drawings(Scene(1, 100, Path(), state=dict, schedules=dict))
        >>> sorted(chart.encode().files)
        ['.png', '.svg']
    """

    history: ClassVar[bool] = False

    def __init__(self, points: Count = 500) -> None:
        self.points = points

    def drawings(self, scene: Scene) -> list[Drawing]:
        file = scene.folder / METRICS
        log = read_log(file) if file.is_file() else Log({})
        seen = _Seen(log, scene.step, self.points)
        betas = seen.named("beta")
        terms = [name for name in seen.named("divergence") if not WITHOUT_NAME.fullmatch(name)]
        found = [
            ("loss, nats", seen.both("loss")),
            ("reconstruction, nats", seen.both("recon")),
            ("KL, nats", [*seen.both("kl"), *seen.lines(seen.named("capacity"), "C")]),
            (_meaning("beta", betas), seen.lines(betas)),
            ("terms as weighted, nats", seen.lines(terms)),
        ]
        found = [(title, [curve for curve in curves if curve.points]) for title, curves in found]
        shown = [_panel(title, curves) for title, curves in found if curves]
        if not shown:
            return []
        turns = [turn for turn in turn_marks(log.of(TURN)) if turn.step <= scene.step]
        title = f"training, step {scene.step:,}" + ("; upright: latents turned or opened" if turns else "")
        marks = [(turn.step, turn.words) for turn in turns]
        details = {"turns": [turn.words for turn in turns]} if turns else {}
        return [Chart(panels(shown, title, scene.step, 2, 340, 170, marks), details)]


class _Seen:
    """Curves of what a log has up to a step, of so many points at most."""

    def __init__(self, log: Log, step: int, most: int) -> None:
        self.log, self.step, self.most = log, step, most

    def named(self, kind: str) -> list[str]:
        """The names of all figures of that kind, `tc/beta` is a `beta`, in the order in which they come."""
        return [name for name in names(self.log.of("train")) if name.rpartition("/")[2] == kind]

    def both(self, name: str) -> list[Series]:
        train, validation = (self._points(split, name) for split in ("train", "validation"))
        return [Series("training", train, COLOURS[0]), Series("validation", validation, COLOURS[1], "dots")]

    def lines(self, names: Sequence[str], label: str = "") -> list[Series]:
        """A curve of the training for each name, called by what stands before its last part."""
        return [
            Series(f"{label} {name.rpartition('/')[0]}".strip(), self._points("train", name), COLOURS[2 + number % 4])
            for number, name in enumerate(names)
        ]

    def _points(self, split: str, name: str) -> list[tuple[float, float]]:
        found = [point for point in points(self.log.of(split), name) if point[0] <= self.step]
        every = -(-len(found) // self.most) or 1
        return [*found[:-1:every], *found[-1:]]


def _meaning(kind: str, names: Sequence[str]) -> str:
    """What a kind of schedule is, for the head of its chart."""
    is_of_terms = kind == "beta" and not all(map(WITHOUT_NAME.fullmatch, names))
    return OF_TERMS if is_of_terms else MEANINGS.get(kind, kind)


def _panel(title: str, curves: Sequence[Series], is_schedule: bool = False) -> Panel:
    """Schedules from 0."""
    is_schedule = is_schedule or title in (*MEANINGS.values(), OF_TERMS)
    return title, curves, _far_apart(curves) if is_schedule else title in FALLING, is_schedule


def _far_apart(curves: Sequence[Series]) -> bool:
    """Whether, of several curves, the largest value is more than `APART` times the smallest at their ends but for 0."""
    ends = [value for curve in curves if (value := curve.points[-1][1]) > 0]
    largest = max(value for curve in curves for _, value in curve.points)
    return len(curves) > 1 and bool(ends) and largest > APART * min(ends)
