"""A grid of images with its labels, drawn to a PNG file.

The range of the pixels is fixed, [0, 1], and never stretched to what a picture happens to hold: two pictures can be
compared. A pixel that is not finite is painted magenta. Small images are enlarged by a whole factor, without smoothing.
The same grid gives the same bytes.
"""

import dataclasses
import io
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from vae_runner.errors import UserError
from vae_runner.files import write_atomically
from vae_runner.visualisation.layout import GAP, LARGEST, MARGIN, Layout, cells, lay_out, small_size, text_font, widest
from vae_runner.visualisation.picture import Encoded

__all__ = ["GAP", "LARGEST", "MARGIN", "Grid", "as_picture", "as_png", "draw", "in_colour", "png", "save", "to_pixels"]

log = logging.getLogger(__name__)

PAPER, INK, QUIET = "#ffffff", "#282828", "#787878"  # grays, so that a picture of gray images is one
NOT_FINITE = (255, 0, 255)
FADED = 0.25  # what is left of the contrast of a row that is dimmed


@dataclass
class Grid:
    """Images in rows of `row_size`, and what is written beside them.

    images         (N, C, H, W), C 1 or 3, range [0, 1]
    row_labels     one for each row, or none; one of several parts is a row of a table; column_labels likewise
    title          above the grid, left; `caption` below it
    details        what the JSON file beside the picture says: codes, indices, ...
    tile_captions  one for each image, small and below it, or none
    headings       a line above the row of that number
    lead           columns at the left that are set apart
    dimmed         rows that are faded
    scale          whole factor by which images are enlarged; None: a readable size
    """

    images: Tensor
    row_size: int
    title: str = ""
    caption: str = ""
    row_labels: Sequence[str | Sequence[str]] = ()
    column_labels: Sequence[str] = ()
    details: dict[str, Any] = field(default_factory=dict)
    tile_captions: Sequence[str] = ()
    headings: Mapping[int, str] = field(default_factory=dict)
    lead: int = 0
    dimmed: Collection[int] = ()
    scale: int | None = None

    name: ClassVar[str | None] = None
    folder: ClassVar[str] = "grids"

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise ValueError("a grid needs at least one image")

    @property
    def columns(self) -> int:
        return min(self.row_size, len(self.images))

    @property
    def rows(self) -> int:
        return math.ceil(len(self.images) / self.columns)

    def save(self, file: Any) -> None:
        """Write the picture to a path, in the format of its ending, or to an open binary file, as PNG."""
        save(self, file)

    def detached(self) -> "Grid":
        """The same with its images on the CPU."""
        return dataclasses.replace(self, images=self.images.detach().float().cpu())

    def encode(self) -> Encoded:
        layout = lay_out(self, *self.images.shape[-2:])
        return Encoded({".png": as_png(_drawn(self, layout))}, {**self.details, "layout": layout.record()})


def draw(grid: Grid) -> Image.Image:
    """Returns the picture, RGB."""
    return _drawn(grid, lay_out(grid, *grid.images.shape[-2:])).convert("RGB")


def png(grid: Grid) -> bytes:
    """Returns the picture as a PNG file's bytes."""
    return as_png(_drawn(grid, lay_out(grid, *grid.images.shape[-2:])))


def as_png(picture: Image.Image) -> bytes:
    """Returns the bytes of a PNG file; compressed lightly, since the last fifth of its size takes half of the time."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=False, compress_level=3)
    return buffer.getvalue()


def save(grid: Grid, file: Any) -> None:
    """Write the picture to a path, in the format of its ending, PNG where it has none (folders are made, the file is
    replaced atomically, ~ is the home folder); or to an open binary file, as PNG.

    Raises `UserError` where pictures cannot be written in that format.
    """
    if hasattr(file, "write"):
        file.write(png(grid))
        return
    path = Path(file).expanduser()
    kind = Image.registered_extensions().get(path.suffix.lower(), "") if path.suffix else "PNG"
    if kind not in Image.SAVE:
        raise UserError(f"cannot write a picture as {path.suffix}: {path}; take .png")
    if kind == "PNG":
        write_atomically(path, png(grid))
    else:
        buffer = io.BytesIO()
        draw(grid).save(buffer, kind)
        write_atomically(path, buffer.getvalue())


def to_pixels(images: Tensor, title: str = "") -> np.ndarray:
    """(N, C, H, W) in [0, 1] as (N, H, W, C) uint8; where something is not finite, it is magenta, with a warning, and
    gray images have three channels too.
    """
    values = images.detach().float().cpu().numpy()  # from here without torch: a thread of its own draws
    count, channels, height, width = values.shape
    pixels = np.empty((count, height, width, channels), np.uint8)
    wrong = np.empty((count, height, width), bool)
    for image, colours, places in zip(values, pixels, wrong, strict=True):  # one by one: floats of all take much memory
        places[:] = ~np.isfinite(image).all(0)
        finite = np.clip(np.nan_to_num(image, nan=0, posinf=0, neginf=0), 0, 1)
        colours[:] = np.rint(finite * np.float32(255)).transpose(1, 2, 0)
    if wrong.any():
        pixels = in_colour(pixels)
        pixels[wrong] = NOT_FINITE
        log.warning("%s: %s pixels are not finite, painted magenta", title or "picture", f"{int(wrong.sum()):,}")
    return pixels


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """(..., 1) or (..., 3) as (..., 3)."""
    return pixels if pixels.shape[-1] == 3 else pixels.repeat(3, -1)


def as_picture(pixels: np.ndarray) -> Image.Image:
    """(H, W, 1) as a gray picture, (H, W, 3) as one in colour."""
    return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])


def _drawn(grid: Grid, layout: Layout) -> Image.Image:
    """The picture, gray (`L`) where all in it is, else RGB."""
    tiles = to_pixels(grid.images, grid.title)
    canvas = np.full((layout.height, layout.width, tiles.shape[-1]), 255, np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, grid.columns)
        tile = tile.repeat(layout.scale, 0).repeat(layout.scale, 1)
        if row in grid.dimmed and column >= grid.lead:
            tile = np.rint(255 - FADED * (255.0 - tile)).astype(np.uint8)
        y, x = layout.tops[row], layout.lefts[column]
        canvas[y : y + layout.tile_height, x : x + layout.tile_width] = tile
    picture = as_picture(canvas)
    pen = ImageDraw.Draw(picture)
    _write_around(pen, grid, layout)
    _write_rows(pen, grid, layout)
    _write_columns(pen, grid, layout)
    _write_captions(pen, grid, layout)
    return picture


def _write_around(pen: ImageDraw.ImageDraw, grid: Grid, layout: Layout) -> None:
    """The title, the caption, and the headings."""
    font, left = text_font(layout.font_size), layout.lefts[0]
    pen.text((left, MARGIN - 3), grid.title, INK, font)
    for number, line in enumerate(layout.caption):
        pen.text((left, layout.caption_top + number * layout.line), line, QUIET, font)
    for row, heading in grid.headings.items():
        above = layout.line if row == 0 and grid.column_labels else 0
        pen.text((left, layout.tops[row] - above - 8), heading, INK, font, anchor="ls")


def _write_rows(pen: ImageDraw.ImageDraw, grid: Grid, layout: Layout) -> None:
    """The labels at the left: cells in columns, the first to the left, figures to the right; one alone to the right."""
    font = text_font(layout.font_size)
    for row, label in enumerate(grid.row_labels):
        x, y = MARGIN, layout.tops[row] + layout.tile_height / 2
        colour = QUIET if row in grid.dimmed else INK
        parts = cells(label)
        for number, (text, width) in enumerate(zip(parts, layout.label_widths, strict=True)):
            to_right = len(parts) == 1 or number == 1
            pen.text((x + width * to_right, y), text, colour, font, anchor="rm" if to_right else "lm")
            x += width + layout.font_size


def _write_columns(pen: ImageDraw.ImageDraw, grid: Grid, layout: Layout) -> None:
    """The labels above: those of leading columns where they fit, and as many of the others as do."""
    font = text_font(layout.font_size)
    labels, step = list(grid.column_labels), layout.tile_width + GAP
    every = math.ceil((widest(labels[grid.lead :], font) + 4) / step)
    top = layout.tops[0] - 8
    for column, label in enumerate(labels):
        is_lead = column < grid.lead
        if widest([label], font) <= step if is_lead else (column - grid.lead) % every == 0:
            pen.text((layout.lefts[column] + layout.tile_width / 2, top), label, QUIET, font, anchor="ms")


def _write_captions(pen: ImageDraw.ImageDraw, grid: Grid, layout: Layout) -> None:
    """The small texts below tiles."""
    size = small_size(layout.font_size)
    for index, text in enumerate(grid.tile_captions):
        row, column = divmod(index, grid.columns)
        x, y = layout.lefts[column] + layout.tile_width / 2, layout.tops[row] + layout.tile_height + 3
        pen.text((x, y), text, QUIET, text_font(size), anchor="ma")
