"""Charts laid out for the screen: panels of curves, bars, a scatter, a heat map, and strips with error bars.

Each is as wide as what it shows. The canvas keeps that, so that `printing` can lay out the same anew.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vae_runner.drawing.chart.axes import (
    Axes,
    Bar,
    Event,
    Panel,
    Panels,
    Scale,
    bar_scale,
    finite,
    plot,
    strip_scale,
    vertical,
)
from vae_runner.drawing.chart.clouds import cells, dots, key, square_axes
from vae_runner.drawing.lettering import units_wide
from vae_runner.drawing.palette import COLOURS, INK, LABEL

__all__ = ["NARROW", "Bar", "Panel", "bars", "heat_map", "panels", "scatter", "strips"]

LEFT, TOP, TALL = 64, 62, 240  # units beside and above bars and strips, and of the longest
SQUARE, RAMP = 440, 200  # units of the side of a scatter and of the length of its legend
APART = 26  # units between groups of bars
NOTED, NARROW = 20, 37  # bars up to which there is room for notes, and for names of more than two characters


def panels(
    shown: Sequence[Panel],
    title: str,
    x_end: float,
    columns: int,
    wide: float,
    high: float,
    events: Sequence[Event] = (),
) -> Panels:
    """Small charts over the same steps, 0 to `x_end`, in rows of so many columns; all have the events marked."""
    across, down = wide + 92, high + 74
    canvas = Panels(across * min(columns, len(shown)) + 14, 56 + down * -(-len(shown) // columns))
    canvas.text(70, 26, title, INK, 14)
    for number, (name, series, may_be_log, from_zero) in enumerate(shown):
        left, top = 70 + across * (number % columns), 66 + down * (number // columns)
        y = vertical(series, top + high, top, may_be_log, from_zero)
        axes = Axes(Scale(0, max(x_end, 1), left, left + wide), y)
        plot(canvas, axes, series, name, "step" if number + columns >= len(shown) else "", events)
        canvas.legend(left + wide, top - 12, series if len(series) > 1 else ())
    canvas.content = "panels", (shown, title, x_end, columns, high / wide, events)
    return canvas


def _wide(left: float, right: float, title: str) -> float:
    return max(right + 28, left + units_wide(title, 14) + 24)


def _headed(left: float, width: float, height: float, title: str, about: str) -> Panels:
    canvas = Panels(width, height)
    canvas.text(left, 26, title, INK, 14)
    canvas.text(left, 46, about)
    return canvas


def bars(rows: Sequence[Bar], groups: Sequence[str], title: str, about: str) -> Panels:
    """The bars from 0, by groups, which have a name where there are several."""
    pitch = max(46, 12 + max(units_wide(part, 10) for row in rows for part in [*row.note.split(), row.name]))
    if len(rows) > NOTED:
        pitch = max(16.0 if len(rows) <= 100 else 20.0, 900 / len(rows))
    lefts = [LEFT + pitch * number + APART * row.group for number, row in enumerate(rows)]
    width, bottom = _wide(LEFT, lefts[-1] + pitch, title), TOP + TALL
    canvas = _headed(LEFT, width, bottom + (76 if len(groups) > 1 else 62), title, about)
    axes = Axes(Scale(0, 1, LEFT, width - 20), bar_scale(rows, bottom, TOP))
    axes.draw(canvas, with_x=False)
    for left, row in zip(lefts, rows, strict=True):
        canvas.bar(axes.y, row, left + pitch * 0.5, pitch, has_figure=pitch >= 30)
        _names(canvas, row, left + pitch * 0.5, bottom, pitch, len(rows) <= NOTED)
    below = 66 if any(row.note for row in rows) else 40
    for group, name in enumerate(groups if len(groups) > 1 else ()):
        left = next(left for left, row in zip(lefts, rows, strict=True) if row.group == group)
        canvas.text(left + pitch * 0.14, bottom + below, name, COLOURS[group % 6], 12)
    canvas.content = "bars", (rows, groups, title, about)
    return canvas


def _names(canvas: Panels, row: Bar, x: float, bottom: float, pitch: float, is_noted: bool) -> None:
    canvas.text(x, bottom + 17, row.name, LABEL if row.is_faint else INK, 12 if pitch >= 30 else 9, "middle")
    for line, part in enumerate(row.note.split() if is_noted and not row.is_faint else ()):
        canvas.text(x, bottom + 32 + 13 * line, part, LABEL, 10, "middle")


def scatter(
    points: np.ndarray, title: str, names: Sequence[str], values: np.ndarray | None, factor: str, classes: Sequence[str]
) -> Panels:
    """Dots at points (N, 2) in one unit across and up, coloured by the values of a factor, if any, as `shades` are."""
    left, top, right, bottom = 70, 44, 70 + SQUARE, 44 + SQUARE
    axes = square_axes(points, left, top, SQUARE)
    canvas = Panels(right + (28 if values is None else 130), bottom + 52)
    canvas.text(left, 26, title, INK, 14)
    axes.draw(canvas, vertical_rules=True)
    canvas.upright(20, axes.y, names[1])
    canvas.text((left + right) / 2, bottom + 34, names[0], anchor="middle")
    if values is not None:
        key(canvas, right + 22, top, RAMP, factor, values, classes)
    dots(canvas, axes, points, values)
    canvas.content = "scatter", (points, title, names, values, factor, classes)
    return canvas


def heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, about: str, low: float, high: float
) -> Panels:
    """A cell for each value (rows, columns), coloured between `low` and `high`, and its figure in it; gray where it is
    not finite. The range is given, not found, so that two maps can be compared.
    """
    left, top, tall = 24 + max(units_wide(name, 12) for name in rows), 84, 30
    wide = max(46, 12 + max(units_wide(name, 12) for name in columns))
    width, height = _wide(left, left + wide * len(columns), title), top + tall * len(rows) + 20
    canvas = _headed(left, width, height, title, f"{about}; colours from {low:g} to {high:g}")
    for column, name in zip(range(values.shape[1]), columns, strict=True):
        canvas.text(left + wide * (column + 0.5), top - 10, name, INK, 12, "middle")
    for row, (name, of_row) in enumerate(zip(rows, values.tolist(), strict=True)):
        canvas.text(left - 8, top + tall * row + 19, name, INK, 12, "end")
        cells(canvas, (left, top + tall * row), (wide, tall), of_row, (low, high), gap=1, decimals=2)
    canvas.content = "heat_map", (values, rows, columns, title, low, high)
    return canvas


def strips(groups: Mapping[str, Sequence[float]], title: str, unit: str) -> Panels:
    """A dot for each value, group by group, and beside them the mean, with a bar of one sample standard deviation to
    either side where there are several; values that are not finite are counted below the group's name.
    """
    known = [finite(values) for values in groups.values()]
    pitch, bottom = max(90, 16 + max(units_wide(name, 12) for name in groups)), TOP + TALL
    right, about = LEFT + pitch * len(groups), f"{unit}; mean and standard deviation"
    canvas = _headed(LEFT, _wide(LEFT, right, title), bottom + 50, title, about)
    y = strip_scale(known, bottom, TOP)
    Axes(Scale(0, 1, LEFT, right), y).draw(canvas, with_x=False)
    for number, (name, values) in enumerate(zip(groups, known, strict=True)):
        x, lost = LEFT + pitch * (number + 0.5), len(groups[name]) - len(values)
        canvas.text(x, bottom + 17, name, INK, 12, "middle")
        canvas.text(x, bottom + 32, f"{lost} not finite" if lost else "", LABEL, 10, "middle")
        canvas.strip(x, y, values, COLOURS[number % 6], room=28, beside=16)
    canvas.content = "strips", (groups, title, unit)
    return canvas
