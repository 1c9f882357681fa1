"""Contact sheets: what the pictures of several runs show of the same images and codes, the runs one below the other.

A run's `grids/NAME.json` may say where the images stand in `grids/NAME.png`, under `layout`: `left`, `top`,
`tile_width`, `tile_height`, `gap`, `columns`, `rows`, all in pixels, and `scale`, how many times an image is enlarged
there. Image (r, c) begins at left + c (tile_width + gap), top + r (tile_height + gap). Then images are cut out at their
own size; else the pictures are shown whole.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from vae_runner.drawing.sheet import Row, matrix, most_images, rows_of_images
from vae_runner.foreign import MEDIUM, dig, json_object, number, read_bytes, read_text
from vae_runner.report.sweep.jobs import Job, Sweep
from vae_runner.runs.names import GRIDS
from vae_runner.runs.settings import short_value
from vae_runner.text import plain

__all__ = ["CHARTS", "Tiles", "contact_sheet", "read_tiles", "shared_pictures", "spread"]

MOST_RUNS = 40  # on a sheet
MOST_LINES = 5  # of a label
LONGEST = 100  # characters of a picture's name
MOST_PIXELS = 30_000_000  # of a picture that is read
TRAVERSED = 3  # latents shown of each run
WANTED = 16  # images of each run, where they are all of a kind
ALL_OF_A_KIND = frozenset({"samples", "mixture", "random", "data"})  # pictures whose rows mean nothing
CHARTS = frozenset({"curves", "kl", "schedule", "scatter"})  # whose scales are each run's own
NAMES = ("left", "top", "tile_width", "tile_height", "gap", "columns", "rows", "scale")


@dataclass(frozen=True)
class Tiles:
    """A run's picture, and where its images are; `label` are the lines that say which run it is."""

    label: Sequence[str]
    details: Mapping[str, Any]
    picture: Image.Image

    @cached_property
    def layout(self) -> dict[str, int] | None:
        """None where there is none, or where it cannot be this picture's."""
        values = {name: number(dig(self.details, "layout", name)) for name in NAMES}
        if any(value is None or not 0 <= value <= MOST_PIXELS for value in values.values()):
            return None
        at = {name: int(value) for name, value in values.items()}
        width, height, columns, rows = (at[name] for name in ("tile_width", "tile_height", "columns", "rows"))
        right = at["left"] + columns * (width + at["gap"]) - at["gap"]
        bottom = at["top"] + rows * (height + at["gap"]) - at["gap"]
        if min(width, height, columns, rows) < 1 or right > self.picture.width or bottom > self.picture.height:
            return None
        is_whole = at["scale"] == values["scale"] > 0 and not width % at["scale"] and not height % at["scale"]
        return at | ({} if is_whole else {"scale": 1})  # else the images are taken as they stand there

    @property
    def size(self) -> tuple[int, int]:
        """Of an image as the model makes it, pixels."""
        return self.layout["tile_width"] // self.layout["scale"], self.layout["tile_height"] // self.layout["scale"]

    def row(self, row: int) -> list[Image.Image]:
        """The images of a row at their own size; none where there is no such row."""
        return [self._tile(row, column) for column in range(self.layout["columns"])] if row < self.rows else []

    @property
    def rows(self) -> int:
        """How many rows of images the picture has."""
        return self.layout["rows"]

    def _tile(self, row: int, column: int) -> Image.Image:
        width, height, gap = (self.layout[name] for name in ("tile_width", "tile_height", "gap"))
        x, y = self.layout["left"] + column * (width + gap), self.layout["top"] + row * (height + gap)
        tile = self.picture.crop((x, y, x + width, y + height))
        return tile.resize(self.size, Image.Resampling.NEAREST)  # takes one pixel of each enlarged one


def shared_pictures(sweep: Sweep) -> list[str]:
    """The names of pictures that two runs have, or the only run that has any; charts are drawn anew, on one scale."""
    names = [
        {
            file.stem
            for file in (job.folder / GRIDS).glob("*.png")
            if plain(file.stem, LONGEST) == file.stem and not _is_chart(file.stem)
        }
        for job in sweep.jobs
    ]
    least = min(2, sum(map(bool, names)))
    return sorted(name for name in set().union(*names) if sum(name in own for own in names) >= least)


def _is_chart(name: str) -> bool:
    """Whether the picture of that name is a chart of a run, whose scales are its own."""
    return name.replace("_", "-").partition("-")[0] in CHARTS


def contact_sheet(sweep: Sweep, name: str) -> bytes | None:
    """Returns the PNG file of the runs' pictures of that name; None where no run has one that can be read."""
    having = [job for job in sweep.jobs if os.path.exists(job.folder / GRIDS / f"{name}.png")]
    tiles = [own for job in having[:MOST_RUNS] if (own := _read(sweep, job, name))]
    if not tiles:
        return None
    left_out = len(having) - len(tiles)
    caption = f"{left_out} more runs are not shown" if left_out else ""
    if any(own.layout is None for own in tiles) or len({own.size for own in tiles}) > 1:
        return matrix([(own.label, own.picture) for own in tiles], name, caption)
    rows, columns = _rows(name, tiles)
    return rows_of_images(rows, name, caption, columns)


def read_tiles(folder: Path, name: str) -> Tiles | None:
    """Returns the picture of that name of the run in the folder; None where it has none that can be read."""
    file = folder / GRIDS / f"{name}.png"
    try:
        with Image.open(io.BytesIO(read_bytes(file, MEDIUM)), formats=["PNG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            return Tiles((), json_object(read_text(file.with_suffix(".json"))) or {}, image.convert("RGB"))
    except Exception:  # Pillow raises nearly anything on a damaged file
        return None


def _read(sweep: Sweep, job: Job, name: str) -> Tiles | None:
    if (tiles := read_tiles(job.folder, name)) is None:
        return None
    details = tiles.details
    lines = [f"{sweep.short[key]}={short_value(value)}" for key, value in job.apart.items()] or [job.name]
    if len(lines) > MOST_LINES:
        lines = [job.name, *lines[: MOST_LINES - 2], "..."]
    if len({other.run.step for other in sweep.jobs}) > 1 and (step := number(details.get("step"))) is not None:
        lines.append(f"step {step:,.0f}")
    return replace(tiles, label=[*lines, *([f"best {sweep.ranking.name}"] if job.is_best else [])])


def _rows(name: str, tiles: Sequence[Tiles]) -> tuple[list[Row], list[str]]:
    """The rows of the sheet, and the names of its columns."""
    kind = name.replace("_", "-").partition("-")[0]
    if kind == "traversal":
        return _traversals(tiles)
    if kind == "reconstruction" and all(own.rows >= 2 for own in tiles):
        return _reconstructions(tiles), []
    rows = range(tiles[0].rows if kind in ALL_OF_A_KIND else 1)
    shown = [[image for row in rows for image in own.row(row)] for own in tiles]
    count = most_images([own.label for own in tiles], (), tiles[0].size, min(WANTED, min(map(len, shown))))
    cut = [images[:count] for images in shown]
    if len(tiles) > 1 and all(_same(images, cut[0]) for images in cut):
        return [Row(cut[0], ["all runs"])], []
    return [Row(images, own.label) for own, images in zip(tiles, cut, strict=True)], []


def _traversals(tiles: Sequence[Tiles]) -> tuple[list[Row], list[str]]:
    """The first latents of each run, which are those that carry most."""
    named = [(own, [_latent(own.details, row) for row in range(min(TRAVERSED, own.rows))]) for own in tiles]
    every = [name for _, names in named for name in names]
    most = min(own.layout["columns"] for own in tiles)
    count = most_images([own.label for own in tiles], every, tiles[0].size, most)
    columns = spread(most, count)
    rows = [
        Row([own.row(row)[column] for column in columns], own.label if row == 0 else (), name)
        for own, names in named
        for row, name in enumerate(names)
    ]
    values = [_row_details(own.details, row).get("values") for own, names in named for row in range(len(names))]
    same = values[0] if values and all(one == values[0] for one in values) and isinstance(values[0], list) else []
    known = len(same) == most and all(number(value) is not None for value in same)
    return rows, [f"{round(same[column], 2) + 0.0:+.2f}" for column in columns] if known else []


def _reconstructions(tiles: Sequence[Tiles]) -> list[Row]:
    """The input images once, where all runs have the same, and what each run makes of them."""
    most = min(own.layout["columns"] for own in tiles)
    names = ("input", "output")
    count = most_images([own.label for own in tiles], names, tiles[0].size, most)
    inputs = [own.row(0)[:count] for own in tiles]
    outputs = [own.row(1)[:count] for own in tiles]
    if all(_same(own, inputs[0]) for own in inputs):
        first = Row(inputs[0], ["all runs"], "input")
        return [first, *(Row(row, own.label, "output") for own, row in zip(tiles, outputs, strict=True))]
    pairs = zip(tiles, inputs, outputs, strict=True)
    return [row for own, above, below in pairs for row in (Row(above, own.label, "input"), Row(below, (), "output"))]


def _row_details(details: Mapping[str, Any], row: int) -> Mapping[str, Any]:
    """What the file beside a traversal says of a row: `space`, `dim`, `kl_nats`, `values`, `factor`."""
    rows = details.get("rows")
    found = rows[row] if isinstance(rows, list) and row < len(rows) else None
    return found if isinstance(found, Mapping) else {}


def _latent(details: Mapping[str, Any], row: int) -> str:
    """'z3   2.10 nats   posX', as far as it is known."""
    about = _row_details(details, row)
    if not isinstance(about.get("dim"), int):
        return ""
    several = any(_row_details(details, other).get("space") for other in range(len(details["rows"])))
    name = f"space{about.get('space')} z{about['dim']}" if several else f"z{about['dim']}"
    value, factor = number(about.get("kl_nats")), about.get("factor")
    parts = [
        name,
        *([f"{value:.2f} nats"] if value is not None else []),
        *([factor] if isinstance(factor, str) else []),
    ]
    return "   ".join(parts)


def spread(most: int, count: int) -> list[int]:
    """Returns at most `count` of so many columns, evenly apart, about the middle one where there is one: what is best
    in both, their number and the range that they span.
    """
    numbers = [number for number in range(1, count + 1) if number % 2 or most % 2 == 0]
    apart = {number: (most - 1) // max(number - 1, 1) for number in numbers}
    best = max(numbers, key=lambda number: number * apart[number] * (number - 1))
    first = (most - 1 - apart[best] * (best - 1)) // 2
    return [first + apart[best] * i for i in range(best)]


def _same(images: Sequence[Image.Image], others: Sequence[Image.Image]) -> bool:
    pairs = zip(images, others, strict=False)
    return len(images) == len(others) and all(one.tobytes() == other.tobytes() for one, other in pairs)
