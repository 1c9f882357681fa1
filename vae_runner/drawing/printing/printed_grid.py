"""A grid of images laid out for print: the images take the width that the labels leave, and keep their own pixels.

Labels that have no room above or below an image stand upright; numbers above the columns are left out evenly where they
would run into each other. A word that ends all cells of a column of labels, such as a unit, stands once above them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vae_runner.drawing.chart.axes import TICK
from vae_runner.drawing.grid import Grid, cells_of, tiles_of
from vae_runner.drawing.lettering import units_wide, wrapped
from vae_runner.drawing.marks.canvas import Canvas
from vae_runner.drawing.marks.raster import fitted
from vae_runner.drawing.paint import melts
from vae_runner.drawing.palette import FRAME, INK, QUIET
from vae_runner.drawing.paper import Paper
from vae_runner.errors import UserError

__all__ = ["printed_grid"]

GAP, APART, EDGE = 2.0, 8.0, 1.0  # units between images, behind leading columns, and at the edges of the paper
SPACE, LINE, THIN = 7.0, 15.0, 0.6  # units behind a label, from a line to the next, and of an edge around an image
LEAST, MOST = 2.5, 30.0  # mm of an image


@dataclass(frozen=True)
class Places:
    """Where all is, in units: `heads` above the label columns, of so many units each, and of the images their sizes."""

    cells: Sequence[Sequence[str]]
    heads: Sequence[str]
    widths: Sequence[float]
    lefts: Sequence[float]
    tops: Sequence[float]
    wide: float
    tall: float
    bottom: float


def printed_grid(grid: Grid, paper: Paper) -> Canvas:
    """The picture on the paper. Raises `UserError` where its images would be too small there."""
    places = _places(grid, paper)
    about = wrapped(grid.caption, TICK, round(paper.units)) if paper.has_title else []
    canvas = Canvas(paper.units, places.bottom + EDGE + LINE * len(about), paper)
    if paper.has_title:
        canvas.text(places.lefts[0], EDGE + TICK, grid.title, INK)
    for number, line in enumerate(about):
        canvas.text(EDGE, places.bottom + LINE * (number + 0.8), line, QUIET)
    _images(canvas, grid, places)
    _beside(canvas, grid, places)
    _above(canvas, grid, places)
    _below(canvas, grid, places)
    return canvas


def _places(grid: Grid, paper: Paper) -> Places:
    cells, heads = _without_unit([cells_of(label) for label in grid.row_labels])
    widths = [max(map(_long, [head, *column])) for head, *column in zip(heads, *cells, strict=True)]
    left, lead = EDGE + sum(widths) + SPACE * len(widths), (APART - GAP) * bool(grid.lead)
    millimetre = 72 / 25.4 / paper.unit  # units
    wide = (paper.units - left - EDGE - lead - GAP * (grid.columns - 1)) / grid.columns
    if wide < LEAST * millimetre:
        least = math.ceil((paper.units + grid.columns * (LEAST * millimetre - wide)) / millimetre)
        raise UserError(
            f"width={paper.millimetres.replace(' ', '')}: too narrow for {grid.columns} images beside each other and "
            f"their labels, take {least} mm or more, or fewer columns"
        )
    wide = min(wide, MOST * millimetre)
    tall = wide * grid.images.shape[-2] / grid.images.shape[-1]
    lefts = [left + column * (wide + GAP) + lead * (column >= grid.lead) for column in range(grid.columns)]
    y, tops = EDGE + (LINE + 4) * paper.has_title + _head_high(grid, wide, heads), []
    for row in range(grid.rows):
        y += (LINE + 2) * (row in grid.headings) + 4 * (row in grid.headings and row > 0)
        tops.append(y)
        y += max(tall, TICK * bool(cells)) + GAP + _caption_high(grid, row, wide)
    return Places(cells, heads, widths, lefts, tops, wide, tall, y - GAP)


def _without_unit(cells: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[str]]:
    """The cells without the word that ends all of a column, and that word for each column, or an empty text."""
    columns, heads = [], []
    for column in zip(*cells, strict=True):
        words = {cell.rpartition(" ")[2] for cell in column if " " in cell}
        unit = next(iter(words)) if len(words) == 1 and all(" " in cell for cell in column) and len(column) > 1 else ""
        is_word = unit.isalpha()
        columns.append([cell.rpartition(" ")[0] if is_word else cell for cell in column])
        heads.append(unit if is_word else "")
    return [list(row) for row in zip(*columns, strict=True)], heads


def _long(text: str) -> float:
    return units_wide(text, TICK)


def _is_upright(grid: Grid, wide: float) -> bool:
    """Whether the names of the leading columns have no room beside each other."""
    return any(_long(label) > wide + GAP for label in grid.column_labels[: grid.lead])


def _head_high(grid: Grid, wide: float, heads: Sequence[str]) -> float:
    longest = max(map(_long, grid.column_labels[: grid.lead]), default=0) if _is_upright(grid, wide) else 0.0
    return max(LINE * any((*grid.column_labels, *heads)), longest + 9 * bool(longest))


def _captions_stand(grid: Grid, wide: float) -> bool:
    """Whether the texts below images have no room beside each other."""
    return any(_long(text) > wide + GAP - 1 for text in grid.tile_captions)


def _caption_high(grid: Grid, row: int, wide: float) -> float:
    texts = [text for text in grid.tile_captions[row * grid.columns : (row + 1) * grid.columns] if text]
    return (max(map(_long, texts)) + 6 if _captions_stand(grid, wide) else LINE) if texts else 0.0


def _images(canvas: Canvas, grid: Grid, places: Places) -> None:
    tiles = tiles_of(grid)
    has_frames = any(map(melts, tiles))
    for index, tile in enumerate(tiles):
        row, column = divmod(index, grid.columns)
        x, y = places.lefts[column], places.tops[row]
        if has_frames:
            canvas.box(x - THIN, y - THIN, x + places.wide + THIN, y + places.tall + THIN, FRAME)
        canvas.image(x, y, places.wide, places.tall, _at_most(tile, canvas.paper, places))


def _at_most(tile: np.ndarray, paper: Paper | None, places: Places) -> np.ndarray:
    """The image with no more pixels than the dots per inch that were asked for; a PNG has them anyway."""
    if paper is None or paper.format == "png" or paper.dpi is None:
        return tile
    width, height = (max(round(side * paper.unit * paper.dpi / 72), 1) for side in (places.wide, places.tall))
    if width >= tile.shape[1]:
        return tile
    return np.asarray(fitted(tile, width, height)).reshape(height, width, tile.shape[2])


def _beside(canvas: Canvas, grid: Grid, places: Places) -> None:
    """The labels in their columns, the first to the left, figures to the right; one alone to the right."""
    for row, parts in enumerate(places.cells):
        x, y = EDGE, places.tops[row] + places.tall / 2 + 4
        for number, (text, width) in enumerate(zip(parts, places.widths, strict=True)):
            to_right = len(parts) == 1 or number == 1
            colour = QUIET if row in grid.dimmed else INK
            canvas.text(x + width * to_right, y, text, colour, TICK, "end" if to_right else "start")
            x += width + SPACE


def _above(canvas: Canvas, grid: Grid, places: Places) -> None:
    """The units of the labels, the names of the columns, and the headings."""
    x, y = EDGE, places.tops[0] - 5
    for number, (head, width) in enumerate(zip(places.heads, places.widths, strict=True)):
        canvas.text(x + width * (number == 1), y, head, QUIET, TICK, "end" if number == 1 else "start")
        x += width + SPACE
    shown = _spread(grid.column_labels[grid.lead :], places.wide + GAP)
    for column, label in enumerate(grid.column_labels):
        middle, long = places.lefts[column] + places.wide / 2, _long(label)
        if column < grid.lead and _is_upright(grid, places.wide):
            canvas.text(middle + 4, y, label, QUIET, TICK, is_upright=True)
        elif column < grid.lead or column - grid.lead in shown:
            place = max(min(middle, canvas.width - long / 2), long / 2)
            canvas.text(place, y, label, QUIET, TICK, "middle")
    for row, heading in grid.headings.items():
        above = _head_high(grid, places.wide, places.heads) * (row == 0)
        canvas.text(places.lefts[0], places.tops[row] - above - 5, heading, INK)


def _spread(labels: Sequence[str], pitch: float) -> range:
    """The numbers of the labels that have room: all, or some evenly apart, from the first to the last if that goes."""
    long, last = max(map(_long, labels), default=0), len(labels) - 1
    beyond = max((long - pitch) / 2, 0)  # the last one is moved in by so much
    every = max(math.ceil((long + beyond + 4) / pitch), 1)
    evenly = next((step for step in range(every, last // 2 + 1) if last % step == 0), every)
    return range(0, last + 1, evenly)


def _below(canvas: Canvas, grid: Grid, places: Places) -> None:
    """The texts below images."""
    stands = _captions_stand(grid, places.wide)
    for index, text in enumerate(grid.tile_captions):
        row, column = divmod(index, grid.columns)
        x, y = places.lefts[column] + places.wide / 2, places.tops[row] + places.tall
        if stands:
            canvas.text(x + 4, y + 3, text, QUIET, TICK, "end", is_upright=True)
        else:
            canvas.text(x, y + TICK + 1, text, QUIET, TICK, "middle")
