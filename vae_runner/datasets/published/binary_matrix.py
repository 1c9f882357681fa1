"""The binary matrix format of NORB's files: a header of integers, and the elements in row-major order.

All integers have four bytes, the least significant one first: a magic number that says the type of the elements, the
number of dimensions, and the size of each, at least three of them, those beyond the number of dimensions being 1. Files
may be packed by gzip.

Yann LeCun, Fu Jie Huang and Leon Bottou, "The small NORB dataset, v1.0", https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/
"""

import gzip
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.reading.listing import printable
from vae_runner.errors import UserError

__all__ = ["BinaryMatrix"]

_TYPES = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}
_LEAST, _MOST = 3, 8  # sizes in the header, and dimensions


class BinaryMatrix:
    """The array in a file, read forwards.

    Args:
        path: of the file, packed where it ends in .gz.
        shape, dtype: that are expected.

    Raises:
        UserError: in one line where the file is damaged, or holds another array.

    Example:
        >>> header = np.array([0x1E3D4C54, 1, 3, 1, 1], "<i4")
        >>> Path("x.mat").write_bytes(header.tobytes() + np.array([5, 6, 7], "<i4").tobytes())
        32
        >>> BinaryMatrix(Path("x.mat"), (3,), np.dtype("<i4")).read(1, 3)
        array([6, 7], dtype=int32)
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._file: IO[bytes] | None = None
        magic, dimensions = self._integers(0, 2)
        kind = _TYPES.get(magic)
        if kind is None or not 1 <= dimensions <= _MOST:
            raise UserError(f"{printable(path)} is no binary matrix of bytes or integers (magic number {magic:#x})")
        sizes = self._integers(8, max(dimensions, _LEAST))
        self._begin, found = 8 + 4 * len(sizes), tuple(sizes[:dimensions])
        if kind != dtype or found != shape:
            raise UserError(f"{printable(path)} holds {kind} {found}, expected {dtype} {shape}")

    def read(self, start: int, stop: int) -> NDArray:
        """Returns the rows from `start` to `stop`, fewer at the end."""
        row, stop = int(np.prod(self.shape[1:])) * self.dtype.itemsize, min(stop, self.shape[0])
        data = self._bytes(self._begin + start * row, (stop - start) * row)
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def whole(self) -> NDArray:
        """Returns all of it."""
        return self.read(0, self.shape[0])

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def _integers(self, offset: int, count: int) -> list[int]:
        return np.frombuffer(self._bytes(offset, 4 * count), "<i4").tolist()

    def _bytes(self, offset: int, count: int) -> bytes:
        try:
            if self._file is None:
                is_packed = self.path.suffix == ".gz"
                self._file = cast(IO[bytes], gzip.GzipFile(self.path)) if is_packed else self.path.open("rb")
            if self._file.tell() != offset:
                self._file.seek(offset)
            data = self._file.read(count)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{printable(self.path)} is damaged ({error}): put the published file there") from error
        except OSError as error:
            raise UserError(f"cannot read {printable(self.path)}: {error.strerror or error}") from error
        if len(data) < count:
            raise UserError(f"{printable(self.path)} is damaged (it ends early): put the published file there")
        return data
