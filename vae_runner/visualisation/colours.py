"""Colours of a factor's values that people with any colour vision can tell apart, and the legend that explains them.

Classes: Okabe & Ito 2008. Values: viridis. Angles: twilight, which ends as it starts (both from matplotlib, CC0).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_runner.ticks import tick_labels
from vae_runner.visualisation.axes import COLOURS, INK, QUIET
from vae_runner.visualisation.canvas import Canvas

__all__ = ["colour_map"]

VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
TWILIGHT = ("#c9c2d0", "#6b97bf", "#5b52a4", "#2f1436", "#7e2253", "#b8644f", "#c9c2d0")
BAR = 200  # units of a bar's length
STEPS = 100  # patches of a bar


def colour_map(canvas: Canvas, left: float, top: float, name: str, values: Tensor, classes: Sequence[str]) -> list[str]:
    """Draw the legend there; returns the colour of each value."""
    values = values.detach().cpu()
    canvas.text(left, top + 4, name, INK, 12)
    if values.dim() == 2:
        turns = (torch.atan2(values[:, 1], values[:, 0]) / (2 * torch.pi)) % 1
        _bar(canvas, left, top, TWILIGHT, "0", "1 turn")
        return [_between(TWILIGHT, turn) for turn in turns.tolist()]
    if not values.is_floating_point():
        return _classes(canvas, left, top, values, classes)
    low, high = float(values.min()), float(values.max())
    _bar(canvas, left, top, VIRIDIS, *tick_labels([low, high]))
    span = (high - low) or 1.0
    return [_between(VIRIDIS, (value - low) / span) for value in values.tolist()]


def _classes(canvas: Canvas, left: float, top: float, values: Tensor, names: Sequence[str]) -> list[str]:
    for line, value in enumerate(values.unique().tolist()):
        y = top + 26 + 20 * line
        canvas.dot(left + 6, y - 4, COLOURS[value % len(COLOURS)], 4)
        canvas.text(left + 18, y, names[value] if value < len(names) else str(value), QUIET, 11)
    return [COLOURS[value % len(COLOURS)] for value in values.tolist()]


def _bar(canvas: Canvas, left: float, top: float, colours: Sequence[str], low: str, high: str) -> None:
    top += 18
    for step in range(STEPS):
        y = top + BAR * (1 - (step + 1) / STEPS)
        canvas.box(left, y, left + 14, y + BAR / STEPS + (0.3 if step else 0), _between(colours, (step + 0.5) / STEPS))
    canvas.text(left + 22, top + 9, high, QUIET, 11)
    canvas.text(left + 22, top + BAR, low, QUIET, 11)


def _between(colours: Sequence[str], part: float) -> str:
    """The colour at that part, in [0, 1], of the way through the colours."""
    place = min(max(part, 0.0), 1.0) * (len(colours) - 1)
    index = min(int(place), len(colours) - 2)
    first, second = (_rgb(colour) for colour in colours[index : index + 2])
    mixed = (round(a + (b - a) * (place - index)) for a, b in zip(first, second, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
