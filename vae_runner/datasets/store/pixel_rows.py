"""Where the pixels of a set are, behind one question: the images at these positions, as uint8.

Rows that lie on the host are gathered there and sent; to a GPU from pinned memory, without making the host wait for the
copy. Rows that fit comfortably into the GPU's memory are kept on it instead.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_runner.datasets.reading.parallel import sha256

__all__ = ["HostRows", "MemoryRows", "Rows", "fits"]

_COMFORT = 0.5  # of the GPU's free memory


class Rows(ABC):
    """N images of one shape.

    Example:
        >>> class Level(Rows):
        ...     def gather(self, positions):
        ...         return positions.to(torch.uint8).view(-1, 1, 1, 1)
        ...     def to(self, device):
        ...         return self
        ...     def fingerprint(self):
        ...         return 64 * "0"
        >>> Level().gather(torch.tensor([7])).item()
        7
    """

    @abstractmethod
    def gather(self, positions: Tensor) -> Tensor:
        """Returns (B, C, H, W) uint8 on the rows' device, for positions (B,) int64 in [0, N)."""

    @abstractmethod
    def to(self, device: torch.device | str) -> "Rows":
        """Returns rows that answer on that device."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns 64 hex digits that tell one content from another."""

    def expect(self, positions: Tensor) -> None:  # noqa: B027 - only rows that are decoded on demand care
        """These will be gathered soon."""


class MemoryRows(Rows):
    """Rows in one tensor (N, C, H, W) uint8.

    Example:
        >>> rows = MemoryRows(torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2))
        >>> rows.gather(torch.tensor([2])), len(rows.fingerprint())
        (tensor([[[[ 8,  9],
                  [10, 11]]]], dtype=torch.uint8), 64)
    """

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def gather(self, positions: Tensor) -> Tensor:
        return self.pixels.index_select(0, positions.to(self.pixels.device))

    def to(self, device: torch.device | str) -> Rows:
        return MemoryRows(self.pixels.to(device))

    def fingerprint(self) -> str:
        return sha256(self.pixels)


class HostRows(Rows):
    """Rows that are read on the host, batch by batch.

    Example:
        >>> class Level(HostRows):
        ...     def read(self, positions):
        ...         return positions.astype(np.uint8).reshape(-1, 1, 1, 1)
        ...     def fingerprint(self):
        ...         return 64 * "0"
        >>> Level(count=10, shape=(1, 1, 1)).gather(torch.tensor([7])).item()
        7
    """

    def __init__(self, count: int, shape: tuple[int, int, int]) -> None:
        self.count, self.shape = count, shape
        self.device = torch.device("cpu")

    @abstractmethod
    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns (B, C, H, W) in an array of its own."""

    def gather(self, positions: Tensor) -> Tensor:
        rows = torch.from_numpy(self.read(positions.cpu().numpy()))
        if self.device.type == "cpu":
            return rows
        return rows.pin_memory().to(self.device, non_blocking=True)

    def to(self, device: torch.device | str) -> Rows:
        self.device = torch.device(device)
        return self


def fits(nbytes: int, device: torch.device) -> bool:
    """Returns whether so many bytes can be kept on the device without crowding the training out."""
    return device.type == "cuda" and nbytes < _COMFORT * torch.cuda.mem_get_info(device)[0]
