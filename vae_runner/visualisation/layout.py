"""Where everything of a grid stands, in pixels: the tiles in their rows and columns, and the text around them.

Between tiles is a gap of `GAP`; leading columns are set apart by `APART`; a row may have a heading above it and a line
of captions below. So the places of the tiles are lists, `lefts` of the columns and `tops` of the rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import ImageFont

from vae_runner.errors import UserError

if TYPE_CHECKING:
    from vae_runner.visualisation.grid import Grid

__all__ = ["GAP", "LARGEST", "MARGIN", "Layout", "cells", "check_size", "chosen_scale", "lay_out", "most_frames"]
__all__ += ["small_size", "text_font", "widest"]

WIDTH = 1900  # pixels that an enlarged grid may take
TILE = 128  # pixels that an enlarged image may take
LARGEST = 4  # times that an image is enlarged at most
GAP = 2  # pixels between images
APART = 14  # pixels between leading columns and the others
MARGIN = 20
MOST = 150_000_000  # pixels of a picture, all its frames together; Pillow opens none of more than 179 million
READABLE = 420  # pixels of a line of text below which a narrow grid does not break it


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

    @property
    def line(self) -> int:
        return line_height(self.font_size)

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
            "lead": self.lead,
            "lefts": self.lefts,
            "tops": self.tops,
        }


def lay_out(grid: "Grid", height: int, width: int) -> Layout:
    """The layout for images of that height and width. Raises `UserError` where the picture would be absurdly large."""
    check_size("images", grid.rows, grid.columns, (height, width), grid.scale)
    scale = grid.scale or chosen_scale(height, width, grid.columns)
    tile_width, tile_height = width * scale, height * scale
    size = min(max(round(tile_width / 6), 13), 21)
    font, line, small = text_font(size), line_height(size), line_height(small_size(size))
    label_widths = [widest(column, font) for column in zip(*map(cells, grid.row_labels), strict=True)]
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
    caption = wrapped(grid.caption, font, room)
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
        width=max(right, left + widest(texts, font)) + MARGIN,
        height=bottom + (size // 2 + line * len(caption) if caption else 0) + MARGIN,
    )


def check_size(
    setting: str, rows: int, columns: int, size: Sequence[int], scale: int | None = None, frames: int = 1
) -> None:
    """Raises `UserError` where so many rows of images of that (height, width) make an absurdly large picture, or so
    many frames of them an absurdly large moving one; the text is left out.

    The line begins with `setting`, of which the number of images or frames comes; with the scale where that alone is
    too large.
    """
    chosen = scale or chosen_scale(*size, columns)
    height, width = _extent(rows, columns, size, chosen)
    if frames * height * width <= MOST:
        return
    fits = frames * math.prod(_extent(rows, columns, size, 1)) <= MOST
    made = "make a picture of" if frames == 1 else f"in each of {frames:,} frames make pictures of"
    raise UserError(
        f"{f'scale={scale}' if scale and fits else setting}: {rows:,} x {columns:,} images {made} "
        f"{width:,} x {height:,} pixels, more than {MOST // 1_000_000} million{'' if frames == 1 else ' together'}; "
        f"take fewer {'images' if frames == 1 else 'frames'}{' or scale=1' if fits else ''}"
    )


def most_frames(rows: int, columns: int, size: Sequence[int], scale: int | None = None) -> int:
    """How many frames of so many images of that (height, width) a moving picture may have, one at least."""
    return max(MOST // math.prod(_extent(rows, columns, size, scale or chosen_scale(*size, columns))), 1)


def _extent(rows: int, columns: int, size: Sequence[int], scale: int) -> tuple[int, int]:
    """Pixels down and across that the images take."""
    return rows * (size[0] * scale + GAP), columns * (size[1] * scale + GAP)


def chosen_scale(height: int, width: int, columns: int) -> int:
    """The whole factor by which images are enlarged where none is asked for."""
    return max(min(LARGEST, TILE // max(height, width), WIDTH // (columns * (width + GAP))), 1)


def cells(label: str | Sequence[str]) -> tuple[str, ...]:
    """A row's label as the cells of a table."""
    return (label,) if isinstance(label, str) else tuple(label)


@cache
def text_font(size: int) -> Any:
    """Pillow's own font, ASCII."""
    return ImageFont.load_default(size)


def line_height(size: int) -> int:
    return round(size * 1.5)


def small_size(size: int) -> int:
    """Of the text below tiles."""
    return max(round(size * 0.8), 11)


def widest(texts: Sequence[str], font: Any) -> int:
    """Pixels of the longest text."""
    return math.ceil(max((font.getlength(text) for text in texts), default=0))


def wrapped(text: str, font: Any, width: int) -> list[str]:
    """The text in lines of at most that many pixels, where its words allow it."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
