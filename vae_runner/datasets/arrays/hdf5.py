"""HDF5 files that others have written: opened so that whatever breaks is told in one line.

Nothing of other files is read: an array that lies elsewhere, by a link or as a virtual one, is none of this file.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.reading.listing import printable
from vae_runner.errors import UserError

__all__ = ["array_in", "arrays_of", "is_text", "opened", "rows"]


@contextmanager
def opened(path: Path, without: str = "", damaged: str = "write it again", named: str = "") -> Iterator[Any]:
    """Open a file as h5py does.

    Args:
        path: of the file.
        without: what can be done where h5py is missing, besides installing it: "" or ", or ...".
        damaged: what to do where the file is damaged.
        named: what it is called in messages, with its setting; "": by its path.

    Raises:
        UserError: in one line.
    """
    called = named or printable(path)
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            f"{called} is read by h5py, which is not there: pip install 'vae_runner[hdf5]'{without}"
        ) from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(f"cannot read {called}: {os.strerror(error.errno or 0)}") from error
    except (OSError, KeyError, RuntimeError, ValueError) as error:  # of h5py
        reason = " ".join(str(error).split())
        raise UserError(f"{called} is damaged ({reason}): {damaged}") from error


def array_in(file: Any, name: str) -> Any:
    """Returns the array of that name, None where the file holds none itself."""
    import h5py

    link = file.get(name, getlink=True)
    data = file[name] if isinstance(link, h5py.HardLink) else None
    is_elsewhere = not isinstance(data, h5py.Dataset) or data.is_virtual or data.external
    return None if is_elsewhere else data


def arrays_of(file: Any) -> list[str]:
    """Returns the names of the arrays that the file itself holds, not those in its groups."""
    return [name for name in sorted(file) if array_in(file, name) is not None]


def is_text(array: Any) -> bool:
    """Returns whether the elements of an array are texts."""
    import h5py

    return h5py.check_string_dtype(array.dtype) is not None


def rows(array: Any, start: int, stop: int) -> NDArray:
    """Returns the rows from `start` to `stop` of an array; texts as NumPy has them."""
    return np.asarray(array.asstr()[start:stop]).astype(str) if is_text(array) else np.asarray(array[start:stop])
