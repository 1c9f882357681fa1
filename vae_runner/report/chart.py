"""Charts as inline SVG, styled by the page's style sheet, in coordinates of about a pixel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vae_runner.report.markup import Html, join, tag
from vae_runner.ticks import log_ticks, tick_labels, ticks

__all__ = ["Point", "Scale", "Series", "chart", "thinned"]

WIDTH, HEIGHT = 380, 230
TOP, RIGHT, BOTTOM = 26, 24, 40  # margins; the left one follows from the labels
CHARACTER = 6.6  # width of a digit
MOST_POINTS = 500

Point = tuple[float, float]  # step, value; a value that is not finite is a gap


@dataclass(frozen=True)
class Series:
    """A curve. Its `name` is its class, or classes, of the style sheet too; a `label` says more of it, a `mark` stands
    beside its dots.
    """

    name: str
    points: Sequence[Point]
    drawn_as: Literal["line", "dots"] = "line"
    label: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Scale:
    """Maps values in [lower, upper] to [start, end], linearly or by their logarithm."""

    lower: float
    upper: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        lower, upper, value = (math.log10(v) if self.log else v for v in (self.lower, self.upper, value))
        return self.start + (value - lower) / (upper - lower) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values inside the range."""
        return (log_ticks if self.log else ticks)(self.lower, self.upper, most)


def chart(
    series: Sequence[Series],
    unit: str,
    description: str,
    may_be_log: bool = False,
    across: str = "step",
    from_zero: bool = False,
) -> Html:
    """Returns the chart of the series over the steps, or over another quantity that is named; logarithmic where that is
    allowed and a decade is spanned; else `from_zero` where no value is below.

    Empty where no value is finite.
    """
    finite = [point for one in series for point in one.points if math.isfinite(point[1])]
    if not finite:
        return Html()
    values = [value for _, value in finite]
    log = may_be_log and min(values) > 0 and max(values) >= 10 * min(values)
    lowest = min(values + [0.0] * (from_zero and not log))
    y = Scale(*_padded(lowest, max(values), log), HEIGHT - BOTTOM, TOP, log)
    left = 10 + CHARACTER * max(map(len, tick_labels(y.ticks())), default=0)
    steps = [step for step, _ in finite]
    x = Scale(
        *((0, max(1, *steps)) if across == "step" else _padded(min(steps), max(steps), False)), left, WIDTH - RIGHT
    )
    return tag(
        "svg",
        _axes(x, y, unit + (", log scale" if log else "").removeprefix("" if unit else ", "), across),
        *(_curve(one, x, y, across) for one in series),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=description,
    )


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """About `most` of the points: the first, the last, and of each stretch the lowest, the highest and a gap."""
    if len(points) <= most:
        return list(points)
    kept = {0, len(points) - 1}
    size = math.ceil(2 * len(points) / most)
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        finite = sorted((i for i in stretch if math.isfinite(points[i][1])), key=lambda i: points[i][1])
        gaps = [i for i in stretch if not math.isfinite(points[i][1])]
        kept.update(finite[:1] + finite[-1:] + gaps[:1])
    return [points[i] for i in sorted(kept)]


def _axes(x: Scale, y: Scale, unit: str, across: str) -> Html:
    parts = [tag("text", unit, class_="unit", x=0, y=10)]
    for value, label in zip(y.ticks(), tick_labels(y.ticks()), strict=True):
        at = f"{y(value):.2f}"
        parts.append(tag("line", class_="rule", x1=f"{x.start:.2f}", x2=f"{x.end:.2f}", y1=at, y2=at))
        parts.append(tag("text", label, class_="y", x=f"{x.start - 8:.2f}", y=at))
    for value, label in zip(x.ticks(), tick_labels(x.ticks()), strict=True):
        parts.append(tag("text", label, class_="x", x=f"{x(value):.2f}", y=HEIGHT - BOTTOM + 17))
    parts.append(tag("text", across, class_="unit end", x=f"{x.end:.2f}", y=HEIGHT - 4))
    return join(*parts)


def _curve(series: Series, x: Scale, y: Scale, across: str) -> Html:
    points = thinned(series.points)
    said = [tag("title", series.label)] if series.label else []
    if series.drawn_as == "line":
        return tag("path", *said, class_=series.name, d=_path(points, x, y))
    dots = [
        tag("circle", *(said or [_value(point, across)]), cx=f"{x(point[0]):.2f}", cy=f"{y(point[1]):.2f}", r=3)
        for point in points
        if math.isfinite(point[1])
    ]
    marks = [
        tag("text", series.mark, class_="mark", x=f"{x(at) + 6:.2f}", y=f"{y(value) + 4:.2f}")
        for at, value in points
        if series.mark and math.isfinite(value)
    ]
    return tag("g", *dots, *marks, class_=series.name)


def _value(point: Point, across: str) -> Html:
    return tag("title", f"{across} {point[0]:,.6g}: {point[1]:,.6g}")


def _path(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """The line through the points; h0 makes a dot of a point between two gaps."""
    commands, pen_is_down = [], False
    for step, value in points:
        is_finite = math.isfinite(value)
        if is_finite:
            commands.append(f"{'L' if pen_is_down else 'M'}{x(step):.2f},{y(value):.2f}{'' if pen_is_down else 'h0'}")
        pen_is_down = is_finite
    return "".join(commands)


def _padded(lower: float, upper: float, log: bool) -> tuple[float, float]:
    """The range with a little room; never below zero for values that are not."""
    if log:
        room = (upper / lower) ** 0.04
        return lower / room, upper * room
    largest = max(abs(lower), abs(upper))
    is_flat = upper - lower <= 1e-9 * largest + 1e-30
    room = max(0.05 * largest, 1e-3) if is_flat else 0.04 * (upper - lower)
    return (0.0 if 0 <= lower < room else lower - room), upper + room
