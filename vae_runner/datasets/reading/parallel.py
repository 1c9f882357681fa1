"""Work on all images of a set at once, side by side, and their pixels in one array in memory.

The array is for the loaders of users: what they return depends on more than the files, and so it has no store. Pillow
lets go of the interpreter while it decodes and resizes, so threads suffice; the rows follow the order of the files
alone. A set that does not fit into half of the machine's memory is refused beforehand.
"""

import hashlib
import math
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from vae_runner.datasets.reading.imaging import UnreadableImage
from vae_runner.errors import UserError

__all__ = ["attempt_all", "cores", "decode_all", "fitting_size", "memory_bytes", "sha256", "usable_cores"]

_CHUNK = 16  # images between two looks at what a thread has found
_BLOCK = 4096  # images hashed at a time
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def decode_all(
    count: int, decode: Callable[[int], NDArray], shape: tuple[int, int, int]
) -> tuple[Tensor, dict[int, UnreadableImage]]:
    """Decode each position in range(`count`): (C, H, W) = `shape`, uint8.

    Returns:
        the pixels of the n files that can be read, (n, C, H, W) uint8 in the same order, and what is wrong with the
        others, by their positions.
    """
    _check_memory(count, shape)
    pixels = torch.empty((count, *shape), dtype=torch.uint8)
    rows = pixels.numpy()

    def fill(position: int) -> None:
        rows[position] = decode(position)

    bad = attempt_all(fill, count)
    good = [position for position in range(count) if position not in bad]
    for row, position in enumerate(good if bad else ()):  # in place: there may be no room for a second array
        rows[row] = rows[position]
    return pixels[: len(good)], bad


def attempt_all(work: Callable[[int], object], count: int) -> dict[int, UnreadableImage]:
    """Call `work` with 0 to count - 1 in parallel; returns the `UnreadableImage`s that it raised, by position.

    Any other exception ends it at once.
    """

    def attempt(chunk: range) -> dict[int, UnreadableImage]:
        found = {}
        for position in chunk:
            try:
                work(position)
            except UnreadableImage as error:
                found[position] = error
        return found

    Image.init()  # by two threads at once, Pillow may take a file for no image before all its formats are known
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    bad: dict[int, UnreadableImage] = {}
    pool = ThreadPoolExecutor(cores())
    bar = tqdm(desc="reading images", total=count, unit=" images", unit_scale=True, disable=None)
    with pool, bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what it only warns of, it has read; the rest is in `bad`
        # an exception, Ctrl-C too, drops the iterator of `map`, which cancels what has not begun
        for chunk, found in zip(chunks, pool.map(attempt, chunks), strict=True):
            bad |= found
            bar.update(len(chunk))
    return bad


def sha256(pixels: Tensor) -> str:
    """Returns the SHA-256 of (N, C, H, W) uint8, on whatever device, as 64 hex digits."""
    digest = hashlib.sha256()
    for block in pixels.split(_BLOCK):
        digest.update(block.cpu().contiguous().numpy())
    return digest.hexdigest()


def memory_bytes() -> int:
    """Returns what this process can have: the machine's memory, or the limit of its container."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return physical


def _check_memory(count: int, shape: tuple[int, int, int]) -> None:
    needed, half = count * math.prod(shape), memory_bytes() // 2
    if needed > half:
        raise UserError(
            f"{count:,} images {'x'.join(map(str, shape))} take {needed / 1e9:.1f} GB of memory, more than half of "
            f"the {2 * half / 1e9:.1f} GB there is; {fitting_size(count, shape, half)} would fit"
        )


def fitting_size(count: int, shape: tuple[int, int, int], room: int) -> str:
    """Returns 'dataset.image_size=N', or '=[H,W]' of about the same proportions, of which `count` images take no more
    than `room` bytes.
    """
    channels, height, width = shape
    pixels = room // (count * channels)
    if height == width:
        return f"dataset.image_size={math.isqrt(pixels)}"
    factor = math.sqrt(pixels / (height * width))
    return f"dataset.image_size=[{math.floor(height * factor)},{math.floor(width * factor)}]"


def cores() -> int:
    """Returns the number of cores to decode with: those that this process may use, 32 at most."""
    return min(usable_cores(), 32)


def usable_cores() -> int:
    """Returns the number of cores that this process may use, which is less than the machine's in a batch system."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
