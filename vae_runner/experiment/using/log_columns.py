"""A run's log as columns: of each kind of record an array for each figure, in the order of the steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_runner.foreign import number
from vae_runner.runs.read import read_run

__all__ = ["Columns", "log_columns"]

Columns = dict[str, np.ndarray]


def log_columns(folder: Path) -> dict[str, Columns]:
    """Returns the columns of the records of training and of validation, (N,), or (N, D) of figures that are lists, such
    as `kl_dims`; nan where a record has no such figure. Losses are in nats per image.
    """
    run = read_run(folder, with_pictures=False)
    return {"train": _columns(run.train), "validation": _columns(run.validation)}


def _columns(records: Sequence[Mapping[str, Any]]) -> Columns:
    names = dict.fromkeys(name for record in records for name in record)
    found = {name: _column([record.get(name) for record in records]) for name in names}
    return {name: column for name, column in found.items() if column is not None}


def _column(values: Sequence[Any]) -> np.ndarray | None:
    """The figures; None of what is none, such as the kind of the record."""
    lengths = {len(value) for value in values if isinstance(value, list)}
    if len(lengths) > 1 or not any(isinstance(value, list) or number(value) is not None for value in values):
        return None
    if not lengths:
        figures = [number(value) for value in values]
        if all(isinstance(figure, int) for figure in figures):
            return np.array(figures)
        return np.array([np.nan if figure is None else figure for figure in figures], float)
    width = lengths.pop()
    rows = [value if isinstance(value, list) else [None] * width for value in values]
    return np.array([[np.nan if (one := number(value)) is None else one for value in row] for row in rows], float)
