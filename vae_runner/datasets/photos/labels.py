"""What the images of a folder show, as a table beside them or the folders that they are in say.

    labels.csv                        folders
    file,shape,size                   photos/cat/1.png      class cat
    a/1.png,square,3                  photos/dog/old/2.png  class dog
    a/2.png,heart,1

The first column of a table names a file, below the root, with or without its ending, or without its folders where it is
the only one of its name. Each other column is a factor: of whole numbers, of numbers, or else of texts.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_runner.datasets.arrays.columns import grid_of_columns
from vae_runner.datasets.factors import FactorGrid
from vae_runner.datasets.reading.listing import Entry, printable
from vae_runner.datasets.reading.source import Source, ZipSource
from vae_runner.errors import UserError

__all__ = ["AUTO", "FOLDERS", "Labels", "may_know_factors", "read_labels"]

AUTO, FOLDERS = "auto", "folders"
_FILE = "labels.csv"
_SETTING = "dataset.labels"


class Labels:
    """The factors of the files of a set.

    Args:
        grid: all combinations of their classes.
        index_of: the index in it of each file, by its name below the root.
        source: of the labels, for people.

    Example:
        >>> grid, listed = grid_of_columns({"size": np.array([3, 1])})
        >>> labels = Labels(grid, {"a.png": 1, "b.png": 0}, "labels.csv")
        >>> labels.of([Entry("b.png", 0, 0)])
        tensor([0])
    """

    def __init__(self, grid: FactorGrid, index_of: Mapping[str, int], source: str) -> None:
        self.grid, self.index_of, self.source = grid, index_of, source
        self._last: tuple[Sequence[Entry], Tensor] = [], torch.empty(0, dtype=torch.int64)

    def of(self, entries: Sequence[Entry]) -> Tensor:
        """Returns the index in the grid of each file, (N,) int64."""
        if self._last[0] is not entries:
            found = [self.index_of[entry.name] for entry in entries]
            self._last = entries, torch.tensor(found, dtype=torch.int64)
        return self._last[1]

    def mark(self, pixels: str, entries: Sequence[Entry]) -> str:
        """Returns a hash of a hash of the pixels and of the labels of these files."""
        about = pixels + repr(self.grid.factors)
        return hashlib.sha256(about.encode() + self.of(entries).numpy().tobytes()).hexdigest()

    def describe(self) -> str:
        """Returns the factors and their sizes, for people."""
        sizes = zip(self.grid.names, self.grid.sizes, strict=True)
        return f"{', '.join(f'{name} {size}' for name, size in sizes)} ({self.source})"


def read_labels(source: Source, entries: Sequence[Entry], which: str | Path | None) -> Labels | None:
    """Returns the labels of the files of a set.

    Args:
        source: of the files.
        entries: the files.
        which: "folders", or a table in `root` or elsewhere; "auto": labels.csv in `root`, where it is; None: none.

    Raises:
        UserError: in one line where there is no such table, or files are not in it.
    """
    if which is None:
        return None
    if which == FOLDERS:
        names = [_class_folder(entry) for entry in entries]
        grid, listed = grid_of_columns({"class": np.array(names)}, setting=_SETTING)
        return Labels(grid, _by_name(entries, listed), "folders")
    found = _table(source, _FILE if which == AUTO else str(which))
    if found is None:
        if which == AUTO:
            return None
        raise UserError(f"{_SETTING}={printable(which)}: no such file, nor in dataset.root={printable(source.root)}")
    where, text = found
    columns = _columns(where, text, entries)
    grid, listed = grid_of_columns(columns, setting=f"{_SETTING}={where}")
    return Labels(grid, _by_name(entries, listed), Path(where).name)


def may_know_factors(node: Mapping[str, Any]) -> bool:
    """Returns whether a set of the `dataset` node of a config may know factors, before any file is read."""
    root, which = node.get("root"), node.get("labels")
    if which == AUTO and isinstance(root, str):
        path = Path(root).expanduser()
        return path.is_file() or (path / _FILE).is_file()
    return which is not None or node.get("factors") is not None


def _by_name(entries: Sequence[Entry], listed: Tensor) -> dict[str, int]:
    return {entry.name: index for entry, index in zip(entries, listed.tolist(), strict=True)}


def _class_folder(entry: Entry) -> str:
    folder, slash, _ = entry.name.replace("\\", "/").partition("/")
    if not slash:
        raise UserError(f"{_SETTING}=folders: {printable(entry.name)} is in no folder below dataset.root")
    return folder


def _table(source: Source, name: str) -> tuple[str, str] | None:
    """Where a table is, and its text; None where there is none."""
    places = [Path(name).expanduser()] if name != _FILE else []
    places += [] if isinstance(source, ZipSource) else [source.root / name]
    try:
        if (path := next((path for path in places if path.is_file()), None)) is not None:
            return printable(path), path.read_bytes().decode("utf-8-sig", "replace")
        packed = source.named((name,)) if isinstance(source, ZipSource) else None
        if packed is not None:
            with source.open(packed) as file:
                return source.location(packed), file.read().decode("utf-8-sig", "replace")
    except OSError as error:
        raise UserError(f"{_SETTING}: cannot read {printable(name)}: {error.strerror or error}") from error
    return None


def _columns(where: str, text: str, entries: Sequence[Entry]) -> dict[str, NDArray]:
    """The values of each factor, (N,), in the order of the files."""
    first = text.partition("\n")[0]
    rows = list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)))
    header, *rows = [[word.strip() for word in row] for row in rows if row] or [[]]
    names = header[1:]
    if not names or len(set(names)) < len(names) or not all(names):
        raise UserError(f"{_SETTING}={where}: expected a first line such as 'file,shape,size', got {first[:60]!r}")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header) or not all(row):
            got = ",".join(row)[:60]
            raise UserError(f"{_SETTING}={where}, line {number}: expected {len(header)} values, got {got!r}")
    values = _found(where, {row[0]: row[1:] for row in rows}, entries)
    return {name: _typed([row[place] for row in values]) for place, name in enumerate(names)}


def _found(where: str, rows: Mapping[str, list[str]], entries: Sequence[Entry]) -> list[list[str]]:
    """The row of each file."""
    alone = Counter(entry.name.rpartition("/")[2] for entry in entries)
    found, missing = [], []
    for entry in entries:
        base = entry.name.rpartition("/")[2]
        names = [entry.name, _stem(entry.name), *([base, _stem(base)] if alone[base] == 1 else [])]
        row = next((rows[name] for name in names if name in rows), None)
        if row is None:
            missing.append(entry.name)
        else:
            found.append(row)
    if missing:
        raise UserError(
            f"{_SETTING}={where} has no line for {len(missing):,} of {len(entries):,} images (first: "
            f"{printable(missing[0])}); its first column names files below dataset.root"
        )
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _typed(words: list[str]) -> NDArray:
    """Whole numbers, numbers, or texts."""
    for kind in (np.int64, np.float64):
        try:
            numbers = np.array(words).astype(kind)
        except (ValueError, OverflowError):
            continue
        if np.isfinite(numbers).all():
            return numbers
    return np.array(words)
