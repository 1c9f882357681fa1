"""Arrays that are expensive to make, made once per machine.

A cached array is one file: a line with the SHA-256 of its elements, then the array as an .npy in an .xz stream. For
sparse images the lowest xz level is the fastest choice: the 43 MB of dSprites become 2.7 MB and are back in half a
second, checksum included.

The cache never stands in the way: a damaged file is made again, and where the folder cannot be written the array is
made at every start, each with one line in the log.
"""

import contextlib
import hashlib
import io
import logging
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vae_runner.errors import RunError
from vae_runner.files import locked, write_atomically

__all__ = ["cached_array", "digest"]

_DIGEST_LENGTH = 64  # hex digits of a SHA-256

logger = logging.getLogger("vae_runner")


def digest(array: np.ndarray) -> str:
    """Returns the SHA-256 of the array's elements in C order, as 64 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def cached_array(
    folder: str | Path, name: str, make: Callable[[], np.ndarray], sha256: str | None = None
) -> np.ndarray:
    """Returns the array kept as `folder`/`name`, or else what `make` returns, which is then kept.

    Of several processes that ask at once, one makes the array and the others wait for it. With `sha256` the elements
    must have that digest: a file that differs is made again, and `RunError` is raised where `make` returns others.
    """
    path = Path(folder) / name
    with contextlib.suppress(OSError, ValueError):
        return _read(path, sha256)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path.with_name(f".{name}.lock")))
        except OSError as error:
            logger.warning("no cache in %s (%s): going on without", folder, error.strerror)
            return _checked(make(), name, sha256)
        return _read_or_make(path, make, sha256)


def _read_or_make(path: Path, make: Callable[[], np.ndarray], sha256: str | None) -> np.ndarray:
    try:
        return _read(path, sha256)  # another process may have made it while this one waited for the lock
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be used (%s): making it again", path, error)
    array = _checked(make(), path.name, sha256)
    try:
        write_atomically(path, _packed(array))
    except (OSError, RunError) as error:
        logger.warning("%s cannot be kept (%s): going on without", path, error)
    return array


def _checked(array: np.ndarray, name: str, sha256: str | None) -> np.ndarray:
    if sha256 is not None and digest(array) != sha256:
        raise RunError(f"{name} came out with sha256 {digest(array)}, expected {sha256}")
    return array


def _packed(array: np.ndarray) -> bytes:
    packed = io.BytesIO()
    packed.write(digest(array).encode() + b"\n")
    with lzma.open(packed, "wb", preset=0) as stream:
        np.lib.format.write_array(stream, array, allow_pickle=False)
    return packed.getvalue()


def _read(path: Path, sha256: str | None) -> np.ndarray:
    """Raises `ValueError` where the file is damaged or holds another array than the one expected."""
    with path.open("rb") as file:
        stored = file.read(_DIGEST_LENGTH + 1).rstrip().decode("ascii", "replace")
        try:
            with lzma.open(file) as stream:
                array = np.lib.format.read_array(stream, allow_pickle=False)
        except (EOFError, lzma.LZMAError) as error:
            raise ValueError(str(error)) from error
    if digest(array) != stored or sha256 not in (None, stored):
        raise ValueError("its checksum is wrong")
    return array
