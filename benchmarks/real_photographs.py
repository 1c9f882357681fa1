"""A fixed set of 2,000 colour images cut out of real photographs that scikit-learn and scikit-image bring with them.

    python benchmarks/real_photographs.py FOLDER       then: vae-train dataset=folder dataset.root=FOLDER

A cat, a cup of coffee, an astronaut, a rocket's start, a motorcycle, a flower, a temple: of each as many windows, at
random places, from a quarter of the photo's shorter side up to all of it wide, as 96 x 96 PNG files. They are the same
on every machine with the same photographs. It is a small set of few motifs: good to compare settings, no measure of
what a model makes of faces or rooms.
"""

import sys
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image

__all__ = ["windows"]

PHOTOGRAPHS = (
    *(f"skimage/data/{name}" for name in ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")),
    "skimage/data/motorcycle_left.png",
    *(f"sklearn/datasets/images/{name}" for name in ("flower.jpg", "china.jpg")),
)
SIDE = 96  # pixels of a window, once resized
SMALLEST = 0.7  # of the shorter side of the photograph


def windows(folder: Path, count: int = 2000, seed: int = 0) -> list[Path]:
    """So many files in a folder, which is made; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    homes = {"skimage": Path(skimage.__file__).parent, "sklearn": Path(sklearn.__file__).parent}
    photographs = []
    for name in PHOTOGRAPHS:
        package, _, inner = name.partition("/")
        photographs.append(Image.open(homes[package] / inner).convert("RGB"))
    files = [folder / f"{number:04d}.png" for number in range(count)]
    for number, file in enumerate(files):
        if not file.exists():
            window(photographs[number % len(photographs)], np.random.default_rng((seed, number))).save(file)
    return files


def window(photograph: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A square out of it, at random."""
    shorter = min(photograph.size)
    side = round(shorter * SMALLEST ** generator.random())
    left, top = (int(generator.integers(0, extent - side + 1)) for extent in photograph.size)
    box = (left, top, left + side, top + side)
    return photograph.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box)


if __name__ == "__main__":
    print(f"{len(windows(Path(sys.argv[1])))} images in {sys.argv[1]}")
