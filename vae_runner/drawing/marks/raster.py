"""Marks as pixels. Shapes are drawn some times as large and averaged down, texts by FreeType; an image is enlarged by a
whole factor and averaged down to its size, so that no pixel of it is wider than its neighbour.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vae_runner.drawing.lettering import font
from vae_runner.drawing.marks.marks import Area, Box, Dot, Line, Mark, Pixels, Words
from vae_runner.drawing.paint import as_image, enlarged
from vae_runner.drawing.palette import PAPER

__all__ = ["fitted", "raster"]

FINER = 3  # shapes are drawn so many times larger, and averaged
MOST = 90_000_000  # pixels of that; a larger picture is fine enough by itself
PIL_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}  # y is the base line
BEFORE = {"start": 0.0, "middle": 0.5, "end": 1.0}  # the part of a text that stands before its anchor


def raster(marks: Sequence[Mark], width: int, height: int, scale: float) -> Image.Image:
    """The picture of `width` x `height` pixels, RGB, `scale` of them for each unit."""
    finer = next((times for times in range(FINER, 1, -1) if width * height * times * times <= MOST), 1)
    large = Image.new("RGB", (width * finer, height * finer), PAPER)
    for mark in marks:
        _shape(large, mark, scale * finer)
    picture = large.reduce(finer) if finer > 1 else large
    for mark in marks:
        if isinstance(mark, Pixels):
            left, top, right, bottom = _corners(mark, scale)
            picture.paste(fitted(mark.pixels, right - left, bottom - top), (left, top))
    for mark in marks:
        if isinstance(mark, Words):
            _words(picture, mark, scale)
    return picture


def fitted(pixels: np.ndarray, width: int, height: int) -> Image.Image:
    """The image (H, W, 1 or 3) uint8 at that size: enlarged by a whole factor, then averaged down to it."""
    times = max(math.ceil(width / pixels.shape[1]), math.ceil(height / pixels.shape[0]), 1)
    picture = as_image(enlarged(pixels, times))
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.BOX)


def _corners(mark: Pixels, scale: float) -> tuple[int, int, int, int]:
    """At whole pixels, at least one wide."""
    left, top = round(mark.left * scale), round(mark.top * scale)
    right, bottom = round((mark.left + mark.width) * scale), round((mark.top + mark.height) * scale)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _shape(picture: Image.Image, mark: Mark, scale: float) -> None:
    pen = ImageDraw.Draw(picture)
    if isinstance(mark, Line):
        width = max(round(mark.width * scale), 1)
        pen.line([(x * scale, y * scale) for x, y in mark.points], mark.colour, width, joint="curve")
    elif isinstance(mark, Area):
        over: Any = ImageDraw.Draw(picture, "RGBA")  # of which colours are mixed with what is there
        over.polygon([(x * scale, y * scale) for x, y in mark.points], f"{mark.colour}{round(255 * mark.opacity):02x}")
    elif isinstance(mark, Box) and mark.right > mark.left and mark.bottom > mark.top:
        left, top, right, bottom = (round(place * scale) for place in mark[:4])
        pen.rectangle([left, top, max(right - 1, left), max(bottom - 1, top)], mark.colour)
    elif isinstance(mark, Dot):
        for size, fill in ((mark.radius + 0.6, PAPER), (mark.radius, mark.colour)):
            x, y = mark.x, mark.y
            pen.ellipse([(x - size) * scale, (y - size) * scale, (x + size) * scale, (y + size) * scale], fill)


def _words(picture: Image.Image, mark: Words, scale: float) -> None:
    face = font(mark.size * scale)
    if not mark.is_upright:
        place = (mark.x * scale, mark.y * scale)
        ImageDraw.Draw(picture).text(place, mark.text, mark.colour, face, PIL_ANCHORS[mark.anchor])
        return
    above, below = face.getmetrics()
    long = math.ceil(face.getlength(mark.text))
    lying = Image.new("L", (max(long, 1), above + below))
    ImageDraw.Draw(lying).text((0, above), mark.text, 255, face, "ls")
    standing = lying.transpose(Image.Transpose.ROTATE_90)
    start = round(mark.y * scale + long * BEFORE[mark.anchor])  # the bottom, where the text begins
    picture.paste(mark.colour, (round(mark.x * scale) - above, start - standing.height), standing)
