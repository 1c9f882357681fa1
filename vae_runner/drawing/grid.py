"""A grid of images with its labels, drawn to a PNG file.

Between tiles is a gap of `GAP`; leading columns are set apart by `APART`; a row may have a heading above it and a line
of captions below. So the places of the tiles are lists, `lefts` of the columns and `tops` of the rows.
"""

import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from vae_runner.drawing.encoded import Encoded
from vae_runner.drawing.layout import APART, GAP, MARGIN, check_size, chosen_scale
from vae_runner.drawing.lettering import Text, line_height, small_size, widest, wrapped
from vae_runner.drawing.paint import Tile, as_png, enlarged, faded, melts, paint, to_pixels
from vae_runner.drawing.palette import FRAME, INK, QUIET, rgb
from vae_runner.errors import UserError
from vae_runner.files import write_atomically

__all__ = ["FADED", "Grid", "cells_of", "draw", "png", "save", "tiles_of"]

FADED = 0.35  # what is left of the contrast of a row that is dimmed
READABLE = 420  # pixels of a line of text below which a narrow grid does not break it


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

    images: Any
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
    is_moving: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise ValueError("a grid needs at least one image")

    @property
    def columns(self) -> int:
        """How many images stand in the longest row."""
        return min(self.row_size, len(self.images))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return math.ceil(len(self.images) / self.columns)

    def values(self) -> np.ndarray:
        """The images as float32."""
        return np.asarray(self.images, np.float32)

    def _repr_png_(self) -> bytes:
        """Returns the picture that a notebook shows."""
        return png(self)

    def encode(self) -> Encoded:
        """Returns it as a PNG, with where each image lies in it."""
        layout = lay_out(self, *self.images.shape[-2:])
        return Encoded({".png": as_png(_drawn(self, layout))}, {**self.details, "layout": layout.record()})


def draw(grid: Grid) -> Image.Image:
    """Returns the picture, RGB."""
    return _drawn(grid, lay_out(grid, *grid.images.shape[-2:])).convert("RGB")


def png(grid: Grid) -> bytes:
    """Returns the picture as a PNG file's bytes."""
    return as_png(_drawn(grid, lay_out(grid, *grid.images.shape[-2:])))


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


@dataclass(frozen=True)
class Layout:
    """Sizes and places in pixels of the picture."""

    scale: int
    tile_width: int
    tile_height: int
    lefts: list[int]
    tops: list[int]
    lead: int
    font_size: int
    label_widths: list[int]
    caption: list[str]
    caption_top: int
    width: int
    height: int

    def record(self) -> dict[str, Any]:
        """For the JSON file: tile (r, c) of the first block of rows without anything between them, and of the columns
        that are not set apart, starts at left + c (tile_width + gap), top + r (tile_height + gap). `lefts` and `tops`
        are the places of all columns and rows, leading columns and all.
        """
        pitch = self.tile_height + GAP
        regular = next(
            (r for r, top in enumerate(self.tops) if top != self.tops[0] + r * pitch),
            len(self.tops),
        )
        return {
            "left": self.lefts[self.lead],
            "top": self.tops[0],
            "tile_width": self.tile_width,
            "tile_height": self.tile_height,
            "gap": GAP,
            "columns": len(self.lefts) - self.lead,
            "rows": regular,
            "scale": self.scale,
            "font_size": self.font_size,
            "lead": self.lead,
            "lefts": self.lefts,
            "tops": self.tops,
        }


def lay_out(grid: Grid, height: int, width: int) -> Layout:
    """The layout for images of that height and width. Raises `UserError` where the picture would be absurdly large."""
    check_size("images", grid.rows, grid.columns, (height, width), grid.scale)
    scale = grid.scale or chosen_scale(height, width, grid.columns)
    tile_width, tile_height = width * scale, height * scale
    size = min(max(round(tile_width / 6), 13), 21)
    line, small = line_height(size), line_height(small_size(size))
    label_widths = [widest(column, size) for column in zip(*map(cells_of, grid.row_labels), strict=True)]
    labels = sum(label_widths) + size * len(label_widths)  # a space behind each
    left = MARGIN + labels
    lefts = [
        left + column * (tile_width + GAP) + (APART - GAP) * (column >= grid.lead > 0) for column in range(grid.columns)
    ]
    tops, y = [], MARGIN + line * bool(grid.title) + line * bool(grid.column_labels)
    captioned = {index // grid.columns for index, text in enumerate(grid.tile_captions) if text}
    for row in range(grid.rows):
        if row in grid.headings:
            y += line + (size if row else 0)
        tops.append(y)
        y += tile_height + GAP + (small + size // 3 if row in captioned else 0)
    bottom, right = y - GAP, lefts[-1] + tile_width
    room = max(right - left, READABLE)
    caption = wrapped(grid.caption, size, room)
    texts = [grid.title, *caption, *grid.headings.values()]
    return Layout(
        scale=scale,
        tile_width=tile_width,
        tile_height=tile_height,
        lefts=lefts,
        tops=tops,
        lead=grid.lead,
        font_size=size,
        label_widths=label_widths,
        caption=caption,
        caption_top=bottom + size // 2,
        width=max(right, left + widest(texts, size)) + MARGIN,
        height=bottom + (size // 2 + line * len(caption) if caption else 0) + MARGIN,
    )


def _drawn(grid: Grid, layout: Layout) -> Image.Image:
    """The picture, gray (`L`) where all in it is, else RGB."""
    tiles = tiles_of(grid)
    texts = [*_around(grid, layout), *_rows(grid, layout), *_columns(grid, layout), *_captions(grid, layout)]
    mode = "L" if tiles[0].shape[-1] == 1 else "RGB"
    return paint((layout.width, layout.height), _tiles(grid, layout, tiles), texts, mode)


def tiles_of(grid: Grid) -> list[np.ndarray]:
    """The images as they are shown, (H, W, 1 or 3) uint8 each: those of dimmed rows are faded."""
    shown = to_pixels(grid.values(), grid.title)
    return [faded(tile, FADED) if _is_dim(grid, index) else tile for index, tile in enumerate(shown)]


def _is_dim(grid: Grid, index: int) -> bool:
    """Whether the image stands in a dimmed row, and not in front of it."""
    row, column = divmod(index, grid.columns)
    return row in grid.dimmed and column >= grid.lead


def _tiles(grid: Grid, layout: Layout, tiles: Sequence[np.ndarray]) -> Iterator[Tile]:
    """Where some would melt into the paper, all have an edge of one pixel around them."""
    has_frames = any(map(melts, tiles))
    frame = np.full((layout.tile_height + 2, layout.tile_width + 2, tiles[0].shape[-1]), rgb(FRAME)[0], np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, grid.columns)
        x, y = layout.lefts[column], layout.tops[row]
        if has_frames:
            yield x - 1, y - 1, frame
        yield x, y, enlarged(tile, layout.scale)


def _around(grid: Grid, layout: Layout) -> Iterator[Text]:
    """The title, the caption, and the headings."""
    size, line, left = layout.font_size, line_height(layout.font_size), layout.lefts[0]
    yield Text(left, MARGIN - 3, grid.title, size, INK)
    for number, text in enumerate(layout.caption):
        yield Text(left, layout.caption_top + number * line, text, size)
    for row, heading in grid.headings.items():
        above = line if row == 0 and grid.column_labels else 0
        yield Text(left, layout.tops[row] - above - 8, heading, size, INK, "ls")


def _rows(grid: Grid, layout: Layout) -> Iterator[Text]:
    """The labels at the left: cells in columns, the first to the left, figures to the right; one alone to the right."""
    for row, label in enumerate(grid.row_labels):
        x, y = MARGIN, layout.tops[row] + layout.tile_height / 2
        parts = cells_of(label)
        for number, (text, width) in enumerate(zip(parts, layout.label_widths, strict=True)):
            to_right = len(parts) == 1 or number == 1
            colour, anchor = QUIET if row in grid.dimmed else INK, "rm" if to_right else "lm"
            yield Text(x + width * to_right, y, text, layout.font_size, colour, anchor)
            x += width + layout.font_size


def _columns(grid: Grid, layout: Layout) -> Iterator[Text]:
    """The labels above: those of leading columns where they fit, and as many of the others as do."""
    size, step = layout.font_size, layout.tile_width + GAP
    every = math.ceil((widest(grid.column_labels[grid.lead :], size) + 4) / step)
    for column, label in enumerate(grid.column_labels):
        is_lead = column < grid.lead
        if widest([label], size) <= step if is_lead else (column - grid.lead) % every == 0:
            middle = layout.lefts[column] + layout.tile_width / 2
            yield Text(middle, layout.tops[0] - 8, label, size, anchor="ms")


def _captions(grid: Grid, layout: Layout) -> Iterator[Text]:
    """The small texts below tiles."""
    for index, text in enumerate(grid.tile_captions):
        row, column = divmod(index, grid.columns)
        x, y = layout.lefts[column] + layout.tile_width / 2, layout.tops[row] + layout.tile_height + 3
        yield Text(x, y, text, small_size(layout.font_size), anchor="ma")


def cells_of(label: str | Sequence[str]) -> tuple[str, ...]:
    """A row's label as the cells of a table."""
    return (label,) if isinstance(label, str) else tuple(label)
