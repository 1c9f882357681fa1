"""Values as colours: of dots in a plane, of the cells of a matrix, and what the colours mean."""

import math
from collections.abc import Sequence

import numpy as np

from vae_runner.drawing.chart.axes import TICK, Axes, Panels, Scale
from vae_runner.drawing.lettering import tick_labels, units_wide
from vae_runner.drawing.marks.marks import Point
from vae_runner.drawing.palette import COLOURS, DEAD, INK, TWILIGHT, VIRIDIS, between, ink_on, shades

__all__ = ["cells", "dots", "key", "key_wide", "ramp", "square_axes"]

STEPS = 100  # patches of a ramp
PATCH = 14  # units that it is wide
LINE = 20  # units from a class to the next
BEHIND = 18  # units from the left of its dot to its name


def square_axes(points: np.ndarray, left: float, top: float, side: float) -> Axes:
    """Axes of one unit across and up, around all points (N, 2) that are finite."""
    inside = points[np.isfinite(points).all(1)]
    low, high = (inside.min(0), inside.max(0)) if len(inside) else (np.zeros(2), np.ones(2))
    half = max(float((high - low).max()) / 2 * 1.06, 1e-3)
    x, y = ((low + high) / 2).tolist()
    return Axes(Scale(x - half, x + half, left, left + side), Scale(y - half, y + half, top + side, top))


def dots(canvas: Panels, axes: Axes, points: np.ndarray, values: np.ndarray | None, radius: float = 2.5) -> None:
    """A dot at each of the points (N, 2) that is finite, coloured as `shades` says, or all alike."""
    colours = [COLOURS[0]] * len(points) if values is None else shades(values)
    for point, colour in zip(points.tolist(), colours, strict=True):
        if all(map(math.isfinite, point)):
            canvas.dot(*axes.place(*point), colour, radius)


def cells(
    canvas: Panels, place: Point, size: Point, values: Sequence[float], ends: Point, gap: float, decimals: int | None
) -> None:
    """A row of cells of that (width, height), coloured from the lower of the ends to the upper, gray where a value is
    not finite; with their figures, where these have decimals.
    """
    (x, y), (wide, tall), (low, high) = place, size, ends
    for column, value in enumerate(values):
        colour = between(VIRIDIS, (value - low) / (high - low)) if math.isfinite(value) else DEAD
        left = x + wide * column
        canvas.box(left, y, left + wide - gap, y + tall - gap, colour)
        figure = "" if decimals is None else f"{value:.{decimals}f}"
        canvas.text(left + wide / 2, y + tall / 2 + 4, figure, ink_on(colour), 11, "middle")


def key(
    canvas: Panels, left: float, top: float, tall: float, name: str, values: np.ndarray, classes: Sequence[str]
) -> None:
    """What the colours mean: a dot for each class, or a ramp that is so tall."""
    canvas.text(left, top + 4, name, INK, 12)
    labels = _labels(values, classes)
    if not _is_of_classes(values):
        ramp(canvas, left, top + 18, tall, TWILIGHT if values.ndim == 2 else VIRIDIS, *labels)
        return
    for line, (colour, label) in enumerate(zip(shades(np.unique(values)), labels, strict=True)):
        canvas.dot(left + 6, top + 22 + LINE * line, colour, 4)
        canvas.text(left + BEHIND, top + 26 + LINE * line, label)


def ramp(canvas: Panels, left: float, top: float, tall: float, colours: Sequence[str], low: str, high: str) -> None:
    """The colours from the lowest value, at the bottom, to the highest, and what these are."""
    for step in range(STEPS):
        y, colour = top + tall * (1 - (step + 1) / STEPS), between(colours, (step + 0.5) / STEPS)
        canvas.box(left, y, left + PATCH, y + tall / STEPS + (0.3 if step else 0), colour)
    canvas.text(left + PATCH + 8, top + 9, high)
    canvas.text(left + PATCH + 8, top + tall, low)


def key_wide(name: str, values: np.ndarray, classes: Sequence[str]) -> float:
    """Units that `key` takes."""
    before = BEHIND if _is_of_classes(values) else PATCH + 8
    return max(before + max(units_wide(label, TICK) for label in _labels(values, classes)), units_wide(name, TICK))


def _is_of_classes(values: np.ndarray) -> bool:
    return values.ndim == 1 and not np.issubdtype(values.dtype, np.floating)


def _labels(values: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Of each class that there is, or of the lowest value and the highest."""
    if _is_of_classes(values):
        return [classes[value] if value < len(classes) else str(value) for value in np.unique(values).tolist()]
    return ["0", "1 turn"] if values.ndim == 2 else tick_labels([float(values.min()), float(values.max())])
