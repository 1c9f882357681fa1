"""Binary images kept as bits, and unpacked a whole batch at a time.

A 64x64 image of zeros and ones is 4,096 bits: as float32 it takes 16 KiB, as bits 512 bytes, so that 737,280 of them,
as many as dSprites has, are 377 MB and stay in memory, on a GPU too; those that are sprites take less, see `windowed`.
A batch is read in three operations on the device the bits live on: its rows are selected, each byte is looked up in a
table of 256 entries, and the result becomes float32. An entry is the eight pixels of that byte, one byte each, held as
one int64: one lookup moves eight pixels, which on a CPU is about twice as fast as a table of floats and four times as
fast as shifting and masking.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["PackedImages", "packed_rows"]


class PackedImages:
    """N binary images of one size, one bit per pixel.

    Args:
        bits: (N, ceil(H * W / 8)) uint8, each row an image in the order of `np.packbits`: row by row from the top left,
            the first pixel in the highest bit, zeros after the last pixel.
        size: (H, W) in pixels.

    Example:
        >>> images = PackedImages(torch.tensor([[0b10000000], [0b11110000]], dtype=torch.uint8), size=(2, 4))
        >>> images.gather(torch.tensor([1]))[0, 0], images.nbytes
        (tensor([[1., 1., 1., 1.],
                [0., 0., 0., 0.]]), 2)
    """

    def __init__(self, bits: Tensor, size: tuple[int, int]) -> None:
        height, width = size
        if bits.dtype != torch.uint8 or bits.ndim != 2 or bits.shape[1] != -(-height * width // 8):
            raise ValueError(f"{tuple(bits.shape)} {bits.dtype} is not packed images of {height}x{width}")
        self.bits = bits
        self.size = size
        self._pixels_of_byte = _pixels_of_byte().to(bits.device)

    def __len__(self) -> int:
        return len(self.bits)

    @property
    def device(self) -> torch.device:
        """Where the bits are, and where `gather` answers."""
        return self.bits.device

    @property
    def nbytes(self) -> int:
        """Bytes that the packed images take."""
        return self.bits.nbytes

    def to(self, device: torch.device | str) -> "PackedImages":
        """Move the bits to `device`; returns self."""
        self.bits = self.bits.to(device)
        self._pixels_of_byte = self._pixels_of_byte.to(device)
        return self

    def gather(self, indices: Tensor) -> Tensor:
        """Unpack the images at `indices` (B,) int64, each in [0, N).

        Returns:
            (B, 1, H, W) float32 zeros and ones, on `device`.
        """
        height, width = self.size
        packed = self.bits.index_select(0, indices.to(self.device))  # (B, bytes)
        pixels = self._pixels_of_byte.index_select(0, packed.flatten().int()).view(torch.uint8)  # (B * bytes * 8,)
        images = pixels.view(len(packed), -1)[:, : height * width]
        return images.to(torch.float32).view(-1, 1, height, width)


def packed_rows(pieces: Iterable[NDArray[np.uint64]], count: int) -> NDArray[np.uint8]:
    """Returns the bits (count, 512) of so many 64x64 images, whose rows (n, 64) come some at a time."""
    bits, start = np.empty((count, 512), np.uint8), 0
    for piece in pieces:
        bits[start : start + len(piece)] = piece.view(np.uint8)
        start += len(piece)
    return bits


def _pixels_of_byte() -> Tensor:
    """(256,) int64: entry b, seen as eight bytes in memory order, is the bits of b from the highest to the lowest."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)  # (256, 8)
    return torch.from_numpy(bits.view(np.int64)[:, 0].copy())
