"""Rows of any type in one tensor on the host: in memory, or, where they take more than half of it, in a file that goes
with the process.
"""

import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_runner.datasets.reading.parallel import memory_bytes, sha256
from vae_runner.datasets.store.pixel_rows import HostRows, MemoryRows, Rows, fits
from vae_runner.errors import UserError

__all__ = ["HostArray", "room_for"]


class HostArray(HostRows):
    """Rows in a tensor on the host, in memory or in a file.

    Example:
        >>> HostArray(torch.rand(5, 1, 4, 4)).gather(torch.tensor([3])).shape
        torch.Size([1, 1, 4, 4])
    """

    def __init__(self, pixels: Tensor) -> None:
        super().__init__(len(pixels), tuple(pixels.shape[1:]))  # type: ignore[arg-type]
        self.pixels = pixels

    def read(self, positions: NDArray[np.int64]) -> NDArray:
        return self.pixels.index_select(0, torch.from_numpy(positions)).numpy()

    def to(self, device: torch.device | str) -> Rows:
        if fits(self.pixels.nbytes, torch.device(device)):
            return MemoryRows(self.pixels.to(device))
        return super().to(device)

    def fingerprint(self) -> str:
        return sha256(self.pixels)


def room_for(shape: tuple[int, ...], is_uint8: bool, cache: Path) -> Tensor:
    """Returns a tensor of that shape, uint8 or float32: in memory where it takes at most half of it, else in a file.

    Raises:
        UserError: where there is no room on the disk either.
    """
    count, dtype = math.prod(shape), torch.uint8 if is_uint8 else torch.float32
    nbytes = count * dtype.itemsize
    if nbytes <= memory_bytes() // 2:
        return torch.empty(shape, dtype=dtype)
    cache.mkdir(parents=True, exist_ok=True)
    if nbytes > (free := shutil.disk_usage(cache).free):
        raise UserError(
            f"{shape[0]:,} images {'x'.join(map(str, shape[1:]))} take {nbytes / 1e9:.1f} GB, more than half of the "
            f"memory, and than the {free / 1e9:.1f} GB free in {cache}; dataset.limit=N takes so many of them, "
            "dataset.cache_dir=DIR another disk"
        )
    with tempfile.NamedTemporaryFile(dir=cache, prefix=".images-") as file:  # its name goes, its bytes stay mapped
        os.posix_fallocate(file.fileno(), 0, nbytes)  # a full disk would kill the process later
        return torch.from_file(file.name, shared=True, size=count, dtype=dtype).view(shape)
