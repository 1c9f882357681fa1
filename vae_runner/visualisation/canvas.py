"""A list of lines, boxes, dots and texts, given out as SVG, and as PNG twice its size.

Both come of the same list, so they show the same. In the PNG, shapes are drawn three times as large and then averaged
down, texts by FreeType; the same list gives the same bytes. Colours are '#rrggbb', texts ASCII.
"""

import html
from collections.abc import Callable, Sequence
from typing import Any, Literal

from PIL import Image, ImageDraw

from vae_runner.visualisation.grid import as_png
from vae_runner.visualisation.layout import text_font

__all__ = ["Anchor", "Canvas", "Point", "text_width"]

ENLARGED = 2  # pixels of the PNG for each unit
FINER = 3  # shapes are drawn so many times larger, and averaged

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
PIL_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}  # y is the base line


def text_width(text: str, size: float) -> float:
    """Units that a text takes in the PNG, and about so many in the SVG."""
    return text_font(round(size * ENLARGED)).getlength(text) / ENLARGED


class Canvas:
    """`width` x `height` units on white, y going down."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self._elements: list[str] = []
        self._shapes: list[Callable[[ImageDraw.ImageDraw, float], None]] = []
        self._texts: list[tuple[Point, str, str, int, str]] = []

    def line(self, points: Sequence[Point], colour: str, width: float = 1.5) -> None:
        """A line through all points; nothing for fewer than two."""
        if len(points) < 2:
            return
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self._elements.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            'stroke-linejoin="round" stroke-linecap="round"/>'
        )

        def shape(pen: ImageDraw.ImageDraw, scale: float) -> None:
            thick = max(round(width * scale), 1)
            pen.line([(x * scale, y * scale) for x, y in points], colour, thick, joint="curve")

        self._shapes.append(shape)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """A filled rectangle."""
        size = f'width="{right - left:.2f}" height="{bottom - top:.2f}"'
        self._elements.append(f'<rect x="{left:.2f}" y="{top:.2f}" {size} fill="{colour}"/>')
        corners = (left, top, right, bottom)
        if right > left and bottom > top:
            self._shapes.append(
                lambda pen, scale: pen.rectangle(
                    [round(corners[0] * scale), round(corners[1] * scale),
                     round(corners[2] * scale) - 1, max(round(corners[3] * scale) - 1, round(corners[1] * scale))],
                    colour,
                )
            )  # fmt: skip

    def dot(self, x: float, y: float, colour: str, radius: float = 2.5) -> None:
        """A filled circle with a thin white rim, so that dots that overlap can be told apart."""
        rim = radius + 0.6
        place = f'cx="{x:.2f}" cy="{y:.2f}" r="{radius + 0.3:g}"'
        self._elements.append(f'<circle {place} fill="{colour}" stroke="#ffffff" stroke-width="0.6"/>')

        def shape(pen: ImageDraw.ImageDraw, scale: float) -> None:
            for size, fill in ((rim, "#ffffff"), (radius, colour)):
                pen.ellipse([(x - size) * scale, (y - size) * scale, (x + size) * scale, (y + size) * scale], fill)

        self._shapes.append(shape)

    def text(self, x: float, y: float, text: str, colour: str, size: int = 12, anchor: Anchor = "start") -> None:
        """A text with its base line at y."""
        self._elements.append(
            f'<text x="{x:.2f}" y="{y:.2f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">'
            f"{html.escape(text, quote=False)}</text>"
        )
        self._texts.append(((x, y), text, colour, size, PIL_ANCHORS[anchor]))

    def svg(self) -> bytes:
        """Returns an SVG file's bytes."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="Helvetica, Arial, sans-serif">\n'
            '<rect width="100%" height="100%" fill="#ffffff"/>\n'
        )
        return (head + "\n".join(self._elements) + "\n</svg>\n").encode("ascii", "xmlcharrefreplace")

    def png(self) -> bytes:
        """Returns a PNG file's bytes."""
        size = (self.width * ENLARGED * FINER, self.height * ENLARGED * FINER)
        large = Image.new("RGB", size, "#ffffff")
        pen: Any = ImageDraw.Draw(large)
        for shape in self._shapes:
            shape(pen, ENLARGED * FINER)
        picture = large.reduce(FINER)
        pen = ImageDraw.Draw(picture)
        for (x, y), text, colour, text_size, anchor in self._texts:
            pen.text((x * ENLARGED, y * ENLARGED), text, colour, text_font(text_size * ENLARGED), anchor)
        return as_png(picture)
