"""How many images there are of each class of each factor, and of each pair of classes of two of them: what a set, or a
part of one, holds of the combinations that there could be.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.drawing.lettering import units_wide
from vae_runner.drawing.marks.canvas import Canvas
from vae_runner.drawing.palette import COLOURS, INK, LABEL, RULE, VIRIDIS, between

__all__ = ["count_chart", "counts"]

_WIDE, _HIGH, _ACROSS, _DOWN = 200, 90, 240, 164  # of a panel's bars, and from one panel to the next
_LEFT, _TOP, _COLUMNS = 40, 78, 4
_FEW = 6  # classes whose names have room, where they are short


def counts(grid: FactorGrid, grid_indices: Tensor) -> list[NDArray[np.int64]]:
    """Returns how many of the images, by their indices in the grid (N,), have each class, for each factor: (size,).

    Example:
        >>> import torch
        >>> grid = FactorGrid([Factor("shape", (0, 1), is_category=True), Factor("size", (1, 2, 3))])
        >>> [each.tolist() for each in counts(grid, torch.tensor([0, 1, 5, 5]))]
        [[2, 2], [1, 1, 2]]
    """
    classes = grid.classes_of(grid_indices.cpu()).numpy()
    return [np.bincount(classes[:, place], minlength=size) for place, size in enumerate(grid.sizes)]


def count_chart(grid: FactorGrid, grid_indices: Tensor, title: str, pair: Sequence[str] = ()) -> Canvas:
    """Returns a chart of the counts of all factors that vary, and of a `pair` of them, as a heat map.

    Args:
        grid: the factors.
        grid_indices: of the images in the grid, (N,).
        title: above the chart.
        pair: names of two factors.
    """
    found, shown = counts(grid, grid_indices), list(grid.varying)
    panels = len(shown) + bool(pair)
    rows = -(-panels // _COLUMNS)
    width = max(_LEFT + _ACROSS * min(panels, _COLUMNS), _LEFT + units_wide(title, 14) + 20)
    canvas = Canvas(width, _TOP + _DOWN * rows)
    canvas.text(_LEFT, 28, title, INK, 14)
    for number, place in enumerate(shown):
        _bars(canvas, *_corner(number), grid.factors[place], found[place])
    if pair:
        _map(canvas, *_corner(len(shown)), grid, grid_indices, pair)
    return canvas


def _corner(number: int) -> tuple[float, float]:
    return _LEFT + _ACROSS * (number % _COLUMNS), _TOP + _DOWN * (number // _COLUMNS)


def _bars(canvas: Canvas, left: float, top: float, factor: Factor, found: NDArray[np.int64]) -> None:
    """A panel: the name and the largest count above, a bar for each class, the names of classes below."""
    bottom, most, step = top + _HIGH, max(int(found.max()), 1), _WIDE / factor.size
    canvas.text(left, top - 10, factor.name, INK, 12)
    canvas.text(left + _WIDE, top - 10, f"{most:,}", LABEL, 10, "end")
    for y in (top, bottom):
        canvas.line([(left, y), (left + _WIDE, y)], RULE, 1)
    gap = 0.15 * step if factor.size <= 40 else 0
    for place, count in enumerate(found.tolist()):
        x = left + place * step
        canvas.box(x + gap, bottom - _HIGH * count / most, x + step - gap, bottom, COLOURS[0])
    _names(canvas, left, bottom + 16, factor)


def _names(canvas: Canvas, left: float, y: float, factor: Factor) -> None:
    """Of all classes where they have room, else of the first and the last."""
    names = list(factor.labels) or [f"{value:.4g}" for value in factor.values]
    step = _WIDE / factor.size
    if factor.size <= _FEW and all(units_wide(name, 10) < step for name in names):
        for place, name in enumerate(names):
            canvas.text(left + (place + 0.5) * step, y, name, LABEL, 10, "middle")
    else:
        canvas.text(left, y, names[0][:16], LABEL, 10)
        canvas.text(left + _WIDE, y, names[-1][:16], LABEL, 10, "end")


def _map(canvas: Canvas, left: float, top: float, grid: FactorGrid, grid_indices: Tensor, pair: Sequence[str]) -> None:
    """A panel of a patch for each pair of classes, brighter for more images."""
    across, up = (grid.names.index(name) for name in pair)
    classes = grid.classes_of(grid_indices.cpu()).numpy()
    columns, rows = grid.sizes[across], grid.sizes[up]
    found = np.bincount(classes[:, up] * columns + classes[:, across], minlength=rows * columns).reshape(rows, columns)
    most, wide, high = max(int(found.max()), 1), _WIDE / columns, _HIGH / rows
    canvas.text(left, top - 10, f"{pair[1]} over {pair[0]}", INK, 12)
    canvas.text(left + _WIDE, top - 10, f"0 to {most:,}", LABEL, 10, "end")
    for row, column in np.ndindex(found.shape):
        x, bottom = left + column * wide, top + _HIGH - row * high
        canvas.box(x, bottom - high, x + wide, bottom, between(VIRIDIS, int(found[row, column]) / most))
    _names(canvas, left, top + _HIGH + 16, grid.factors[across])
