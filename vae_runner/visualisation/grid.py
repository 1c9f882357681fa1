"""A grid of images with its labels, drawn to a PNG file.

The range of the pixels is fixed, [0, 1], and never stretched to what a picture happens to hold: two pictures can be
compared. A pixel that is not finite is painted magenta. Small images are enlarged by a whole factor, without smoothing.
The same grid gives the same bytes.
"""

import io
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vae_runner.files import write_atomically

__all__ = ["Grid", "draw", "png", "save"]

log = logging.getLogger(__name__)

WIDTH = 1500  # pixels that an enlarged grid may take
LARGEST = 4  # times that an image is enlarged at most
GAP = 2  # pixels between images
MARGIN = 16
FONT_SIZE = 15
PAPER, INK, QUIET, NOT_FINITE = (255, 255, 255), (40, 40, 40), (120, 120, 120), (255, 0, 255)


@dataclass
class Grid:
    """Images in rows of `row_size`, and what is written beside them.

    images         (N, C, H, W), C 1 or 3, range [0, 1]
    row_labels     one for each row, or none; column_labels likewise
    title          above the grid, left; `caption` below it
    details        what the JSON file beside the picture says: codes, indices, ...
    """

    images: Tensor
    row_size: int
    title: str = ""
    caption: str = ""
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> int:
        return max(min(self.row_size, len(self.images)), 1)

    @property
    def rows(self) -> int:
        return math.ceil(len(self.images) / self.columns)

    def save(self, file: Any) -> None:
        """Write the picture to a path or to an open binary file."""
        save(self, file)


def draw(grid: Grid) -> Image.Image:
    """Returns the picture, RGB."""
    pixels, not_finite = _to_pixels(grid.images)
    if not_finite:
        log.warning("%s: %s pixels are not finite, painted magenta", grid.title or "picture", f"{not_finite:,}")
    tiles = _tile(pixels, grid)
    font = ImageFont.load_default(FONT_SIZE)
    line = FONT_SIZE + 7
    left = MARGIN + (_widest(grid.row_labels, font) + 10 if grid.row_labels else 0)
    top = MARGIN + line * bool(grid.title) + line * bool(grid.column_labels)
    width = max(tiles.width, _widest([grid.title, grid.caption], font) - (left - MARGIN))
    picture = Image.new("RGB", (left + width + MARGIN, top + tiles.height + line * bool(grid.caption) + MARGIN), PAPER)
    picture.paste(tiles, (left, top))
    pen = ImageDraw.Draw(picture)
    step_x, step_y = (tiles.width + GAP) / grid.columns, (tiles.height + GAP) / grid.rows
    pen.text((left, MARGIN - 2), grid.title, INK, font)
    for row, label in enumerate(grid.row_labels):
        pen.text((left - 10, top + (row + 0.5) * step_y - GAP / 2), label, INK, font, anchor="rm")
    every = math.ceil((_widest(grid.column_labels, font) + 4) / step_x)  # where the images are narrower than the labels
    for column, label in list(enumerate(grid.column_labels))[::every]:
        pen.text((left + (column + 0.5) * step_x - GAP / 2, top - 7), label, QUIET, font, anchor="ms")
    pen.text((left, top + tiles.height + 6), grid.caption, QUIET, font)
    return picture


def png(grid: Grid) -> bytes:
    """Returns the picture as a PNG file's bytes."""
    buffer = io.BytesIO()
    draw(grid).save(buffer, "PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def save(grid: Grid, file: Any) -> None:
    """Write the picture to a path (folders are made, the file is replaced atomically) or to an open binary file."""
    if hasattr(file, "write"):
        file.write(png(grid))
    else:
        write_atomically(Path(file), png(grid))


def _to_pixels(images: Tensor) -> tuple[np.ndarray, int]:
    """(N, H, W, 3) uint8, and how many pixels are not finite."""
    images = images.detach().float().cpu()
    wrong = ~torch.isfinite(images).all(1)
    colours = (images.nan_to_num(0, 0, 0).clamp(0, 1) * 255).round().byte().expand(-1, 3, -1, -1)
    pixels = colours.permute(0, 2, 3, 1).contiguous().numpy()
    pixels[wrong.numpy()] = NOT_FINITE
    return pixels, int(wrong.sum())


def _tile(pixels: np.ndarray, grid: Grid) -> Image.Image:
    _, height, width, _ = pixels.shape
    factor = min(max(WIDTH // (grid.columns * (width + GAP)), 1), LARGEST)
    pixels = pixels.repeat(factor, 1).repeat(factor, 2)
    height, width = height * factor, width * factor
    canvas = np.full((grid.rows * (height + GAP) - GAP, grid.columns * (width + GAP) - GAP, 3), PAPER, np.uint8)
    for index, image in enumerate(pixels):
        row, column = divmod(index, grid.columns)
        y, x = row * (height + GAP), column * (width + GAP)
        canvas[y : y + height, x : x + width] = image
    return Image.fromarray(canvas)


def _widest(texts: Sequence[str], font: Any) -> int:
    return math.ceil(max((font.getlength(text) for text in texts), default=0))
