"""Curves over axes: scales with round ticks settle where they go, the surface what they look like.

`Panels` become a file; a page has a surface of its own, whose marks have classes of its style sheet.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean, stdev
from typing import Literal, NamedTuple, Protocol

from vae_runner.drawing.lettering import tick_labels, units_wide
from vae_runner.drawing.marks.canvas import Canvas, Point
from vae_runner.drawing.palette import COLOURS, DEAD, INK, LABEL, PAPER, RULE

__all__ = ["BESIDE", "TICK", "Axes", "Bar", "Event", "Panel", "Panels", "Scale", "Series", "Surface", "error_bar"]
__all__ += ["bar_scale", "finite", "log_ticks", "plot", "roomy", "strip_scale", "ticks", "vertical"]

TICK = 11  # units of the text of a tick
Panel = tuple[str, Sequence["Series"], bool, bool]  # title, curves, may be logarithmic, from 0
Event = tuple[float, str]  # where something has happened, and in words what
BESIDE = 34  # units between the names of a legend
Room = Callable[[Sequence[float], bool, bool], tuple[float, float]]  # the range of values: as `roomy` finds it


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values inside the range, about `most`: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next((power * factor for factor in (1, 2, 5) if power * factor * most >= high - low), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)  # what rounding has put outside too
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Powers of ten, every second or third one where there are many, with their 2 and 5 times where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    every = math.ceil((last - first) / (most + 2))
    powers = range(first, last + 1, every)
    return [value for power in powers for one in factors if low <= (value := one * 10.0**power) <= high]


def finite(values: Sequence[float]) -> list[float]:
    """Returns those of the values that are finite."""
    return [value for value in values if math.isfinite(value)]


def roomy(values: Sequence[float], log: bool = False, from_zero: bool = False) -> tuple[float, float]:
    """The range of a chart that is seen at a glance: from 0 where the values come near it, or `from_zero`."""
    low, high = min(values), max(values)
    if log:
        return low / (high / low) ** 0.05, high * (high / low) ** 0.05
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return (0.0, 2 * high or 1.0) if high > 0 or (from_zero and high == 0) else (low - 1, high + 1)
    low = min(low, 0.0) if from_zero else low
    room = 0.06 * (high - low)
    return (0.0 if 0 <= low <= 0.5 * high else low - room), high + room


def error_bar(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of one value or more, between the ends of one sample standard deviation to either side."""
    middle, spread = mean(values), stdev(values) if len(values) > 1 else 0.0
    return middle - spread, middle, middle + spread


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

    def labelled(self, most: int = 5) -> list[tuple[float, str]]:
        """The place and the label of each tick."""
        return list(zip(map(self, self.ticks(most)), tick_labels(self.ticks(most)), strict=True))

    def across(self) -> list[tuple[float, str]]:
        """As `labelled`, with no more ticks than there is room for their labels beside each other."""
        for most in (5, 4, 3, 2):
            found = self.labelled(most)
            if sum(units_wide(label, TICK) + 4 for _, label in found) <= abs(self.end - self.start) + 30:
                break
        return found


@dataclass(frozen=True)
class Series:
    """A curve of points (x, value); a value that is not finite is a gap. Its `name` stands in the legend, on a page it
    is its class, or classes, of the style sheet; there a `label` says more of it, a `mark` stands beside its dots. A
    `spread` of points (x, lowest, highest) is a band behind it.
    """

    name: str
    points: Sequence[Point]
    colour: str = COLOURS[0]
    drawn_as: Literal["line", "dots"] = "line"
    label: str = ""
    mark: str = ""
    spread: Sequence[tuple[float, float, float]] = ()


class Bar(NamedTuple):
    """A bar of a group, gray if it is faint, with its name and a word or two below."""

    value: float
    name: str
    group: int
    note: str
    is_faint: bool


class Surface(Protocol):
    """What axes and curves are drawn on: rules, ticks, titles and curves as of `Panels`, in pixels."""

    def rule(self, start: Point, end: Point) -> None: ...
    def tick(self, axis: Literal["x", "y"], x: float, y: float, text: str) -> None: ...
    def titles(self, axes: "Axes", title: str, x_title: str) -> None: ...
    def event(self, x: float, axes: "Axes", words: str) -> None: ...
    def curve(self, series: Series, axes: "Axes") -> None: ...


@dataclass(frozen=True)
class Axes:
    """The scales of x, from left to right, and of y, from the bottom to the top."""

    x: Scale
    y: Scale

    def place(self, x: float, y: float) -> Point:
        """Returns the point of the canvas, in pixels, of these values."""
        return self.x(x), self.y(y)

    def draw(self, surface: Surface, with_x: bool = True, vertical_rules: bool = False) -> None:
        """Rules at the ticks, and their labels outside."""
        for y, label in self.y.labelled():
            surface.rule((self.x.start, y), (self.x.end, y))
            surface.tick("y", self.x.start - 8, y, label)
        for x, label in self.x.across() if with_x else ():
            if vertical_rules:
                surface.rule((x, self.y.end), (x, self.y.start))
            surface.tick("x", x, self.y.start + 17, label)


def vertical(
    series: Sequence[Series],
    bottom: float,
    top: float,
    may_be_log: bool = False,
    from_zero: bool = False,
    room: Room = roomy,
) -> Scale:
    """The scale of the values: logarithmic where that is allowed and they span a decade, else perhaps `from_zero`."""
    values = finite([value for one in series for _, value in one.points])
    values += finite([end for one in series for _, *ends in one.spread for end in ends])
    log = may_be_log and bool(values) and 0 < 10 * min(values) <= max(values)
    return Scale(*(room(values, log, from_zero) if values else (0.0, 1.0)), bottom, top, log)


def bar_scale(rows: Sequence[Bar], bottom: float, top: float) -> Scale:
    """The scale of bars, from 0, so that a longest one of next to nothing is short."""
    return Scale(0, max([*finite([row.value for row in rows]), 0.1]) * 1.08, bottom, top)


def strip_scale(groups: Sequence[Sequence[float]], bottom: float, top: float) -> Scale:
    """The scale of groups of finite values with their error bars."""
    shown = [value for values in groups if values for value in (*values, *error_bar(values))]
    return Scale(*roomy(shown or [0, 1]), bottom, top)


def plot(
    surface: Surface, axes: Axes, series: Sequence[Series], title: str, x_title: str, events: Sequence[Event] = ()
) -> None:
    """The curves over the axes, under a title; behind them upright lines where something has happened."""
    axes.draw(surface)
    surface.titles(axes, ", ".join(filter(None, [title, "log scale" if axes.y.log else ""])), x_title)
    for x, words in events:
        if axes.x.lower <= x <= axes.x.upper:
            surface.event(axes.x(x), axes, words)
    for one in series:
        surface.curve(one, axes)


class Panels(Canvas):
    """A canvas with axes on it."""

    def rule(self, start: Point, end: Point) -> None:
        """Draw a line of the frame or of the grid."""
        self.line([start, end], RULE, 1)

    def tick(self, axis: Literal["x", "y"], x: float, y: float, text: str) -> None:
        """Write the number of a tick."""
        self.text(x, y + 4 * (axis == "y"), text, anchor="end" if axis == "y" else "middle")

    def titles(self, axes: Axes, title: str, x_title: str) -> None:
        """Write the panel's title, and that of its x axis."""
        self.text((axes.x.start + axes.x.end) / 2, axes.y.start + 34, x_title, anchor="middle")
        self.text(axes.x.start, axes.y.end - 12, title, INK, 12)

    def event(self, x: float, axes: Axes, words: str) -> None:
        """Draw where something happened."""
        self.line([(x, axes.y.start), (x, axes.y.end)], DEAD, 1)

    def curve(self, series: Series, axes: Axes) -> None:
        """Draw what is finite of a series, as a line or as dots, over its spread."""
        band = [axes.place(x, low) for x, low, _ in series.spread]
        self.area([*band, *(axes.place(x, high) for x, _, high in reversed(series.spread))], series.colour)
        for is_finite, part in groupby(series.points, lambda point: math.isfinite(point[1])):
            places = [axes.place(*point) for point in part] if is_finite else []
            if series.drawn_as == "line":
                self.line(places, series.colour)
            for place in places if series.drawn_as == "dots" or len(places) == 1 else ():
                self.dot(*place, series.colour, 2.2)

    def upright(self, x: float, y: Scale, text: str) -> None:
        """Write the title of a vertical axis, upwards."""
        self.text(x, (y.start + y.end) / 2, text, anchor="middle", is_upright=True)

    def bar(self, y: Scale, row: Bar, x: float, pitch: float, has_figure: bool) -> None:
        """Draw a bar about x, from 0, where they stand `pitch` apart; with its figure above it."""
        half, high = min(pitch * 0.36, 24), y(min(row.value, y.upper) if row.value >= 0 else 0)
        colour = DEAD if row.is_faint else COLOURS[row.group % 6]
        self.box(x - half, min(high, y.start - 1), x + half, y.start, colour)
        if has_figure:
            half = units_wide(f"{row.value:.2f}", 10) / 2 + 2
            self.box(x - half, high - 15, x + half, high - 2, PAPER)  # no rule through the figure
            self.text(x, high - 5, f"{row.value:.2f}", LABEL, 10, "middle")

    def strip(self, x: float, y: Scale, values: Sequence[float], colour: str, room: float, beside: float) -> None:
        """Draw a dot for each value in the room before x, and beside x an error bar: their mean, and where there are
        several one sample standard deviation to either side.
        """
        if not values:
            return
        for place, value in enumerate(values):
            self.dot(x - room + room * (place + 0.5) / len(values), y(value), colour)
        low, middle, high = map(y, error_bar(values))
        x += beside
        self.line([(x - 6, middle), (x + 6, middle)], INK, 2)
        for end in (low, high) if len(values) > 1 else ():
            self.line([(x, middle), (x, end)], INK, 1)
            self.line([(x - 4, end), (x + 4, end)], INK, 1)

    def legend(self, right: float, y: float, series: Sequence[Series]) -> None:
        """The names of the curves, the last one ends at the right."""
        for one in reversed(series):
            right -= units_wide(one.name, 11)
            self.text(right, y, one.name, LABEL)
            if one.drawn_as == "dots":
                self.dot(right - 10, y - 4, one.colour, 2.2)
            else:
                self.line([(right - 18, y - 4), (right - 5, y - 4)], one.colour)
            right -= BESIDE
