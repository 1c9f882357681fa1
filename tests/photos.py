"""Image files made for tests."""

import time
from pathlib import Path

import numpy as np
from PIL import Image

TICK = 2.1  # seconds


def write_photos(folder: Path, count: int, size: tuple[int, int] = (40, 30), ending: str = ".jpg") -> Path:
    """`count` smooth colour images of `size` (width, height), 000001.jpg and so on, in a new folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(1)
    for number in range(1, count + 1):
        coarse = generator.integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number:06d}{ending}")
    return folder


def settled(folder: Path) -> Path:
    """Wait until each start from now on knows of the files in the folder that they stay as they are; returns it.

    A start does not keep what it read of files that were written within the last tick of a coarse clock.
    """
    newest = max(path.stat().st_ctime for path in folder.rglob("*"))
    time.sleep(max(newest + TICK - time.time(), 0))
    return folder


def write_noise(path: Path, shape: tuple[int, ...] = (9, 7, 3), seed: int = 0) -> np.ndarray:
    """A file of random pixels (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), uint8; returns them."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels
