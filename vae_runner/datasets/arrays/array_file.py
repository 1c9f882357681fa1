"""An array in a file, `.npy`, `.npz` or `.h5`, read a few rows at a time.

An `.npy` is mapped; a member of an `.npz`, packed or not, is read as a stream, so that memory holds a piece of it; of
an HDF5 file h5py reads rows. Nothing is ever unpickled. Which of several arrays is meant is said by its name, or is the
one that has a usual name.
"""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.arrays import hdf5
from vae_runner.datasets.reading.listing import printable
from vae_runner.errors import UserError

__all__ = ["ENDINGS", "ROOT", "ArrayFile"]

ENDINGS = (".npy", ".npz", ".h5", ".hdf5")
ROOT = "dataset.root"  # the setting of a published file, whose key is no setting
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, ValueError)  # of zipfile and numpy
_ENDING = ".npy"  # of the members of an .npz
_PIECE = 1 << 24  # bytes that are read together
_LARGEST = 8 * _PIECE  # and where the chunks of an HDF5 file have more


class ArrayFile:
    """One array of a file.

    Args:
        path: ends in .npy, .npz, .h5 or .hdf5.
        key: which array it is; None: the only one, or the one of several that has one of the `usual` names.
        setting: what names the file in messages, such as "dataset.images"; the key is set beside it.
        usual: names, the first that is there counts.

    Attributes:
        key, shape, dtype: of the array; the key of an .npy is its name without the ending.
        keys: the names of all arrays in the file.

    Raises:
        UserError: in one line where the file is not there, is damaged, or has no such array.

    Example:
        >>> np.savez("x.npz", images=np.zeros((3, 4, 4), np.uint8), labels=np.array([0, 1, 2]))
        >>> array = ArrayFile("x.npz", None, "dataset.images", ["images"])
        >>> array.key, array.shape, array.read(1, 9).shape
        ('images', (3, 4, 4), (2, 4, 4))
    """

    def __init__(self, path: str | Path, key: str | None, setting: str, usual: Sequence[str] = ()) -> None:
        self._stream: tuple[zipfile.ZipFile, Any, int] | None = None
        self.path, self.setting = Path(path), setting
        self.kind = self.path.suffix.lower()
        if self.kind not in ENDINGS:
            raise UserError(f"{self.named} must end in one of {', '.join(ENDINGS)}")
        if not self.path.is_file():
            word = "is no file" if self.path.exists() else "is not there"
            raise UserError(f"{self.named} {word}; dataset.root is the folder that it is in")
        with self._told():
            self.keys = self._keys()
            self.key = self._chosen(key, usual)
            self.shape, self.dtype, self._step = self._looked_at()
        if self.dtype.hasobject:
            raise UserError(f"{self.named}: {self.key} holds Python objects, which are not read; expected numbers")

    @property
    def named(self) -> str:
        """The setting and the file, for messages."""
        return f"{self.setting}={printable(self.path)}"

    @property
    def step(self) -> int:
        """How many rows are best read together."""
        return self._step

    def read(self, start: int, stop: int) -> NDArray:
        """Returns the rows from `start` to `stop`, fewer at the end: (stop - start, ...)."""
        with self._told():
            if self.kind == ".npy":
                return np.array(self._mapped()[start:stop])
            if self.kind == ".npz":
                return self._streamed(start, min(stop, self.shape[0]))
            with hdf5.opened(self.path, named=self.named) as file:
                return hdf5.rows(file[self.key], start, stop)

    def whole(self) -> NDArray:
        """Returns all of it."""
        return self.read(0, self.shape[0]) if self.shape else np.zeros(0)

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            archive, stream, _ = self._stream
            stream.close()
            archive.close()
            self._stream = None

    def __del__(self) -> None:
        self.close()

    def _keys(self) -> list[str]:
        if self.kind == ".npy":
            return [self.path.stem]
        if self.kind == ".npz":
            with zipfile.ZipFile(self.path) as archive:
                return [name.removesuffix(_ENDING) for name in archive.namelist() if name.endswith(_ENDING)]
        with hdf5.opened(self.path, named=self.named) as file:
            return hdf5.arrays_of(file)

    def _chosen(self, key: str | None, usual: Sequence[str]) -> str:
        setting = f"{self.setting.removesuffix('s')}_key"
        if self.setting == ROOT and key not in self.keys:  # of a published file
            held = ", ".join(map(printable, self.keys)) or "no arrays"
            raise UserError(f"{self.named} has no array {key}: it holds {held}")
        held = ", ".join(map(printable, self.keys)) or "no arrays" + " outside groups" * (self.kind in ENDINGS[2:])
        if key is not None:
            if key not in self.keys:
                raise UserError(f"{setting}={key}: {printable(self.path)} has no such array, it holds {held}")
            return key
        known = self.keys if len(self.keys) == 1 else [name for name in usual if name in self.keys]
        if not known:
            raise UserError(f"{self.named} holds {held}; set {setting}=NAME")
        return known[0]

    def _looked_at(self) -> tuple[tuple[int, ...], np.dtype, int]:
        """Shape, type, and how many rows are read together."""
        along = 1
        if self.kind == ".npy":
            array = self._mapped()
            shape, dtype = array.shape, array.dtype
        elif self.kind == ".npz":
            shape, dtype = self._opened_stream()
        else:
            with hdf5.opened(self.path, named=self.named) as file:
                array = file[self.key]
                shape, dtype = array.shape, np.dtype(str) if hdf5.is_text(array) else array.dtype
                along = array.chunks[0] if array.chunks else 1
        row = max(int(np.prod(shape[1:])) * dtype.itemsize, 1)
        rows = max(_PIECE // row, 1)
        return shape, dtype, -(-rows // along) * along if along * row <= _LARGEST else rows

    def _mapped(self) -> NDArray:
        try:
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            if "Python object" in str(error) or "pickle" in str(error):
                raise UserError(
                    f"{self.named} holds Python objects, or no array; expected numbers, as np.save writes"
                ) from error
            raise

    def _opened_stream(self) -> tuple[tuple[int, ...], np.dtype]:
        """Open the member; its shape and its type."""
        self.close()
        archive = zipfile.ZipFile(self.path)
        stream = archive.open(self.key + _ENDING)
        self._stream = (archive, stream, 0)
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read:
            raise ValueError(f"{self.key} has format version {version}")
        shape, column_major, dtype = read[version](stream)
        if column_major and len(shape) > 1:
            raise UserError(f"{self.named}: {self.key} is in column order; save np.ascontiguousarray of it")
        self._stream = (archive, stream, stream.tell())  # and where its rows begin
        return shape, dtype

    def _streamed(self, start: int, stop: int) -> NDArray:
        """Forwards through the member; backwards, once more from its beginning."""
        if self._stream is None:
            self._opened_stream()
        assert self._stream is not None
        _, stream, begin = self._stream
        row = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        if stream.tell() != begin + start * row:
            stream.seek(begin + start * row)
        data = stream.read((stop - start) * row)
        if len(data) < (stop - start) * row:
            raise EOFError(f"{self.key} ends after {start + len(data) // max(row, 1):,} rows")
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever breaks while it is read becomes one line."""
        try:
            yield
        except _DAMAGE as error:
            reason = " ".join(str(error.args[0] if error.args else "it ends early").split())
            raise UserError(f"{self.named} is damaged ({reason}): write it again") from error
        except OSError as error:
            raise UserError(f"cannot read {self.named}: {error.strerror or error}") from error
