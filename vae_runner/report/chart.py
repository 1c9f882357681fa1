"""Charts as inline SVG, styled by the page's style sheet: `drawing` settles where all is, here it becomes elements."""

import math
from collections.abc import Sequence
from typing import Literal

from vae_runner.drawing.chart.axes import Axes, Event, Scale, Series, plot, vertical
from vae_runner.drawing.layout import ABOVE, BELOW, CHART, DIGIT, RIGHT
from vae_runner.drawing.marks.canvas import Point
from vae_runner.report.markup import Html, tag

__all__ = ["Point", "Series", "chart", "thinned"]

WIDTH, HEIGHT = CHART
MOST_POINTS = 500


def chart(
    series: Sequence[Series],
    unit: str,
    description: str,
    may_be_log: bool = False,
    across: str = "step",
    from_zero: bool = False,
    events: Sequence[Event] = (),
    beside: Sequence[Series] = (),
) -> Html:
    """Returns the chart of the series over the steps, or over another quantity that is named; logarithmic where that is
    allowed and a decade is spanned; else `from_zero` where no value is below. Upright lines mark the events.

    Its scales have room for what charts `beside` it show, so that all of them may have the same. Empty where no value
    is finite.
    """
    if not any(math.isfinite(value) for one in series for _, value in one.points):
        return Html()
    seen = [*series, *beside]
    steps = [step for one in seen for step, value in one.points if math.isfinite(value)]
    y = vertical(seen, HEIGHT - BELOW, ABOVE, may_be_log, from_zero, _hugging)
    left = 10 + DIGIT * max((len(label) for _, label in y.labelled()), default=0)
    span = (0.0, max(1, *steps)) if across == "step" else _hugging(steps)
    surface = Elements(across)
    plot(surface, Axes(Scale(*span, left, WIDTH - RIGHT), y), series, unit, across, events)
    return tag("svg", *surface.elements, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=description)


class Elements:
    """A surface for axes and curves, of elements that have the classes of the style sheet."""

    def __init__(self, across: str) -> None:
        self.across = across
        self.elements: list[Html] = []

    def rule(self, start: Point, end: Point) -> None:
        (x, at), (x_end, y_end) = start, end
        line = tag("line", class_="rule", x1=f"{x:.2f}", x2=f"{x_end:.2f}", y1=f"{at:.2f}", y2=f"{y_end:.2f}")
        self.elements.append(line)

    def tick(self, axis: Literal["x", "y"], x: float, y: float, text: str) -> None:
        self.elements.append(tag("text", text, class_=axis, x=f"{x:.2f}", y=f"{y:.2f}" if axis == "y" else y))

    def titles(self, axes: Axes, title: str, x_title: str) -> None:
        self.elements.insert(0, tag("text", title, class_="unit", x=0, y=10))
        self.elements.append(tag("text", x_title, class_="unit end", x=f"{axes.x.end:.2f}", y=HEIGHT - 4))

    def event(self, x: float, axes: Axes, words: str) -> None:
        place = {"x1": f"{x:.2f}", "x2": f"{x:.2f}", "y1": f"{axes.y.start:.2f}", "y2": f"{axes.y.end:.2f}"}
        self.elements.append(tag("line", tag("title", words), class_="event", **place))

    def curve(self, series: Series, axes: Axes) -> None:
        points = thinned(series.points)
        if series.spread:
            ends = [(x, low) for x, low, _ in series.spread] + [(x, high) for x, _, high in reversed(series.spread)]
            self.elements.append(tag("path", class_=f"{series.name} band", d=_path(ends, axes) + "Z"))
        said = [tag("title", series.label)] if series.label else []
        if series.drawn_as == "line":
            run = series.label or None
            self.elements.append(tag("path", *said, class_=series.name, d=_path(points, axes), data_run=run))
            return
        finite = [(point, axes.place(*point)) for point in points if math.isfinite(point[1])]
        dots = [
            tag("circle", *(said or [self._value(point)]), cx=f"{x:.2f}", cy=f"{y:.2f}", r=3)
            for point, (x, y) in finite
        ]
        marks = [
            tag("text", series.mark, class_="mark", x=f"{x + 6:.2f}", y=f"{y + 4:.2f}")
            for _, (x, y) in finite
            if series.mark
        ]
        self.elements.append(tag("g", *dots, *marks, class_=series.name, data_run=series.label or None))

    def _value(self, point: Point) -> Html:
        return tag("title", f"{self.across} {point[0]:,.6g}: {point[1]:,.6g}")


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """About `most` of the points: the first, the last, and of each stretch the lowest, the highest and a gap."""
    if len(points) <= most:
        return list(points)
    kept = {0, len(points) - 1}
    size = math.ceil(2 * len(points) / most)
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        inside = sorted((i for i in stretch if math.isfinite(points[i][1])), key=lambda i: points[i][1])
        gaps = [i for i in stretch if not math.isfinite(points[i][1])]
        kept.update(inside[:1] + inside[-1:] + gaps[:1])
    return [points[i] for i in sorted(kept)]


def _path(points: Sequence[Point], axes: Axes) -> str:
    """The line through the points; h0 makes a dot of a point between two gaps."""
    commands, pen_is_down = [], False
    for step, value in points:
        is_finite = math.isfinite(value)
        if is_finite:
            x, y = axes.place(step, value)
            commands.append(f"{'L' if pen_is_down else 'M'}{x:.2f},{y:.2f}{'' if pen_is_down else 'h0'}")
        pen_is_down = is_finite
    return "".join(commands)


def _hugging(values: Sequence[float], log: bool = False, from_zero: bool = False) -> tuple[float, float]:
    """The range of a chart whose figures are read: with a little room, never below zero for values that are not."""
    low, high = min(values), max(values)
    if log:
        return low / (high / low) ** 0.04, high * (high / low) ** 0.04
    low = min(low, 0.0) if from_zero else low
    largest = max(abs(low), abs(high))
    is_flat = high - low <= 1e-9 * largest + 1e-30
    room = max(0.05 * largest, 1e-3) if is_flat else 0.04 * (high - low)
    return (0.0 if 0 <= low < room else low - room), high + room
