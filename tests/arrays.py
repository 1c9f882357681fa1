"""Array files as a user writes them: bars of each shape, size and place, in colour."""

from pathlib import Path

import numpy as np

SHAPES, SIZES, PLACES = ("row", "column"), (2, 4, 6), range(8)
NAMES = ["shape", "size", "place"]
FACTOR_COUNTS = (len(SHAPES), len(SIZES), len(PLACES))


def bars() -> tuple[np.ndarray, np.ndarray]:
    """Images (48, 16, 16, 3) uint8, and what each is of, (48, 3): the number of its shape, its size and its place."""
    images, factors = [], []
    for shape in range(len(SHAPES)):
        for size in SIZES:
            for place in PLACES:
                image = np.zeros((16, 16, 3), np.uint8)
                image[place : place + size, 2:, :] = 30 * place + 10, 200, 255 - 40 * shape
                images.append(image if shape == 0 else image.transpose(1, 0, 2))
                factors.append((shape, size, place))
    return np.stack(images), np.array(factors)


def write_arrays(folder: Path) -> Path:
    """bars.npz, with `images`, `factors` and `names`."""
    images, factors = bars()
    np.savez_compressed(folder / "bars.npz", images=images, factors=factors, names=np.array(NAMES))
    return folder / "bars.npz"
