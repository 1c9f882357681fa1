"""A list of marks, given out as SVG, as PNG, and on paper as PDF too: all come of the same list, and show the same.

On the screen a unit is a CSS pixel, and the PNG has twice as many. On `Paper` the canvas is as wide as the paper says,
in millimetres, and all its texts have the paper's size.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vae_runner.drawing.lettering import ENLARGED
from vae_runner.drawing.marks.marks import Area, Box, Dot, Line, Mark, Pixels, Point, Words
from vae_runner.drawing.marks.pdf_file import pdf_file
from vae_runner.drawing.marks.raster import raster
from vae_runner.drawing.marks.svg_file import svg_file
from vae_runner.drawing.paint import as_png
from vae_runner.drawing.palette import LABEL
from vae_runner.drawing.paper import UNITS, Paper

__all__ = ["Canvas", "Point"]


class Canvas:
    """`width` x `height` units on white, y going down.

    Attributes:
        content: the kind of chart it is, and what that shows, to lay it out anew for print; None: it was drawn mark by
            mark, and can only be shown on the screen.
    """

    def __init__(self, width: float, height: float, paper: Paper | None = None) -> None:
        self.paper = paper
        self.width = round(width) if paper is None else width
        self.height = round(height) if paper is None else height
        self.marks: list[Mark] = []
        self.content: tuple[str, tuple[Any, ...]] | None = None

    def line(self, points: Sequence[Point], colour: str, width: float = 1.5) -> None:
        """A line through all points; nothing for fewer than two."""
        if len(points) > 1:
            self.marks.append(Line(points, colour, width))

    def area(self, points: Sequence[Point], colour: str, opacity: float = 0.2) -> None:
        """What lies inside the points, seen through; nothing for fewer than three."""
        if len(points) > 2:
            self.marks.append(Area(points, colour, opacity))

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """A filled rectangle."""
        self.marks.append(Box(left, top, right, bottom, colour))

    def dot(self, x: float, y: float, colour: str, radius: float = 2.5) -> None:
        """A filled circle with a thin white rim, so that dots that overlap can be told apart."""
        self.marks.append(Dot(x, y, colour, radius))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        colour: str = LABEL,
        size: float = 11,
        anchor: str = "start",
        is_upright: bool = False,
    ) -> None:
        """A text with its base line at y, or, upwards, at x; on paper all texts have one size."""
        if text:
            self.marks.append(Words(x, y, text, colour, size if self.paper is None else UNITS, anchor, is_upright))

    def image(self, left: float, top: float, width: float, height: float, pixels: np.ndarray) -> None:
        """An image (H, W, 1 or 3) uint8."""
        self.marks.append(Pixels(left, top, width, height, pixels))

    def svg(self) -> bytes:
        """Returns an SVG file's bytes."""
        return svg_file(self.marks, self.width, self.height, self.paper)

    def png(self) -> bytes:
        """Returns a PNG file's bytes: of paper, with the dots per inch at which it is as wide as that."""
        if self.paper is None:
            width, height = round(self.width * ENLARGED), round(self.height * ENLARGED)
            return as_png(raster(self.marks, width, height, ENLARGED))
        scale = self.paper.unit * self.paper.resolution / 72
        width, height = self.paper.pixels(self.width, self.height)
        return as_png(raster(self.marks, width, height, scale), dots_per_inch=self.paper.resolution)

    def pdf(self) -> bytes:
        """Returns a PDF file's bytes, of one page that is as large as the picture; a unit is a point on the screen."""
        return pdf_file(self.marks, self.width, self.height, 1.0 if self.paper is None else self.paper.unit)

    def file(self) -> dict[str, bytes]:
        """Returns the file on its paper by its ending."""
        format = "png" if self.paper is None else self.paper.format
        return {f".{format}": {"png": self.png, "pdf": self.pdf, "svg": self.svg}[format]()}
