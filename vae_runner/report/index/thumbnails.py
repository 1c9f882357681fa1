"""What a run looks like, in a few small images: of its traversal, or of what else it has drawn."""

import base64
import io
from pathlib import Path

from PIL import Image

from vae_runner.drawing.palette import PAPER
from vae_runner.report.markup import Html, tag
from vae_runner.report.sweep.contact import Tiles, read_tiles, spread

__all__ = ["thumbnail"]

PICTURES = ("traversal", "reconstruction", "samples", "mixture", "random", "data")  # the first that there is
ROWS, COLUMNS, SIDE, GAP = 2, 5, 32, 1  # pixels, of which a screen has two for one
LARGEST = (2 * COLUMNS * SIDE, 2 * ROWS * SIDE)


def thumbnail(folder: Path) -> Html:
    """Returns the image of the run in the folder, inside the page; nothing where it has drawn none."""
    for name in PICTURES:
        if tiles := read_tiles(folder, name):
            return _embedded(_small(tiles), name)
    return Html()


def _small(tiles: Tiles) -> Image.Image:
    """The first rows of images, some columns of them; of a picture that is no grid all of it."""
    if tiles.layout is None:
        whole = tiles.picture.copy()
        whole.thumbnail(LARGEST)
        return whole
    columns = spread(tiles.layout["columns"], COLUMNS)
    rows = [tiles.row(row) for row in range(min(ROWS, tiles.rows))]
    side = 2 * SIDE
    shape = (len(columns) * (side + GAP) - GAP, len(rows) * (side + GAP) - GAP)
    sheet = Image.new("RGB", shape, PAPER)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            image = row[column].copy()
            image.thumbnail((side, side))
            image = image if max(image.size) == side else image.resize(_enlarged(image.size, side))
            sheet.paste(image, (x * (side + GAP), y * (side + GAP)))
    return sheet


def _enlarged(size: tuple[int, int], side: int) -> tuple[int, int]:
    width, height = (max(1, round(length * side / max(size))) for length in size)
    return width, height


def _embedded(image: Image.Image, name: str) -> Html:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    data = Html("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
    return tag("img", src=data, width=image.width // 2, height=image.height // 2, alt=name, class_="thumb")
