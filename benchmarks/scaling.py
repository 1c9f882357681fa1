"""How rate and memory grow with the batch, the image, the latents and the data set: a table and a picture.

    python benchmarks/scaling.py --out benchmarks/scaling.png          about 12 minutes on one core

Each row is the whole engine, with `conv`, in a process of its own (`vae_runner.bench`), on rendered dSprites or, for
sizes other than 64, on photos that are made here. Rates are medians over turns, without validation and pictures.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vae_runner.bench.rounds import Spread, Timing, take_turns

AXES = {
    "batch size": [f"engine.batch_size={size}" for size in (16, 64, 256, 1024)],
    "latents": [f"distribution.dims={dims}" for dims in (10, 100)],
    "images in the set": [f"dataset.limit={count}" for count in (10_000, 100_000)] + ["dataset.limit=null"],
}
SIZES = (32, 64, 128)
PHOTOS = 600


def measured(settings: Sequence[str], rounds: int) -> Timing:
    """The engine with those settings, alone."""
    net = ["architecture=conv", "distribution=normal"]
    arguments = ["engine", *net, *settings, "engine.threads=1", "engine.compile=false", "visualisation=[]"]
    return take_turns({"engine": arguments}, rounds, seconds=1.5)["engine"]


def rows(rounds: int) -> Iterator[tuple[str, str, float, float]]:
    """Axis, value, images per second, GB at most."""
    for axis, choices in AXES.items():
        for setting in choices:
            size = int(setting.rpartition("=")[2]) if axis == "batch size" else 64
            value = "737,280" if setting.endswith("null") else f"{int(setting.rpartition('=')[2]):,}"
            yield axis, value, *_figures(measured([setting], rounds), size)
    with tempfile.TemporaryDirectory() as folder:
        _make_photos(Path(folder) / "photos")
        for size in SIZES:
            settings = [
                "dataset=folder",
                f"dataset.root={folder}/photos",
                f"dataset.cache_dir={folder}/cache",
                f"dataset.image_size={size}",
                "dataset.validation=100",
                "likelihood=gaussian",
            ]
            yield "image size, 3 channels", f"{size}", *_figures(measured(settings, rounds), 64)


def _figures(timing: Timing, batch_size: int) -> tuple[float, float]:
    return batch_size / Spread.of(timing.steps).median, timing.peak_memory / 1e9


def _make_photos(folder: Path) -> None:
    """Smooth colours with a few shapes on them."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(PHOTOS):
        image = Image.fromarray(generator.integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize((160, 160), Image.BICUBIC)
        x, y, radius = generator.integers(20, 100, 3)
        ImageDraw.Draw(image).ellipse((x, y, x + radius, y + radius), tuple(generator.integers(0, 255, 3).tolist()))
        image.save(folder / f"{index:05}.jpg", quality=90)


def _draw(table: Sequence[tuple[str, str, float, float]], file: Path) -> None:
    """Bars of images per second, one panel for each axis."""
    from vae_runner.drawing.marks.canvas import Canvas
    from vae_runner.drawing.palette import COLOURS, INK, QUIET

    axes = list(dict.fromkeys(row[0] for row in table))
    high = max(rate for _, _, rate, _ in table)
    width, height = 250, 300
    canvas = Canvas(width * len(axes) + 30, height + 60)
    canvas.text(24, 24, "images per second, and GB of memory, one thread", INK, 14)
    for panel, axis in enumerate(axes):
        left = 24 + panel * width
        chosen = [row for row in table if row[0] == axis]
        pitch = (width - 30) / len(chosen)
        for place, (_, value, rate, memory) in enumerate(chosen):
            x, tall = left + place * pitch, rate / high * (height - 110)
            canvas.box(x, height - 10 - tall, x + pitch - 8, height - 10, COLOURS[0])
            canvas.text(x, height - 16 - tall, f"{rate:,.0f}", INK, 10)
            canvas.text(x, height + 6, value, INK, 10)
            canvas.text(x, height + 20, f"{memory:.1f} GB", QUIET, 10)
        canvas.text(left, height + 42, axis, INK, 12)
    file.write_bytes(canvas.png())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a PNG file")
    options = parser.parse_args()
    table = []
    print("| | | images/s | memory, GB |\n|---|---|---|---|")
    for row in rows(options.rounds):
        table.append(row)
        print(f"| {row[0]} | {row[1]} | {row[2]:,.0f} | {row[3]:.2f} |", flush=True)
    if options.out:
        _draw(table, options.out)


if __name__ == "__main__":
    main()
