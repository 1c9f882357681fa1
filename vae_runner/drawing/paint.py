"""Tiles and texts put at their places: the one way in which grids, the frames of a movie and contact sheets are made.

The range of the pixels is fixed, [0, 1], and never stretched to what a picture happens to hold: two pictures can be
compared. A pixel that is not finite is painted magenta. Tiles are enlarged by a whole factor, without smoothing.
"""

import io
import logging
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from vae_runner.drawing.lettering import Text, font
from vae_runner.drawing.palette import NOT_FINITE, PAPER, rgb

__all__ = ["Tile", "as_image", "as_png", "enlarged", "faded", "in_colour", "melts", "paint", "to_pixels"]

log = logging.getLogger(__name__)

LIGHT = 244  # of 255, from which on a pixel is hardly told from the paper

Tile = tuple[int, int, np.ndarray]  # left, top, and pixels (H, W, 1 or 3) uint8


def paint(size: tuple[int, int], tiles: Iterable[Tile], texts: Iterable[Text], mode: str) -> Image.Image:
    """A picture of that width and height, gray (`L`) or RGB, with the tiles, and over them the texts."""
    picture = Image.new(mode, size, PAPER)
    for x, y, pixels in tiles:
        picture.paste(as_image(pixels), (x, y))
    pen = ImageDraw.Draw(picture)
    for one in texts:
        pen.text((one.x, one.y), one.text, one.colour, font(one.size), one.anchor)
    return picture


def enlarged(pixels: np.ndarray, scale: int) -> np.ndarray:
    """(..., H, W, C) by a whole factor."""
    return pixels.repeat(scale, -3).repeat(scale, -2)


def faded(pixels: np.ndarray, contrast: float) -> np.ndarray:
    """The pixels (H, W, C) with that part of their contrast with the colour that most of the image has, the median of
    each channel: what is dimmed becomes plain, and not lighter than what is not.
    """
    ground = np.median(pixels.astype(np.float64), (0, 1))
    return np.rint(ground + contrast * (pixels - ground)).astype(np.uint8)


def melts(pixels: np.ndarray) -> bool:
    """Whether an image (H, W, C) uint8 would melt into the paper: a quarter of its edge is nearly as light."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool((edge.min(-1) >= LIGHT).mean() >= 0.25)


def to_pixels(images: np.ndarray, title: str = "") -> np.ndarray:
    """(N, C, H, W) float32 in [0, 1] as (N, H, W, C) uint8; where something is not finite, it is magenta, with a
    warning, and gray images have three channels too.
    """
    count, channels, height, width = images.shape
    pixels = np.empty((count, height, width, channels), np.uint8)
    wrong = np.empty((count, height, width), bool)
    for image, colours, places in zip(images, pixels, wrong, strict=True):  # one by one: floats of all take much memory
        places[:] = ~np.isfinite(image).all(0)
        finite = np.clip(np.nan_to_num(image, nan=0, posinf=0, neginf=0), 0, 1)
        colours[:] = np.rint(finite * np.float32(255)).transpose(1, 2, 0)
    if wrong.any():
        pixels = in_colour(pixels)
        pixels[wrong] = rgb(NOT_FINITE)
        log.warning("%s: %s pixels are not finite, painted magenta", title or "picture", f"{int(wrong.sum()):,}")
    return pixels


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """(..., 1) or (..., 3) as (..., 3)."""
    return pixels if pixels.shape[-1] == 3 else pixels.repeat(3, -1)


def as_image(pixels: np.ndarray) -> Image.Image:
    """(H, W, 1) as a gray picture, (H, W, 3) as one in colour."""
    return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])


def as_png(picture: Image.Image, compression: int = 3, dots_per_inch: float | None = None) -> bytes:
    """The bytes of a PNG file; compressed lightly, since the last fifth of its size takes half of the time. With its
    dots per inch where they are given.
    """
    buffer = io.BytesIO()
    size = {} if dots_per_inch is None else {"dpi": (dots_per_inch, dots_per_inch)}
    picture.save(buffer, "PNG", optimize=False, compress_level=compression, **size)
    return buffer.getvalue()
