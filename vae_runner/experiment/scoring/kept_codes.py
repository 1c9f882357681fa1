"""Posteriors of a part's images, made once and kept with the run: means, and of normal posteriors log variances.

A file holds them by their places in the part, and a mark of all that they depend on: the weights, the images, their
choice and order, the kind of device. What does not fit is not used; it is made anew, and a line says so. The files may
be removed at any time.
"""

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_runner.errors import RunError
from vae_runner.evaluation.score import Array
from vae_runner.files import write_atomically
from vae_runner.foreign import read_bytes
from vae_runner.runs.names import ENCODED
from vae_runner.runs.words import shown

__all__ = ["CodeTable", "digest_of", "kept_file"]

log = logging.getLogger(__name__)

VERSION = 1  # of the file's form
SHORT = 12  # digits of a mark in a file's name


class CodeTable:
    """Means (N, D) and log variances (N, D) of the images of a part, as far as they are known.

    Example:
        >>> table = CodeTable(3, 2)
        >>> table.put(np.array([1]), np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32))
        >>> table.missing(np.array([2, 1, 2])), table.has_scales
        (array([2]), True)
    """

    def __init__(self, count: int, dims: int) -> None:
        self.means = np.zeros((count, dims), np.float32)
        self.logvars = np.zeros((count, dims), np.float32)
        self.known = np.zeros(count, bool)
        self.has_scales = True
        self.is_kept = True  # the file has all that is known

    def missing(self, rows: Array) -> Array:
        """Returns the rows that are not known, each once, rising."""
        return np.unique(rows[~self.known[rows]])

    def put(self, rows: Array, means: Array, logvars: Array | None) -> None:
        """Put in what was made of these rows; posteriors that are not normal have no log variances."""
        self.means[rows], self.known[rows], self.is_kept = means, True, False
        if logvars is None:
            self.has_scales = False
        else:
            self.logvars[rows] = logvars

    def read(self, file: Path, mark: Mapping[str, Any]) -> None:
        """Take what the file has, where its mark is this one; a line says where it is another, or the file is none."""
        try:
            found = _content(read_bytes(file), *self.means.shape)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s is no file of codes (%s): they are made anew", shown(file), _why(error))
            return
        theirs, rows, means, logvars = found
        if other := [name for name in mark if theirs.get(name) != mark[name]]:
            log.warning("%s is of other %s: codes are made anew", shown(file), " and ".join(other))
            return
        self.put(rows, means, logvars)
        self.is_kept = True

    def write(self, file: Path, mark: Mapping[str, Any]) -> None:
        """Keep what is known; where it cannot be written a line says so, and nothing is lost but time."""
        if self.is_kept:
            return
        rows, buffer = np.flatnonzero(self.known), io.BytesIO()
        parts: dict[str, Any] = {"rows": rows, "means": self.means[rows]}
        if self.has_scales:
            parts["logvars"] = self.logvars[rows]
        np.savez(buffer, mark=np.array(json.dumps({**mark, "version": VERSION})), **parts)
        try:
            write_atomically(file, buffer.getvalue())
            self.is_kept = True
        except RunError as error:
            log.warning("codes are not kept: %s", error)


def digest_of(*parts: nn.Module | Tensor | str) -> str:
    """Returns the SHA-256 of weights by their names, of numbers, of texts."""
    digest = hashlib.sha256()
    for part in parts:
        named = part.state_dict().items() if isinstance(part, nn.Module) else [("", part)]
        for name, value in named:
            digest.update(name.encode() if isinstance(value, Tensor) else str(value).encode())
            if isinstance(value, Tensor):
                digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def kept_file(folder: Path, part: str, images: str) -> Path:
    """Where the codes of a part are kept, whose images have that mark."""
    return folder / ENCODED / f"{part}-{images[:SHORT]}.npz"


def _content(data: bytes, count: int, dims: int) -> tuple[dict[str, Any], Array, Array, Array | None]:
    """The mark, rows, means and log variances. Raises as NumPy does, `ValueError` where they are of another kind."""
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        parts = dict(found)
    mark, rows, means, logvars = json.loads(str(parts["mark"])), parts["rows"], parts["means"], parts.get("logvars")
    if not isinstance(mark, dict) or mark.get("version") != VERSION:
        raise ValueError("it is of another version")
    shape = (len(rows), dims)
    tables = [means] if logvars is None else [means, logvars]
    are_rows = rows.ndim == 1 and rows.dtype.kind == "i" and (np.diff(rows) > 0).all()
    if not are_rows or (len(rows) and not 0 <= rows[0] <= rows[-1] < count):
        raise ValueError("its rows are no places of images")
    if any(table.shape != shape or table.dtype != np.float32 or not np.isfinite(table).all() for table in tables):
        raise ValueError("its codes are not those of these latents")
    return mark, rows, means, logvars


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).partition("\n")[0] or type(error).__name__
