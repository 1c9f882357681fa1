"""Charts laid out for print: as wide as the paper, every text of one size, and the title only where it is wanted.

What stands beside each other is given less room, and names that have none stand upright. What has no room even so is
left out where the chart tells it in another way: figures over bars by the axis, figures in cells by their colours.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vae_runner.drawing.chart.axes import (
    BESIDE,
    TICK,
    Axes,
    Bar,
    Event,
    Panel,
    Panels,
    Scale,
    Series,
    bar_scale,
    finite,
    plot,
    strip_scale,
    vertical,
)
from vae_runner.drawing.chart.clouds import cells, dots, key, key_wide, ramp, square_axes
from vae_runner.drawing.lettering import tick_labels, units_wide
from vae_runner.drawing.marks.canvas import Canvas
from vae_runner.drawing.palette import COLOURS, INK, LABEL, VIRIDIS
from vae_runner.drawing.paper import Paper
from vae_runner.errors import UserError

__all__ = ["printed"]

LINE = 15  # units from a line of text to the next
EDGE = 4  # units left free at the edges
AXIS = 20  # units that the title of a vertical axis takes
TALL, FLAT = 240, 0.5  # units that bars are high at most, and of the width
NARROWEST = 150  # units of a panel
BELOW = 38  # units below a panel, for its ticks and their title


class _Panels(Panels):
    """Panels of which each title is moved up by `above` units, to leave a line for the legend."""

    above = 0.0

    def titles(self, axes: Axes, title: str, x_title: str) -> None:
        """Write the panel's title, and that of its x axis."""
        super().titles(axes, "", x_title)
        self.text(axes.x.start, axes.y.end - 12 - self.above, title, INK)


def printed(canvas: Canvas, paper: Paper) -> Canvas:
    """The chart that the canvas shows, laid out for the paper. Raises `UserError` where it shows none."""
    if canvas.content is None:
        raise UserError("it is a canvas drawn mark by mark: only charts of `drawing.on_screen` can be printed")
    kind, shown = canvas.content
    return LAYOUTS[kind](*shown, paper)


def _panels(
    shown: Sequence[Panel], title: str, x_end: float, columns: int, ratio: float, events: Sequence[Event], paper: Paper
) -> Panels:
    """Charts over the same steps, as many beside each other as have room, each `ratio` as high as it is wide."""
    scales = [vertical(series, 1, 0, may_be_log, from_zero) for _, series, may_be_log, from_zero in shown]
    beside = max(_margin(scale) for scale in scales) + 6
    room = paper.units - max(units_wide(f"{max(x_end, 1):,.0f}", TICK) / 2 + 2, 10)  # the last tick is at the end
    columns = max(min(columns, len(shown), int(room // (NARROWEST + beside))), 1)
    wide = room / columns - beside
    high = max(ratio * wide, 90)
    several = [(units_wide(name, TICK), _legend_wide(series)) for name, series, *_ in shown if len(series) > 1]
    is_below = any(legend > wide for _, legend in several)
    above = LINE * (not is_below and any(name + 64 + legend > wide for name, legend in several))
    names = {one.name: one for _, series, *_ in shown for one in series} if is_below else {}
    top, down = _top(paper) + 20 + above, high + BELOW + 20 + above
    bottom = top + down * -(-len(shown) // columns) - 20 - above
    canvas = _Panels(paper.units, bottom + LINE * len(names), paper)
    canvas.above = above
    _title(canvas, title)
    for number, ((name, series, *_), scale) in enumerate(zip(shown, scales, strict=True)):
        x, y = beside + (wide + beside) * (number % columns), top + down * (number // columns)
        axes = Axes(Scale(0, max(x_end, 1), x, x + wide), Scale(scale.lower, scale.upper, y + high, y, scale.log))
        plot(canvas, axes, series, name, "step" if number + columns >= len(shown) else "", events)
        canvas.legend(x + wide, y - 12, series if len(series) > 1 and not is_below else ())
    for line, one in enumerate(names.values()):
        canvas.legend(beside + _legend_wide([one]) - 10, bottom + LINE * (line + 0.8), [one])
    return canvas


def _bars(rows: Sequence[Bar], groups: Sequence[str], title: str, about: str, paper: Paper) -> Panels:
    """Bars from 0, with `about` as the title of their axis."""
    top = _top(paper) + LINE
    y = bar_scale(rows, top + min(TALL, FLAT * paper.units), top)
    left = AXIS + _margin(y)
    apart = 12.0 * (len(groups) > 1)
    pitch = (paper.units - left - EDGE - apart * (len(groups) - 1)) / len(rows)
    lefts = [left + pitch * number + apart * row.group for number, row in enumerate(rows)]
    texts = [(row.name, "" if row.is_faint else row.note) for row in rows]
    rooms = [max(units_wide(text[part], TICK) for text in texts) for part in (0, 1)]
    are_upright = [room > pitch - 2 for room in rooms]
    heights = [(room + 6 if upright else LINE) * (room > 0) for room, upright in zip(rooms, are_upright, strict=True)]
    canvas = Panels(paper.units, y.start + 4 + sum(heights) + LINE * (len(groups) > 1), paper)
    _title(canvas, title)
    Axes(Scale(0, 1, left, paper.units - EDGE), y).draw(canvas, with_x=False)
    canvas.upright(TICK + 1, y, about)
    has_figures = pitch > max(units_wide(f"{row.value:.2f}", TICK) for row in rows) + 2
    every = math.ceil(13 / pitch) if any(are_upright) else 1
    for number, (x, row, text) in enumerate(zip(lefts, rows, texts, strict=True)):
        canvas.bar(y, row, x + pitch / 2, pitch, has_figures)
        below = y.start + 4.0
        for part, words in enumerate(text if number % every == 0 else ()):
            _below(canvas, x + pitch / 2, below, words, are_upright[part], LABEL if part or row.is_faint else INK)
            below += heights[part]
    for group, name in enumerate(groups if len(groups) > 1 else ()):
        x = next(x for x, row in zip(lefts, rows, strict=True) if row.group == group)
        canvas.text(x, canvas.height - 3, name, COLOURS[group % 6])
    return canvas


def _scatter(
    points: np.ndarray,
    title: str,
    names: Sequence[str],
    values: np.ndarray | None,
    factor: str,
    classes: Sequence[str],
    paper: Paper,
) -> Panels:
    """A square of dots, with the names of its axes at them, and beside it what the colours mean."""
    beside = 0.0 if values is None else key_wide(factor, values, classes) + 12
    left, top = AXIS + _margin(square_axes(points, 0, 0, 1).y), _top(paper) + 6
    side = paper.units - left - beside - EDGE
    axes = square_axes(points, left, top, side)
    canvas = Panels(paper.units, top + side + BELOW, paper)
    _title(canvas, title)
    axes.draw(canvas, vertical_rules=True)
    canvas.upright(TICK + 1, axes.y, names[1])
    canvas.text(left + side / 2, top + side + 33, names[0], anchor="middle")
    if values is not None:
        key(canvas, left + side + 12, top + 6, min(side - 30, 150), factor, values, classes)
    dots(canvas, axes, points, values, radius=2.0)
    return canvas


def _heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, low: float, high: float, paper: Paper
) -> Panels:
    """A cell for each value, with its figure where all have room, else with what the colours mean beside them."""
    left = EDGE + max(units_wide(name, TICK) for name in rows) + 6
    ends = tick_labels([low, high])
    wide = (paper.units - left - EDGE) / len(columns)
    flat = values.ravel().tolist()
    decimals = 0 if high >= 10 and all(value == round(value) for value in finite(flat)) else 2
    has_figures = wide > max(units_wide(f"{value:.{decimals}f}", TICK) for value in flat) + 2
    if not has_figures:
        wide = (paper.units - left - EDGE - 34 - max(units_wide(end, TICK) for end in ends)) / len(columns)
    longest = max(units_wide(name, TICK) for name in columns)
    is_upright, tall = longest > wide - 4, min(max(wide, 14), 20)
    top = _top(paper) + (longest + 8 if is_upright else LINE)
    canvas = Panels(paper.units, top + tall * len(rows) + EDGE, paper)
    _title(canvas, title)
    for column, name in enumerate(columns):
        x = left + wide * (column + 0.5)
        canvas.text(x + 4 * is_upright, top - 5, name, INK, TICK, "start" if is_upright else "middle", is_upright)
    for row, (name, of_row) in enumerate(zip(rows, values.tolist(), strict=True)):
        y, shown = top + tall * row, decimals if has_figures else None
        canvas.text(left - 6, y + tall / 2 + 4, name, INK, TICK, "end")
        cells(canvas, (left, y), (wide, tall), of_row, (low, high), gap=0.7, decimals=shown)
    if not has_figures:
        ramp(canvas, left + wide * len(columns) + 10, top, tall * len(rows), VIRIDIS, *ends)
    return canvas


def _strips(groups: Mapping[str, Sequence[float]], title: str, unit: str, paper: Paper) -> Panels:
    """A dot for each value, and beside them the mean and one sample standard deviation to either side."""
    known = [finite(values) for values in groups.values()]
    top = _top(paper) + 6
    y = strip_scale(known, top + min(TALL, FLAT * paper.units), top)
    left = AXIS + _margin(y)
    pitch = (paper.units - left - EDGE) / len(groups)
    room = min(28, 0.3 * pitch)
    lost = [len(values) - len(own) for values, own in zip(groups.values(), known, strict=True)]
    names = [name + f" ({count} not finite)" * bool(count) for name, count in zip(groups, lost, strict=True)]
    longest = max(units_wide(name, TICK) for name in names)
    is_upright = longest > pitch - 4
    canvas = Panels(paper.units, y.start + 4 + (longest + 8 if is_upright else LINE + 4), paper)
    _title(canvas, title)
    Axes(Scale(0, 1, left, paper.units - EDGE), y).draw(canvas, with_x=False)
    canvas.upright(TICK + 1, y, unit)
    for number, (name, values) in enumerate(zip(names, known, strict=True)):
        x = left + pitch * (number + 0.5)
        _below(canvas, x, y.start + 4, name, is_upright, INK)
        canvas.strip(x, y, values, COLOURS[number % 6], room, beside=0.57 * room)
    return canvas


def _margin(scale: Scale) -> float:
    """Units that the labels of ticks take beside an axis."""
    return 8 + max((units_wide(label, TICK) for _, label in scale.labelled()), default=0)


def _legend_wide(series: Sequence[Series]) -> float:
    """Units that the legend of the curves takes."""
    return sum(units_wide(one.name, TICK) + BESIDE for one in series)


def _top(paper: Paper) -> float:
    """Units above all else: for the title, where there is one."""
    return EDGE + (LINE + 6.0) * paper.has_title


def _title(canvas: Panels, title: str) -> None:
    if canvas.paper is not None and canvas.paper.has_title:
        canvas.text(EDGE, EDGE + 11, title, INK)


def _below(canvas: Panels, x: float, y: float, text: str, is_upright: bool, colour: str) -> None:
    """A text below a bar, about its middle; an upright one ends at its top."""
    if is_upright:
        canvas.text(x + 4, y, text, colour, TICK, "end", is_upright=True)
    else:
        canvas.text(x, y + TICK, text, colour, TICK, "middle")


LAYOUTS: Mapping[str, Callable[..., Canvas]] = {
    "panels": _panels,
    "bars": _bars,
    "scatter": _scatter,
    "heat_map": _heat_map,
    "strips": _strips,
}
