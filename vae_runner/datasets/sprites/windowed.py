"""Small shapes on black, kept as windows of numbered rows, and put back a whole batch at a time.

A sprite covers at most 27 of its image's 64 rows, and one row is like another: the 47 million rows of dSprites are
12,908 different ones. So an image is the place of its window, the first of 28 rows (one to spare, for the published
sprites differ from the rendered ones by a pixel now and then), and the number of each of these: 58 bytes instead of the
512 of its bits (`packed`), 43 MB for all 737,280 images. A batch is read on the device where the numbers lie: those of
its windows are put at their places among zeros, the number of the black row, and each is looked up in the table of
rows, 64 floats at once. No bit is unpacked.

As an array, which can be kept in a file, images are int16: 32,768 rows of 64 bits, zeros behind those that there are,
then 29 numbers for each image. Images have windows where the white rows of each lie among 28, and all of them together
have no more different ones than that.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["WINDOW", "WindowedImages", "packed_sha256", "windows"]

WINDOW = 28  # rows

_SIDE = 64  # pixels of an image
_ROOM = 1 << 15  # different rows that int16 can number
_TABLE = 4 * _ROOM  # int16 that these take
_PIECE = 4096  # images, 2 MB of bits

_Rows = NDArray[np.uint64]  # one row of an image each: its 64 pixels in the order of np.packbits
_Numbers = NDArray[np.int16]


class WindowedImages:
    """N binary images of 64x64, each a window of numbered rows.

    Args:
        array: (32768 * 4 + N * 29,) int16, as `windows` makes it, on the CPU.

    Example:
        >>> image = np.zeros((64, 8), np.uint8)
        >>> image[40, 7] = 0b11110000
        >>> images = WindowedImages(torch.from_numpy(windows([image.view(np.uint64).T], 1)))
        >>> images.gather(torch.tensor([0]))[0, 0, 40, 55:62], images.nbytes  # 29 numbers, and a black and another row
        (tensor([0., 1., 1., 1., 1., 0., 0.]), 570)
    """

    def __init__(self, array: Tensor) -> None:
        rows = _parts(array.numpy())[0]
        rows = rows[: np.flatnonzero(rows).max(initial=0) + 1]
        pixels = np.unpackbits(rows.view(np.uint8)).reshape(-1, _SIDE)
        self._row_pixels = torch.from_numpy(pixels).to(torch.float32)
        self._windows = array[_TABLE:].view(-1, 1 + WINDOW)
        self._steps = torch.arange(WINDOW)

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def device(self) -> torch.device:
        """Where the windows are, and where `gather` answers."""
        return self._windows.device

    @property
    def nbytes(self) -> int:
        """Bytes that windows and rows take."""
        return self._windows.nbytes + self._row_pixels.nbytes

    def to(self, device: torch.device | str) -> "WindowedImages":
        """Move windows and rows to `device`; returns self."""
        self._windows, self._row_pixels = self._windows.to(device), self._row_pixels.to(device)
        self._steps = self._steps.to(device)
        return self

    def gather(self, indices: Tensor) -> Tensor:
        """Put together the images at `indices` (B,) int64, each in [0, N).

        Returns:
            (B, 1, 64, 64) float32 zeros and ones, on `device`.
        """
        windows = self._windows.index_select(0, indices.to(self.device))  # (B, 29)
        black = torch.zeros(len(windows), _SIDE, dtype=torch.int16, device=self.device)
        numbers = black.scatter_(1, windows[:, :1] + self._steps, windows[:, 1:])
        return self._row_pixels.index_select(0, numbers.flatten().int()).view(-1, 1, _SIDE, _SIDE)


class _Numbering:
    """Numbers rows in a table as they come; 0 is the black one."""

    def __init__(self, table: _Rows) -> None:
        self._table = table
        self._order = np.zeros(1, np.int16)  # of the rows that are known, by their bits
        self._sorted = table[self._order]

    def numbers(self, rows: _Rows) -> _Numbers | None:
        """Those of the rows, of which new ones are taken up; None where the table has too little room for these."""
        places = self._places(rows)
        new, known = np.unique(rows[self._sorted[places] != rows]), len(self._order)
        if known + len(new) > len(self._table):
            return None
        if len(new):
            self._table[known : known + len(new)] = new
            self._order = np.argsort(self._table[: known + len(new)]).astype(np.int16)
            self._sorted = self._table[self._order]
            places = self._places(rows)
        return self._order[places]

    def _places(self, rows: _Rows) -> NDArray[np.intp]:
        """Where the last known row is that is not larger, the black one being the smallest."""
        return np.searchsorted(self._sorted[1:], rows, side="right")


def windows(pieces: Iterable[_Rows], count: int) -> _Numbers | None:
    """Returns the windows of `count` images as one array, see above; None where images have none.

    Args:
        pieces: of the images in their order, some at a time: (n, 64) uint64, the rows of each.
        count: of the images in all pieces.
    """
    array = np.zeros(_TABLE + count * (1 + WINDOW), np.int16)
    rows, images = _parts(array)
    numbering, start = _Numbering(rows), 0
    for piece in pieces:
        tops = np.minimum((piece != 0).argmax(1), _SIDE - WINDOW)
        seen = np.take_along_axis(piece, tops[:, None] + np.arange(WINDOW), 1)
        numbers = numbering.numbers(seen)
        if np.count_nonzero(seen) < np.count_nonzero(piece) or numbers is None:
            return None
        images[start : start + len(piece), 0] = tops
        images[start : start + len(piece), 1:] = numbers
        start += len(piece)
    return array


def packed_sha256(array: _Numbers) -> str:
    """Returns the SHA-256, in hex, of what the images of an array of `windows` are as bits, see `packed`."""
    rows, images = _parts(array)
    digest = hashlib.sha256()
    for start in range(0, len(images), _PIECE):
        piece = images[start : start + _PIECE].astype(np.intp)
        whole = np.zeros((len(piece), _SIDE), np.uint64)
        np.put_along_axis(whole, piece[:, :1] + np.arange(WINDOW), rows[piece[:, 1:]], 1)
        digest.update(whole)
    return digest.hexdigest()


def _parts(array: _Numbers) -> tuple[_Rows, _Numbers]:
    """The table of rows (32768,) and the windows (N, 29) of an array."""
    return array[:_TABLE].view(np.uint64), array[_TABLE:].reshape(-1, 1 + WINDOW)
