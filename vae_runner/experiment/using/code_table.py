"""What a model knows of images, as columns: of q(z|x) the mean and the standard deviation, `mean` and `scale`, both
(N, D); of a family that is not normal its own parameters too, `weibull_k`; of several latent spaces each with its
number, `space0_mean`. Beside them the images' names, and of a data set with known factors these.

`.npz` holds the columns as they are (`numpy.load`): `names`, `mean`, ..., `factors` (N, K), and `factor_names`. `.csv`
has a line for each image, written as soon as it is known, and a column for each number: `mean_0`, `mean_1`, ...
"""

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE
from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import FactoredImages
from vae_runner.datasets.split import Subset
from vae_runner.distributions import SimpleNormal
from vae_runner.errors import UserError
from vae_runner.files import aside, flush, refusals_told
from vae_runner.foreign import read_bytes
from vae_runner.text import cell, plain

__all__ = ["BATCH", "CodeTable", "collected", "encoded", "of_subset", "read_codes", "written"]

BATCH = 256  # images at a time
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class CodeTable:
    """Codes of images.

    names     of the images, (N,): the names of their files, or their indices in the data set
    columns   `mean`, `scale` and so on, (N, D), by name
    factors   the value of each known factor, (N,), by the factor's name
    """

    names: np.ndarray
    columns: Columns = field(default_factory=dict)
    factors: Columns = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a column, or the values of a factor."""
        return self.columns[name] if name in self.columns else self.factors[name]

    def rows(self) -> Iterator[list[Any]]:
        """Returns what stands in a line of the CSV file for each image."""
        arrays = [values if values.ndim == 2 else values[:, None] for values in self.columns.values()]
        factors = list(self.factors.values())
        for place, name in enumerate(self.names.tolist()):
            numbers = [f"{number:.9g}" for values in arrays for number in values[place]]
            yield [cell(name), *numbers, *(cell(values[place].item()) for values in factors)]

    def header(self) -> list[str]:
        """Returns the names of the CSV file's columns."""
        numbered = [f"{name}_{index}" for name, values in self.columns.items() for index in range(values.shape[1])]
        return ["name", *numbered, *(str(cell(name)) for name in self.factors)]

    def save(self, file: str | Path) -> None:
        """Write the table to a `.npz` or a `.csv` file, which is replaced. Raises `UserError` for another ending."""
        for _ in written([self], Path(file).expanduser()):
            pass


def encoded(model: VAE, images: Tensor) -> Columns:
    """Returns the columns of a batch of images (B, C, H, W)."""
    posteriors, found = model.posteriors(images), Columns()
    for number, (posterior, space) in enumerate(zip(posteriors, model.spaces, strict=True)):
        prefix = f"space{number}_" if len(posteriors) > 1 else ""
        for name, value in _parts(posterior, space.family):
            found[prefix + name] = value.float().cpu().numpy()
    return found


def _parts(posterior: Distribution, family: str) -> Iterator[tuple[str, Tensor]]:
    """The columns of one latent space."""
    yield "mean", posterior.mean
    with contextlib.suppress(NotImplementedError):  # a family of the user's own need not have one
        yield "scale", posterior.stddev
    if not isinstance(posterior, SimpleNormal):
        for name in getattr(posterior, "parameter_names", None) or tuple(posterior.arg_constraints):
            yield f"{family}_{name}", getattr(posterior, name)


def of_subset(model: VAE, subset: Subset, device: torch.device, size: int = BATCH) -> Iterator[CodeTable]:
    """Yields the tables of the images of a data set, so many at a time, in their order."""
    every = torch.arange(len(subset), device=subset.indices.device)
    for positions in every.split(size):
        indices = subset.indices[positions]
        with torch.no_grad():
            columns = encoded(model, subset.batch(positions).to(device))
        yield CodeTable(_names(subset.data, indices.cpu()), columns, _factors(subset.data, indices.cpu()))


def _names(data: ImageData, indices: Tensor) -> np.ndarray:
    """The names of the images' files, where they are of files, else their indices."""
    entries = getattr(data, "entries", None)
    if isinstance(entries, list) and len(entries) == len(data):
        return np.array([plain(entries[index].name, 1000) for index in indices.tolist()])
    return np.array([str(index) for index in indices.tolist()])


def _factors(data: ImageData, indices: Tensor) -> Columns:
    """The value of each factor: its class's name where it has one; of a set without a grid what it says of itself."""
    grid = data.grid
    if grid is None:
        told = data.factors(indices).items()
        return {name: values.cpu().numpy() for name, values in told if values.dim() == 1}
    among = cast(FactoredImages, data).grid_indices(indices)
    classes, values = grid.classes_of(among), grid.values_of(among)
    found = Columns()
    for place in grid.varying:
        labels = grid.factors[place].labels
        named = np.array(labels)[classes[:, place].numpy()] if labels else values[:, place].numpy()
        found[grid.names[place]] = named
    return found


def collected(tables: Iterable[CodeTable]) -> CodeTable:
    """Returns all tables as one. Raises `ValueError` where there is none."""
    every = list(tables)
    if not every:
        raise ValueError("there are no images to encode")
    columns = {name: np.concatenate([table.columns[name] for table in every]) for name in every[0].columns}
    factors = {name: np.concatenate([table.factors[name] for table in every]) for name in every[0].factors}
    return CodeTable(np.concatenate([table.names for table in every]), columns, factors)


def written(tables: Iterable[CodeTable], file: Path) -> Iterator[CodeTable]:
    """Yields the tables as they come, and writes them; the file is there when all are, or not at all.

    Raises `UserError` where its ending is none of a table or there is no image, `RunError` where it cannot be written.
    """
    if file.suffix.lower() not in (".npz", ".csv"):
        raise UserError(f"out={plain(file)}: codes go into a file that ends in .npz or .csv")
    kept: list[CodeTable] = []
    with refusals_told(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with aside(file) as other, other.open("wb") as stream:
            for number, table in enumerate(tables):
                if file.suffix.lower() == ".csv":
                    stream.write(_lines([*([] if number else [table.header()]), *table.rows()]))
                kept.append(table if file.suffix.lower() == ".npz" else CodeTable(table.names[:0]))
                yield table
            if not kept:
                raise UserError("there is no image to encode")
            if file.suffix.lower() == ".npz":
                _write_arrays(stream, collected(kept))
            stream.flush()
            os.fsync(stream.fileno())
            other.replace(file)
        flush(file.parent)


def _write_arrays(stream: Any, table: CodeTable) -> None:
    arrays: dict[str, Any] = {"names": table.names, **table.columns}
    if table.factors:
        values = list(table.factors.values())
        is_text = any(column.dtype.kind == "U" for column in values)
        arrays["factor_names"] = np.array(list(table.factors))
        arrays["factors"] = np.stack([column.astype(str) if is_text else column for column in values], 1)
    np.savez(stream, **arrays)


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_codes(file: Path, dims: Sequence[int]) -> tuple[Tensor, ...]:
    """Returns the codes in a file, (N, D) of each latent space: the `mean`s, or `codes`, of a table such as `written`
    makes, or the array of a `.npy` file. Raises `UserError` where they are none of the model.
    """
    said = f"codes={plain(file)}"
    try:
        found = _arrays(file)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{said}: cannot be read: {plain(getattr(error, 'strerror', None) or error)}") from error
    except Exception as error:  # NumPy raises nearly anything on a damaged file
        raise UserError(f"{said}: is no table of codes") from error
    prefixes = [f"space{number}_" for number in range(len(dims))] if len(dims) > 1 else [""]
    parts = []
    for prefix, size in zip(prefixes, dims, strict=True):
        name = next(
            (one for one in (f"{prefix}codes", f"{prefix}mean", "" if len(dims) == 1 else "?") if one in found), None
        )
        if name is None:
            raise UserError(f"{said}: has no {prefix}mean; it has {', '.join(map(plain, found)) or 'nothing'}")
        values = np.asarray(found[name])
        if values.ndim != 2 or values.shape[1] != size or values.dtype.kind not in "fiu" or not len(values):
            raise UserError(
                f"{said}: {name or 'it'} is {values.dtype} {values.shape}, and the model has codes (N, {size})"
            )
        if not np.isfinite(values).all():
            raise UserError(f"{said}: {name or 'it'} has numbers that are not finite")
        parts.append(torch.from_numpy(values.astype(np.float32)))
    if len({len(part) for part in parts}) > 1:
        raise UserError(f"{said}: has {' and '.join(str(len(part)) for part in parts)} codes of the latent spaces")
    return tuple(parts)


def _arrays(file: Path) -> Mapping[str, np.ndarray]:
    """The arrays in a file by name, '' where it has one without a name."""
    if file.suffix.lower() == ".npy":
        return {"": np.load(io.BytesIO(read_bytes(file)), allow_pickle=False)}
    if file.suffix.lower() == ".npz":
        with np.load(io.BytesIO(read_bytes(file)), allow_pickle=False) as packed:
            return {name: packed[name] for name in packed.files if name.endswith(("mean", "codes"))}
    if file.suffix.lower() != ".csv":
        raise ValueError("codes are in a .npz, .npy or .csv file")
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as opened:
        rows = list(csv.reader(opened))
    header, found = rows[0] if rows else [], dict[str, list[int]]()
    for place, title in enumerate(header):
        name, _, index = title.rpartition("_")
        if index.isdecimal() and name.endswith(("mean", "codes")):
            found.setdefault(name, []).append(place)
    return {
        name: np.array([[float(row[place]) for place in places] for row in rows[1:]], np.float32)
        for name, places in found.items()
    }
