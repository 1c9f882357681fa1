"""Factors stated as columns, one for each, with a value for each image; or as a grid, of which all images are there.

The values that occur are the classes: of numbers in rising order, of texts in that of the alphabet. So the images are a
list of some combinations of the classes, each with its index in the grid of all of them, see `datasets.factors`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.errors import UserError

__all__ = ["grid_of_columns", "grid_of_sizes"]

_SETTING = "dataset.factors"
_MOST = 4096  # classes of a factor
_INDEXED = 2**62  # combinations


def grid_of_columns(
    columns: Mapping[str, NDArray],
    categories: Sequence[str] = (),
    circular: Sequence[str] = (),
    setting: str = _SETTING,
) -> tuple[FactorGrid, Tensor]:
    """Returns the factors of some columns (N,), and of each image the index in their grid, (N,) int64.

    Args:
        columns: integers, floats, bools or texts, by the names of the factors.
        categories: the factors whose classes have no order; those of texts need not be among them.
        circular: the factors of which, behind the last class, the first one comes.
        setting: what names the columns in messages.

    Raises:
        UserError: in one line that names the factor, for what is no such column.

    Example:
        >>> grid, listed = grid_of_columns({"shape": np.array(["dot", "box", "dot"]), "size": np.array([1, 1, 3])})
        >>> grid.sizes, grid.factors[0].labels, listed.tolist()
        ((2, 2), ('box', 'dot'), [2, 0, 3])
    """
    _check_names(columns, categories, circular)
    found = {name: _classes(f"{setting}: {name}", np.asarray(column)) for name, column in columns.items()}
    grid = FactorGrid([_factor(name, values, categories, circular) for name, (values, _) in found.items()])
    _check_size(grid, setting)
    return grid, grid.index_of(torch.from_numpy(np.stack([classes for _, classes in found.values()], 1)))


def grid_of_sizes(
    sizes: Mapping[str, Any], count: int, categories: Sequence[str] = (), circular: Sequence[str] = ()
) -> FactorGrid:
    """Returns the grid of which `count` images are all combinations, in order, the last factor varying fastest.

    Args:
        sizes: of each factor, by its name, the number of its classes, or a list of their values or of their names.
        count: of the images.
        categories, circular: as of `grid_of_columns`.

    Raises:
        UserError: in one line.

    Example:
        >>> grid_of_sizes({"shape": ["dot", "box"], "size": 3}, count=6).sizes
        (2, 3)
    """
    _check_names(sizes, categories, circular)
    grid = FactorGrid([_factor(name, _stated(name, given), categories, circular) for name, given in sizes.items()])
    if len(grid) != count:
        product = " x ".join(f"{name} {size}" for name, size in zip(grid.names, grid.sizes, strict=True))
        raise UserError(
            f"dataset.factors: {product} are {len(grid):,} combinations, but there are {count:,} images; of images "
            "that are not all combinations, state a column for each factor"
        )
    return grid


def _check_names(known: Mapping[str, Any], categories: Sequence[str], circular: Sequence[str]) -> None:
    if not known:
        raise UserError("dataset.factors: there are none")
    for setting, names in (("categories", categories), ("circular", circular)):
        if unknown := [name for name in names if name not in known]:
            raise UserError(f"dataset.{setting}: there is no factor {unknown[0]}, there are {', '.join(known)}")


def _check_size(grid: FactorGrid, setting: str) -> None:
    if len(grid) >= _INDEXED:
        raise UserError(f"{setting}: {len(grid.names)} factors have {float(len(grid)):.1g} combinations: take fewer")


def _classes(name: str, column: NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    """The values that occur, (K,), and for each image which of them it has, (N,)."""
    if column.dtype == np.bool_:
        column = column.astype(np.int64)
    if column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    if column.dtype.kind not in "iufU":
        raise UserError(f"{name} is {column.dtype}, expected integers, floats or texts")
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        row = int((~np.isfinite(column)).argmax())
        raise UserError(f"{name} of image {row:,} is {column[row]}, expected a finite number")
    values, classes = np.unique(column, return_inverse=True)
    if len(values) > _MOST:
        raise UserError(
            f"{name} has {len(values):,} different values, at most {_MOST:,} are classes of a factor: "
            "leave it out, or put them into bins (numpy.digitize)"
        )
    return values, classes.astype(np.int64)


def _stated(name: str, given: Any) -> NDArray:
    """The values of a factor of a grid, (K,)."""
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return np.arange(given)
    values = np.array(given) if isinstance(given, (list, tuple)) and given else np.zeros(0, object)
    if values.ndim != 1 or values.dtype.kind not in "iufU" or len(np.unique(values)) != len(values):
        raise UserError(
            f"dataset.factors: {name} must be the number of its classes, or a list of different values, got {given!r}"
        )
    return values


def _factor(name: str, values: NDArray, categories: Sequence[str], circular: Sequence[str]) -> Factor:
    is_text = values.dtype.kind == "U"
    labels = tuple(map(str, values)) if is_text else ()
    numbers = tuple(map(float, range(len(values)) if is_text else values))
    try:
        return Factor(name, numbers, is_text or name in categories, _period(numbers, name in circular), labels)
    except ValueError as error:
        raise UserError(f"dataset.factors: {error}") from error


def _period(values: tuple[float, ...], is_circular: bool) -> float | None:
    """One step more than the classes span: behind the last one the first one comes."""
    if not is_circular:
        return None
    span = max(values) - min(values)
    return span * len(values) / (len(values) - 1) if span and math.isfinite(span) else 1.0
