"""A list of lines, boxes, dots and texts, given out as SVG, and as PNG twice its size.

Both come of the same list, so they show the same. In the PNG, shapes are drawn three times as large and then averaged
down, texts by FreeType. Colours are '#rrggbb', texts ASCII.
"""

import html
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageDraw

from vae_runner.drawing.lettering import ENLARGED, font
from vae_runner.drawing.paint import as_png
from vae_runner.drawing.palette import LABEL, PAPER

__all__ = ["Canvas", "Point"]

FINER = 3  # shapes are drawn so many times larger, and averaged
LINE = 'fill="none" stroke="{}" stroke-width="{:g}" stroke-linejoin="round" stroke-linecap="round"'

Point = tuple[float, float]
PIL_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}  # y is the base line


class Canvas:
    """`width` x `height` units on white, y going down."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self._elements: list[str] = []
        self._shapes: list[Callable[[Any, float], None]] = []  # each draws on a pen of Pillow's, at a scale
        self._texts: list[tuple[Point, str, str, int, str]] = []

    def line(self, points: Sequence[Point], colour: str, width: float = 1.5) -> None:
        """A line through all points; nothing for fewer than two."""
        if len(points) < 2:
            return
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self._elements.append(f'<polyline points="{path}" {LINE.format(colour, width)}/>')

        def shape(pen: Any, scale: float) -> None:
            pen.line([(x * scale, y * scale) for x, y in points], colour, max(round(width * scale), 1), joint="curve")

        self._shapes.append(shape)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """A filled rectangle."""
        size = f'width="{right - left:.2f}" height="{bottom - top:.2f}"'
        self._elements.append(f'<rect x="{left:.2f}" y="{top:.2f}" {size} fill="{colour}"/>')

        def shape(pen: Any, scale: float) -> None:
            x, y, x_end, y_end = (round(place * scale) for place in (left, top, right, bottom))
            pen.rectangle([x, y, x_end - 1, max(y_end - 1, y)], colour)

        self._shapes += [shape] if right > left and bottom > top else []

    def dot(self, x: float, y: float, colour: str, radius: float = 2.5) -> None:
        """A filled circle with a thin white rim, so that dots that overlap can be told apart."""
        place = f'cx="{x:.2f}" cy="{y:.2f}" r="{radius + 0.3:g}"'
        self._elements.append(f'<circle {place} fill="{colour}" stroke="{PAPER}" stroke-width="0.6"/>')

        def shape(pen: Any, scale: float) -> None:
            for size, fill in ((radius + 0.6, PAPER), (radius, colour)):
                pen.ellipse([(x - size) * scale, (y - size) * scale, (x + size) * scale, (y + size) * scale], fill)

        self._shapes.append(shape)

    def text(self, x: float, y: float, text: str, colour: str = LABEL, size: int = 11, anchor: str = "start") -> None:
        """A text with its base line at y."""
        style = f'fill="{colour}" font-size="{size}" text-anchor="{anchor}"'
        self._elements.append(f'<text x="{x:.2f}" y="{y:.2f}" {style}>{html.escape(text, quote=False)}</text>')
        self._texts.append(((x, y), text, colour, size, PIL_ANCHORS[anchor]))

    def svg(self) -> bytes:
        """Returns an SVG file's bytes."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="Helvetica, Arial, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="{PAPER}"/>\n'
        )
        return (head + "\n".join(self._elements) + "\n</svg>\n").encode("ascii", "xmlcharrefreplace")

    def png(self) -> bytes:
        """Returns a PNG file's bytes."""
        scale = ENLARGED * FINER
        large = Image.new("RGB", (self.width * scale, self.height * scale), PAPER)
        pen = ImageDraw.Draw(large)
        for shape in self._shapes:
            shape(pen, scale)
        picture = large.reduce(FINER)
        pen = ImageDraw.Draw(picture)
        for (x, y), text, colour, size, anchor in self._texts:
            pen.text((x * ENLARGED, y * ENLARGED), text, colour, font(size * ENLARGED), anchor)
        return as_png(picture)
