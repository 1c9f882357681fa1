"""Room: how far images are enlarged, the gaps and margins, and how large a picture may become."""

import math
from collections.abc import Sequence

from vae_runner.errors import UserError

__all__ = ["ABOVE", "APART", "BELOW", "CHART", "DIGIT", "GAP", "LARGEST", "MARGIN", "RIGHT", "check_size"]
__all__ += ["chosen_scale", "most_frames"]

WIDTH = 1900  # pixels that an enlarged grid may take
TILE = 128  # pixels that an enlarged image may take
LARGEST = 4  # times that an image is enlarged at most
GAP = 2  # pixels between images
APART = 14  # pixels between leading columns and the others
MARGIN = 20
CHART = 380, 230  # width and height of a chart of a page
ABOVE, RIGHT, BELOW = 26, 24, 40  # margins there; to the left is room for labels
DIGIT = 6.6  # width of a digit there
MOST = 150_000_000  # pixels of a picture, all its frames together; Pillow opens none of more than 179 million


def check_size(
    setting: str, rows: int, columns: int, size: Sequence[int], scale: int | None = None, frames: int = 1
) -> None:
    """Raises `UserError` where so many rows of images of that (height, width) make an absurdly large picture, or so
    many frames of them an absurdly large moving one; the text is left out.

    The line begins with `setting`, of which the number of images or frames comes; with the scale where that alone is
    too large.
    """
    chosen = scale or chosen_scale(size[0], size[1], columns)
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
    height, width = _extent(rows, columns, size, scale or chosen_scale(size[0], size[1], columns))
    return max(MOST // (height * width), 1)


def _extent(rows: int, columns: int, size: Sequence[int], scale: int) -> tuple[int, int]:
    """Pixels down and across that the images take."""
    return rows * (size[0] * scale + GAP), columns * (size[1] * scale + GAP)


def chosen_scale(height: int, width: int, columns: int) -> int:
    """The whole factor by which images are enlarged where none is asked for."""
    return max(min(LARGEST, TILE // max(height, width), WIDTH // (columns * (width + GAP))), 1)
