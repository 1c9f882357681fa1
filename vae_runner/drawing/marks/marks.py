"""The marks that all pictures are made of: lines, areas, boxes, dots, texts and images, in units, y going down.

Colours are '#rrggbb', texts ASCII. Marks know no file format: `svg_file` writes them as SVG, `raster` as
pixels, `pdf_file` as PDF, so that all three show the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Area", "Box", "Dot", "Line", "Mark", "Pixels", "Point", "Words"]

Point = tuple[float, float]


class Line(NamedTuple):
    """Through all points."""

    points: Sequence[Point]
    colour: str
    width: float


class Area(NamedTuple):
    """Inside the points; what lies behind is seen through it, as far as `opacity` is below 1."""

    points: Sequence[Point]
    colour: str
    opacity: float


class Box(NamedTuple):
    """A filled rectangle."""

    left: float
    top: float
    right: float
    bottom: float
    colour: str


class Dot(NamedTuple):
    """A filled circle with a thin white rim."""

    x: float
    y: float
    colour: str
    radius: float


class Words(NamedTuple):
    """A text whose base line goes through (x, y), upwards where it `is_upright`; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    colour: str
    size: float
    anchor: str
    is_upright: bool


class Pixels(NamedTuple):
    """An image (H, W, 1 or 3) uint8 in a rectangle, its pixels not smoothed."""

    left: float
    top: float
    width: float
    height: float
    pixels: np.ndarray


Mark = Line | Area | Box | Dot | Words | Pixels
