"""A contact sheet: rows of images behind the names of what they are of, or whole pictures under theirs.

Small images are enlarged as far as there is room for so many; whole pictures are brought to one width.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vae_runner.drawing.layout import GAP, LARGEST
from vae_runner.drawing.lettering import Text, plain, shortened, widest
from vae_runner.drawing.paint import Tile, as_png, enlarged, paint
from vae_runner.drawing.palette import INK

__all__ = ["Row", "matrix", "most_images", "rows_of_images"]

WIDTH, SLACK = 1600, 100  # pixels, and how many more where no image has to go for them
FEWEST = 8  # images in a row, before enlarging them counts for more than their number
MARGIN, APART = 16, 12  # pixels: around all, between runs
LABEL_WIDTH = 420  # pixels at most
FONT_SIZE = 15
LINE = FONT_SIZE + 5
TOP = MARGIN + LINE + 6  # below the title
COMPRESSION = 6  # of a file that is written once in a run's time and is large


@dataclass(frozen=True)
class Row:
    """Images (RGB, all of one size) behind their label's lines, in the first row of a run, and a name of their own."""

    images: Sequence[Image.Image]
    label: Sequence[str] = ()
    name: str = ""


def most_images(labels: Sequence[Sequence[str]], names: Sequence[str], tile: tuple[int, int], wanted: int) -> int:
    """How many images of that size, of the wanted number, stand in a row; fewer where they are shown larger for it."""
    return _fit(_label_width(labels), _widest(names), tile, wanted)[0]


def rows_of_images(rows: Sequence[Row], title: str, caption: str = "", columns: Sequence[str] = ()) -> bytes:
    """Returns the sheet of rows, a PNG file. A row that has a label begins a new run, or what all runs share."""
    tile = rows[0].images[0].size
    labels, names = _label_width([row.label for row in rows]), _widest([row.name for row in rows])
    count, scale = _fit(labels, names, tile, max(len(row.images) for row in rows))
    width, height = tile[0] * scale, tile[1] * scale
    left, top = MARGIN + labels + (names + 10 if names else 0), TOP + LINE * bool(columns)
    starts, bottom = _starts(rows, top, height)
    lefts = [left + index * (width + GAP) for index in range(count)]
    size = (
        max(left + count * (width + GAP), MARGIN + _widest([title, caption])) + MARGIN,
        bottom - GAP + MARGIN + LINE * bool(caption),
    )
    tiles = [
        (x, y, enlarged(np.asarray(image), scale))
        for row, y in zip(rows, starts, strict=True)
        for x, image in zip(lefts, row.images, strict=False)
    ]
    heads = [_text(x + width / 2, top - 5, name, "mb") for x, name in zip(lefts, columns, strict=False)]
    beside = [text for row, y in zip(rows, starts, strict=True) for text in _beside(row, left, y, height)]
    return _sheet(size, tiles, title, [*heads, *beside, _text(MARGIN, bottom + 6, caption)])


def matrix(pictures: Sequence[tuple[Sequence[str], Image.Image]], title: str, caption: str = "") -> bytes:
    """Returns the sheet of whole pictures, each under its label, a PNG file; flat ones one below the other."""
    is_flat = all(image.width > 2.5 * image.height for _, image in pictures)
    columns = 1 if is_flat or len(pictures) == 1 else 2 if len(pictures) <= 4 else 3
    width = (WIDTH - 2 * MARGIN - (columns - 1) * APART) // columns
    width = min(width, max(image.width for _, image in pictures))
    resized = [_to_width(image, width) for _, image in pictures]
    label_height = max(len(label) for label, _ in pictures) * LINE
    cell = label_height + 4 + max(image.height for image in resized) + APART
    right = max(MARGIN + columns * (width + APART) - APART, MARGIN + _widest([title, caption])) + MARGIN
    bottom = TOP + math.ceil(len(pictures) / columns) * cell
    places = [
        (MARGIN + index % columns * (width + APART), TOP + index // columns * cell) for index in range(len(pictures))
    ]
    tiles = [(x, y + label_height, np.asarray(image)) for (x, y), image in zip(places, resized, strict=True)]
    above = [text for (x, y), (label, _) in zip(places, pictures, strict=True) for text in _lines(x, y, label, width)]
    size = (right, bottom - APART + MARGIN + (LINE + APART) * bool(caption))
    return _sheet(size, tiles, title, [*above, _text(MARGIN, bottom + 6, caption)])


def _sheet(size: tuple[int, int], tiles: Sequence[Tile], title: str, texts: Sequence[Text]) -> bytes:
    head = Text(MARGIN, MARGIN - 4, plain(title), FONT_SIZE, INK)
    return as_png(paint(size, tiles, [head, *texts], "RGB"), COMPRESSION)


def _starts(rows: Sequence[Row], top: int, height: int) -> tuple[list[int], int]:
    """Where each row begins, and where the next one would; a label must find room beside its run."""
    starts: list[int] = []
    at = top
    for index, row in enumerate(rows):
        at += APART if row.label and starts else 0
        starts.append(at)
        stands_alone = index + 1 == len(rows) or bool(rows[index + 1].label)
        at += max(height, LINE * len(row.label) if stands_alone else 0) + GAP
    return starts, at


def _beside(row: Row, left: int, y: int, height: int) -> Iterator[Text]:
    yield from _lines(MARGIN, y, row.label)
    yield _text(left - 10, y + height / 2, row.name, "rm")


def _lines(x: int, y: int, label: Sequence[str], width: int = LABEL_WIDTH) -> Iterator[Text]:
    for number, line in enumerate(label):
        yield Text(x, y + number * LINE, shortened(plain(line), FONT_SIZE, width), FONT_SIZE, INK)


def _text(x: float, y: float, text: str, anchor: str = "la") -> Text:
    return Text(x, y, plain(text), FONT_SIZE, anchor=anchor)


def _fit(labels: int, names: int, tile: tuple[int, int], wanted: int) -> tuple[int, int]:
    """How many images, and how many times enlarged."""
    room = WIDTH - 2 * MARGIN - labels - (names + 10 if names else 0)
    for scale in range(LARGEST, 0, -1):
        each = tile[0] * scale + GAP
        count = wanted if wanted * each <= room + SLACK else room // each
        if count >= min(wanted, FEWEST):
            return min(count, wanted), scale
    return max(min(room // (tile[0] + GAP), wanted), 1), 1


def _to_width(image: Image.Image, width: int) -> Image.Image:
    height = max(round(image.height * width / image.width), 1)
    return image if image.width == width else image.resize((width, height), Image.Resampling.LANCZOS)


def _label_width(labels: Sequence[Sequence[str]]) -> int:
    return min(_widest([line for label in labels for line in label]), LABEL_WIDTH) + 14


def _widest(texts: Sequence[str]) -> int:
    return widest([plain(text) for text in texts], FONT_SIZE)
