"""The published dSprites file, read in pieces.

The .npz is a zip archive; its member imgs.npy is (737280, 64, 64) bytes of zeros and ones, 3 GB once decompressed. It
is read as a stream and packed to bits as it comes, so that memory holds no more of it than one piece. An imgs.npy that
has been extracted is read in the same way. Nothing is ever unpickled: the archive's metadata, a pickle,
is not touched, and an array of objects is refused.
"""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.reading.listing import open_regular
from vae_runner.errors import UserError

__all__ = ["IMAGES", "NPZ_NAME", "find", "is_archive", "read_rows"]

NPZ_NAME = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
IMAGES = 737_280

_MEMBER = "imgs.npy"
_SIDE = 64  # pixels
_PIECE = 2048  # images, 8 MB

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, ValueError)  # of zipfile and numpy


def find(root: str | Path) -> Path | None:
    """Returns the data file: `root` itself; or what is in it, the .npz, or imgs.npy beside it or in a folder that has
    its name, or the .npz in a folder of the set's own or under a shorter name. None if not there.
    """
    root = Path(root)
    folders = (root, root / "dsprites", root / "dsprites-dataset", root / "dsprites-dataset-master")
    places = (root, root / NPZ_NAME, root / _MEMBER, root / Path(NPZ_NAME).stem / _MEMBER)
    places += tuple(folder / name for folder in folders for name in (NPZ_NAME, "dsprites.npz", "dSprites.npz"))
    return next((path for path in places if path.is_file()), None)


def is_archive(path: Path) -> bool:
    """Returns whether a file is read as an .npz, by its name or by how it begins; else as an .npy."""
    if path.suffix.lower() in (".npz", ".npy"):
        return path.suffix.lower() == ".npz"
    try:
        with open_regular(path) as file:
            return file.read(2) == b"PK"
    except OSError:
        return False


def read_rows(path: str | Path, images: int) -> Iterator[NDArray[np.uint64]]:
    """Read the .npz or .npy at `path`, some images at a time.

    Yields:
        (n, 64) uint64: the rows of each image, 64 pixels in the order of `np.packbits`.

    Raises:
        UserError: in one line where the file is damaged or does not hold that many 64x64 images of zeros and ones.
    """
    path = Path(path)
    with _member(path) as stream:
        _check_header(stream, path, images)
        for start in range(0, images, _PIECE):
            yield _read_piece(stream, path, start, min(_PIECE, images - start))
        if stream.read(1):  # at its end a zip member is compared with its checksum
            raise UserError(f"{path}: {_MEMBER} is longer than {images:,} images")


@contextlib.contextmanager
def _member(path: Path) -> Iterator[BinaryIO]:
    """Open imgs.npy; whatever breaks while it is read becomes one line."""
    try:
        with contextlib.ExitStack() as stack:
            if is_archive(path):
                yield stack.enter_context(stack.enter_context(_open_archive(path)).open(_MEMBER))
            else:
                yield stack.enter_context(path.open("rb"))
    except _DAMAGE as error:
        reason = error.args[0] if error.args else f"{_MEMBER} ends early"
        raise UserError(f"{path} is damaged ({reason}): {_remedy(path)}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        size = path.stat().st_size
        raise UserError(f"{path} is {size:,} bytes, expected 26 MB: {_remedy(path)}") from error


def _remedy(path: Path) -> str:
    return "download it again" if is_archive(path) else "extract it again"


def _check_header(stream: BinaryIO, path: Path, images: int) -> None:
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in read:
        raise ValueError(f"{_MEMBER} has format version {version}")
    shape, column_major, dtype = read[version](stream)
    if shape != (images, _SIDE, _SIDE) or dtype not in (np.uint8, np.bool_) or column_major:
        held = f"{dtype} {shape}{' in column order' if column_major else ''}"
        raise UserError(f"{path}: {_MEMBER} holds {held}, expected uint8 {(images, _SIDE, _SIDE)}")


def _read_piece(stream: BinaryIO, path: Path, start: int, images: int) -> NDArray[np.uint64]:
    """The rows of the next images of the stream, (images, 64); `start` is the index of the first."""
    data = stream.read(images * _SIDE * _SIDE)
    if len(data) < images * _SIDE * _SIDE:
        whole = start + len(data) // _SIDE**2
        raise EOFError(f"{_MEMBER} ends after {whole:,} images")
    pixels = np.frombuffer(data, np.uint8)
    if pixels.max() > 1:
        raise UserError(f"{path}: {_MEMBER} holds the value {pixels.max()}, expected zeros and ones only")
    return np.packbits(pixels.reshape(images, -1), axis=1).view(np.uint64)
