"""A contact sheet drawn: rows of images behind the names of what they are of, or whole pictures under theirs.

Small images are enlarged by a whole factor, without smoothing; whole pictures are brought to one width. The same
content gives the same bytes.
"""

import functools
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Row", "matrix", "most_images", "png", "rows_of_images"]

WIDTH, SLACK = 1600, 100  # pixels, and how many more where no image has to go for them
LARGEST = 4  # times that an image is enlarged at most
FEWEST = 8  # images in a row, before enlarging them counts for more than their number
MARGIN, GAP, APART = 16, 2, 12  # pixels: around all, between images, between runs
LABEL_WIDTH = 420  # pixels at most
FONT_SIZE = 15
LINE = FONT_SIZE + 5
PAPER, INK, QUIET = (255, 255, 255), (40, 40, 40), (120, 120, 120)


@dataclass(frozen=True)
class Row:
    """Images (RGB, all of one size) behind their label's lines, in the first row of a run, and a name of their own."""

    images: Sequence[Image.Image]
    label: Sequence[str] = ()
    name: str = ""


def most_images(labels: Sequence[Sequence[str]], names: Sequence[str], tile: tuple[int, int], wanted: int) -> int:
    """How many images of that size, of the wanted number, stand in a row; fewer where they are shown larger for it."""
    return _fit(_label_width(labels), _widest(names), tile, wanted)[0]


def rows_of_images(rows: Sequence[Row], title: str, caption: str = "", columns: Sequence[str] = ()) -> Image.Image:
    """Returns the sheet of rows, RGB. A row that has a label begins a new run, or what all runs share."""
    tile = rows[0].images[0].size
    labels, names = _label_width([row.label for row in rows]), _widest([row.name for row in rows])
    count, scale = _fit(labels, names, tile, max(len(row.images) for row in rows))
    width, height = tile[0] * scale, tile[1] * scale
    left = MARGIN + labels + (names + 10 if names else 0)
    top = MARGIN + LINE + 6 + LINE * bool(columns)
    starts, at = [], top
    for row in rows:
        at += APART if row.label and starts else 0
        starts.append(at)
        at += max(height, LINE * len(row.label) if _stands_alone(rows, row) else 0) + GAP
    size = (
        max(left + count * (width + GAP), MARGIN + _widest([title, caption])) + MARGIN,
        at - GAP + MARGIN + LINE * bool(caption),
    )
    sheet, pen = _paper(size, title)
    for index, name in enumerate(columns[:count]):
        pen.text((left + index * (width + GAP) + width / 2, top - 5), _ascii(name), QUIET, _font(), anchor="mb")
    for row, y in zip(rows, starts, strict=True):
        for index, line in enumerate(row.label):
            pen.text((MARGIN, y + index * LINE), _cut(line), INK, _font())
        pen.text((left - 10, y + height / 2), _ascii(row.name), QUIET, _font(), anchor="rm")
        for index, image in enumerate(row.images[:count]):
            sheet.paste(image.resize((width, height), Image.Resampling.NEAREST), (left + index * (width + GAP), y))
    pen.text((MARGIN, at + 6), _ascii(caption), QUIET, _font())
    return sheet


def matrix(pictures: Sequence[tuple[Sequence[str], Image.Image]], title: str, caption: str = "") -> Image.Image:
    """Returns the sheet of whole pictures, each under its label, RGB; flat ones one below the other."""
    is_flat = all(image.width > 2.5 * image.height for _, image in pictures)
    columns = 1 if is_flat or len(pictures) == 1 else 2 if len(pictures) <= 4 else 3
    width = (WIDTH - 2 * MARGIN - (columns - 1) * APART) // columns
    width = min(width, max(image.width for _, image in pictures))
    resized = [_to_width(image, width) for _, image in pictures]
    lines = max(len(label) for label, _ in pictures)
    cell = lines * LINE + 4 + max(image.height for image in resized) + APART
    right = max(MARGIN + columns * (width + APART) - APART, MARGIN + _widest([title, caption])) + MARGIN
    bottom = MARGIN + LINE + 6 + math.ceil(len(pictures) / columns) * cell
    sheet, pen = _paper((right, bottom - APART + MARGIN + (LINE + APART) * bool(caption)), title)
    for index, ((label, _), image) in enumerate(zip(pictures, resized, strict=True)):
        row, column = divmod(index, columns)
        x, y = MARGIN + column * (width + APART), MARGIN + LINE + 6 + row * cell
        for number, line in enumerate(label):
            pen.text((x, y + number * LINE), _cut(line, width), INK, _font())
        sheet.paste(image, (x, y + lines * LINE))
    pen.text((MARGIN, bottom + 6), _ascii(caption), QUIET, _font())
    return sheet


def png(sheet: Image.Image) -> bytes:
    """Returns the sheet as a PNG file's bytes."""
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def _fit(labels: int, names: int, tile: tuple[int, int], wanted: int) -> tuple[int, int]:
    """How many images, and how many times enlarged."""
    room = WIDTH - 2 * MARGIN - labels - (names + 10 if names else 0)
    for scale in range(LARGEST, 0, -1):
        each = tile[0] * scale + GAP
        count = wanted if wanted * each <= room + SLACK else room // each
        if count >= min(wanted, FEWEST):
            return min(count, wanted), scale
    return max(min(room // (tile[0] + GAP), wanted), 1), 1


def _stands_alone(rows: Sequence[Row], row: Row) -> bool:
    """Whether the row is all that its run has, so that its label must find room beside it."""
    index = next(i for i, other in enumerate(rows) if other is row)
    return index + 1 == len(rows) or bool(rows[index + 1].label)


def _paper(size: tuple[int, int], title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN - 4), _ascii(title), INK, _font())
    return sheet, pen


def _to_width(image: Image.Image, width: int) -> Image.Image:
    height = max(round(image.height * width / image.width), 1)
    return image if image.width == width else image.resize((width, height), Image.Resampling.LANCZOS)


def _label_width(labels: Sequence[Sequence[str]]) -> int:
    return min(_widest([line for label in labels for line in label]), LABEL_WIDTH) + 14


def _widest(texts: Sequence[str]) -> int:
    return math.ceil(max((_font().getlength(_ascii(text)) for text in texts), default=0))


def _cut(text: str, width: int = LABEL_WIDTH) -> str:
    """The text, shortened where it is wider than that."""
    text = _ascii(text)
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _ascii(text: str) -> str:
    """Pillow's own font knows no more."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT_SIZE)
