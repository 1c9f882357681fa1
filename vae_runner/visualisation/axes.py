"""A part of a canvas with axes: values to places, round ticks, and curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vae_runner.ticks import log_ticks, tick_labels, ticks
from vae_runner.visualisation.canvas import Canvas, Point, text_width

__all__ = ["COLOURS", "INK", "QUIET", "RULE", "Axes", "Box", "Curve", "plot"]

INK, QUIET, RULE = "#282828", "#6e6e6e", "#e4e4e4"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe & Ito 2008
SMALL = 11


@dataclass(frozen=True)
class Box:
    """A rectangle of a canvas."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Curve:
    """Points (step, value), and what the legend says of them; drawn as dots or as a line."""

    name: str
    points: Sequence[Point]
    colour: str = COLOURS[0]
    as_dots: bool = False


@dataclass(frozen=True)
class Axes:
    """Maps x and y in their ranges to places in the box."""

    box: Box
    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    def place(self, x: float, y: float) -> Point:
        box = self.box
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        low, high, value = (math.log10(v) if self.log else v for v in (*self.y, y))
        return box.left + across * (box.right - box.left), box.bottom - (value - low) / (high - low) * (
            box.bottom - box.top
        )

    def draw(self, canvas: Canvas, x_title: str = "", vertical_rules: bool = False) -> None:
        """Rules at the ticks, and their labels outside."""
        box = self.box
        values = log_ticks(*self.y) if self.log else ticks(*self.y)
        for value, label in zip(values, tick_labels(values), strict=True):
            y = self.place(self.x[0], value)[1]
            canvas.line([(box.left, y), (box.right, y)], RULE, 1)
            canvas.text(box.left - 8, y + 4, label, QUIET, SMALL, "end")
        values = ticks(*self.x)
        for value, label in zip(values, tick_labels(values), strict=True):
            x = self.place(value, self.y[1])[0]
            if vertical_rules:
                canvas.line([(x, box.top), (x, box.bottom)], RULE, 1)
            canvas.text(x, box.bottom + 17, label, QUIET, SMALL, "middle")
        canvas.text((box.left + box.right) / 2, box.bottom + 34, x_title, QUIET, SMALL, "middle")


def plot(
    canvas: Canvas,
    box: Box,
    title: str,
    curves: Sequence[Curve],
    x_end: float,
    x_title: str,
    may_be_log: bool = False,
    from_zero: bool = False,
) -> None:
    """The curves from x = 0 to `x_end` under a title, with a legend where there are several; logarithmic where that is
    allowed and a decade is spanned; else `from_zero` where no value is below. A value that is not finite is a gap.
    """
    values = [y for curve in curves for _, y in curve.points if math.isfinite(y)]
    log = bool(may_be_log and values and min(values) > 0 and max(values) >= 10 * min(values))
    axes = Axes(box, (0, max(x_end, 1)), _padded(values, log, from_zero), log)
    axes.draw(canvas, x_title)
    canvas.text(box.left, box.top - 12, title + (", log scale" if log else ""), INK, 12)
    for curve in curves:
        for part in _finite_parts(curve.points):
            places = [axes.place(*point) for point in part]
            if curve.as_dots or len(places) == 1:
                for x, y in places:
                    canvas.dot(x, y, curve.colour, 2.2)
            else:
                canvas.line(places, curve.colour)
    if len(curves) > 1:
        _legend(canvas, box, curves)


def _padded(values: Sequence[float], log: bool, from_zero: bool) -> tuple[float, float]:
    """The range with a little room; from 0 where the values come near it, or where they are to be seen beside it."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if from_zero and low == high == 0:
        return 0.0, 1.0
    if log:
        room = (high / low) ** 0.05
        return low / room, high * room
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return (0.0, 2 * high) if high > 0 else (low - 1, high + 1)
    low = min(low, 0.0) if from_zero else low
    room = 0.06 * (high - low)
    return (0.0 if 0 <= low <= 0.5 * high else low - room), high + room


def _finite_parts(points: Sequence[Point]) -> list[list[Point]]:
    parts: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            parts[-1].append(point)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _legend(canvas: Canvas, box: Box, curves: Sequence[Curve]) -> None:
    """At the right, above the box."""
    x = box.right
    for curve in reversed(curves):
        x -= text_width(curve.name, SMALL)
        canvas.text(x, box.top - 12, curve.name, QUIET, SMALL)
        if curve.as_dots:
            canvas.dot(x - 10, box.top - 16, curve.colour, 2.2)
        else:
            canvas.line([(x - 18, box.top - 16), (x - 5, box.top - 16)], curve.colour)
        x -= 34
