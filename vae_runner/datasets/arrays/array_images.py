"""Images in an array of one's own, with the factors that they were made of where these are known.

Levels, uint8 or bool, are unpacked once into a prepared store (`store.preparation`) and read from there, whatever the
file; floats in [0, 1] are read at each start and kept as they are, in memory or beside it (`store.host_array`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from vae_runner.datasets.arrays.array_file import ArrayFile
from vae_runner.datasets.arrays.columns import grid_of_columns, grid_of_sizes
from vae_runner.datasets.arrays.pieces import Pieces
from vae_runner.datasets.factors import FactorGrid
from vae_runner.datasets.reading.item import NoImageError, levels_of
from vae_runner.datasets.reading.listing import printable
from vae_runner.datasets.store.host_array import HostArray, room_for
from vae_runner.datasets.store.known_digest import known_digest
from vae_runner.datasets.store.pixel_rows import Rows
from vae_runner.datasets.store.preparation import open_store
from vae_runner.datasets.store.row_images import RowImages
from vae_runner.errors import UserError
from vae_runner.paths import cache_dir as cache_folder

__all__ = ["ArrayImages"]

Layout = Literal["auto", "NHW", "NHWC", "NCHW"]

_COLOURS = (1, 3)  # channels by which an order is told from the other
_IMAGES = ("images", "imgs", "image", "x", "X")  # usual names
_FACTORS = ("factors", "labels", "classes", "latents_classes", "y")
_NAMES = "names"


class ArrayImages(RowImages):
    """The images of a file `.npy`, `.npz` or `.h5`: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8, bool or floats in
    [0, 1].

    Args:
        images: the file, in `root`.
        root: the folder that the files are in.
        image_key: which array of a file with several; None: the one that is called images, imgs, x.
        layout: the order of the axes; "auto": as the one or three channels say.
        factors: what the images were made of. A file of integers, floats or texts, (N, F), or (N,) for one factor,
            which may be the file of the images; or the sizes, values or class names of each factor by its name, where
            the images are all combinations, the last factor varying fastest; None: it is not known.
        factor_key: which array of a file with several; or several, (N,) each, which name the factors.
        names: of the factors, in the order of the columns; None: the texts called `names` in their file.
        categories, circular: factors whose classes have no order; of which the first class comes behind the last one.
        cache_dir: where unpacked images are kept; ~/.cache/vae_runner by default.

    Raises:
        UserError: in one line where a file is not there, is damaged, or holds anything else.

    Example:
        >>> np.save("bars.npy", np.zeros((6, 8, 8), np.uint8))
        >>> bars = ArrayImages("bars.npy", factors={"shape": ["dot", "box"], "size": 3}, cache_dir="cache")
        >>> bars.image_shape, bars.factors(torch.tensor([5]))
        ((1, 8, 8), {'shape': tensor([1]), 'size': tensor([2.], dtype=torch.float64)})
    """

    def __init__(
        self,
        images: str | Path,
        root: str | Path = ".",
        image_key: str | None = None,
        layout: Layout = "auto",
        factors: str | Path | dict[str, Any] | None = None,
        factor_key: str | list[str] | None = None,
        names: list[str] | None = None,
        categories: Sequence[str] = (),
        circular: Sequence[str] = (),
        cache_dir: str | Path | None = None,
    ) -> None:
        if layout not in get_args(Layout):
            raise UserError(f"dataset.layout must be one of {', '.join(get_args(Layout))}, got {layout!r}")
        self.root = Path(root).expanduser()
        self._cache = cache_folder(cache_dir)
        file = ArrayFile(self.root / Path(images).expanduser(), image_key, "dataset.images", _IMAGES)
        self._order = _channels_first(file, layout)
        self._count = file.shape[0]
        self._source = file.path.name
        if isinstance(factors, Mapping):
            _refuse_unused({"factor_key": factor_key, "names": names}, "dataset.factors states a grid")
            self._grid = grid_of_sizes(factors, self._count, categories, circular)
        elif factors is not None:
            columns = _Columns(self.root / Path(factors).expanduser(), factor_key, names, self._count).read()
            self._grid, self.listed = grid_of_columns(columns, categories, circular)
        else:
            unused = {"factor_key": factor_key, "names": names, "categories": categories, "circular": circular}
            _refuse_unused(unused, "dataset.factors is not set")
        self._rows = self._read(file)
        self._mark = hashlib.sha256((self._rows.fingerprint() + _told(self._grid, self.listed)).encode()).hexdigest()
        file.close()

    def __len__(self) -> int:
        return self._count

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self._shape

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the images come from, and the names of their factors."""
        known = {} if self._grid is None else {"factors": list(self._grid.names)}
        return {"source": self._source, "root": printable(self.root.absolute()), **known}

    def fingerprint(self) -> str:
        """Returns a hash of the pixels and the factors."""
        return self._mark

    def _read(self, file: ArrayFile) -> Rows:
        sizes = [file.shape[axis] if axis is not None else 1 for axis in self._order[1:]]
        self._shape = (sizes[0], sizes[1], sizes[2])
        if file.dtype.kind == "f":
            return HostArray(_floats(file, self._order, self._shape, self._cache))
        if file.dtype not in (np.uint8, np.bool_):
            raise UserError(
                f"{file.named}: {file.key} is {file.dtype}, expected uint8, bool, or floats in [0, 1]; of 0 to 255, "
                "images.astype(numpy.uint8), of more, images / numpy.float32(the largest that there can be)"
            )
        digest, pieces = known_digest(file.path, self._cache), Pieces(file.read, file.step)
        rows = open_store(
            self._cache,
            hashlib.sha256(f"array {digest} {file.key} {self._order}".encode()).hexdigest(),
            self._shape,
            self._count,
            lambda position: levels_of(_moved(pieces.at(position)[None], self._order))[0],
            printable(file.path.absolute()),
            lambda: digest,
            remedy="set dataset.cache_dir=DIR",
        )
        pieces.forget()
        return rows


class _Columns:
    """What a file says of the factors of `count` images."""

    def __init__(self, path: Path, key: str | list[str] | None, names: list[str] | None, count: int) -> None:
        self.path, self.key, self.names, self.count = path, key, names, count

    def read(self) -> dict[str, NDArray]:
        """The values of each factor, (N,), by its name. Raises `UserError` where they are not those of the images."""
        if isinstance(self.key, list):
            _refuse_unused({"names": self.names}, "dataset.factor_key names the factors")
            if not self.key:
                raise UserError("dataset.factor_key=[] names no array")
            return {name: self._column(self._array(name)) for name in self.key}
        array = self._array(self.key)
        values = array.whole()
        if values.ndim not in (1, 2) or len(values) != self.count or not values.size:
            raise UserError(
                f"{array.named}: {array.key} is {array.shape}, expected ({self.count}, number of factors): a row for "
                "each image"
            )
        columns = values.reshape(self.count, -1)
        names = self._names(array, columns.shape[1])
        return {name: columns[:, place] for place, name in enumerate(names)}

    def _array(self, key: str | None) -> ArrayFile:
        return ArrayFile(self.path, key, "dataset.factors", _FACTORS)

    def _column(self, array: ArrayFile) -> NDArray:
        if array.shape != (self.count,):
            raise UserError(
                f"{array.named}: {array.key} is {array.shape}, expected ({self.count},): one for each image"
            )
        return array.whole()

    def _names(self, array: ArrayFile, count: int) -> list[str]:
        names = self.names
        if names is None and _NAMES in array.keys and array.key != _NAMES:
            names = [_text(name) for name in np.atleast_1d(ArrayFile(self.path, _NAMES, "dataset.factors").whole())]
        if names is None and count == 1:
            names = [array.key]
        if names is None or len(names) != count or len(set(names)) != count:
            given = "" if names is None else f", no two of them alike, got {', '.join(names)}"
            raise UserError(
                f"{array.named}: {array.key} has {count} columns; set dataset.names=[...] to the names of so many "
                f"factors{given}"
            )
        return names


def _refuse_unused(settings: Mapping[str, Any], why: str) -> None:
    if used := [f"dataset.{name}" for name, value in settings.items() if value]:
        raise UserError(f"{', '.join(used)}: {why}: leave {'it' if len(used) == 1 else 'them'} out")


def _channels_first(file: ArrayFile, layout: Layout) -> tuple[int | None, ...]:
    """Which axes of the array are (N, C, H, W); None: it has no such axis, of one channel."""
    orders: dict[str, tuple[int | None, ...]] = {
        "NHW": (0, None, 1, 2), "NHWC": (0, 3, 1, 2), "NCHW": (0, 1, 2, 3),
    }  # fmt: skip
    shape = file.shape
    if len(shape) not in (3, 4) or (layout != "auto" and len(shape) != len(layout)):
        wanted = "(N, H, W), (N, H, W, C) or (N, C, H, W)" if layout == "auto" else layout
        raise UserError(f"{file.named}: {file.key} is {shape}, expected {wanted}")
    if 0 in shape:
        raise UserError(f"{file.named}: {file.key} is {shape}: there are no images")
    if layout != "auto" or len(shape) == 3:
        return orders[layout if layout != "auto" else "NHW"]
    first, last = shape[1] in _COLOURS, shape[3] in _COLOURS
    if first == last:
        which = "both" if first else "neither"
        raise UserError(
            f"{file.named}: {file.key} is {shape}: the channels are first or last, and {which} can be 1 or 3; set "
            "dataset.layout=NHWC or NCHW"
        )
    return orders["NCHW" if first else "NHWC"]


def _moved(rows: NDArray, order: tuple[int | None, ...]) -> NDArray:
    """(B, C, H, W) of rows as the file has them."""
    return rows[:, None] if None in order else rows.transpose(*order)  # type: ignore[arg-type]


def _floats(file: ArrayFile, order: tuple[int | None, ...], shape: tuple[int, int, int], cache: Path) -> Tensor:
    """All images, (N, C, H, W), float32, or uint8 where all are levels k/255."""
    count, are_levels = file.shape[0], True
    pixels = room_for((count, *shape), False, cache)
    for start in tqdm(range(0, count, file.step), desc=f"reading {file.path.name}", disable=None):
        part = _moved(file.read(start, start + file.step), order)
        try:
            levels = levels_of(np.ascontiguousarray(part))
        except NoImageError as error:
            raise UserError(f"{file.named}: images {start:,} to {start + len(part) - 1:,}: {error}") from error
        are_levels = are_levels and levels.dtype == np.uint8
        values = torch.from_numpy(levels)
        pixels[start : start + len(part)] = values.float() / 255 if values.dtype == torch.uint8 else values
    if not are_levels:
        return pixels
    as_levels = room_for((count, *shape), True, cache)
    for rows in torch.arange(count).split(1024):
        as_levels[rows] = (pixels[rows] * 255).round().to(torch.uint8)
    return as_levels


def _told(grid: FactorGrid | None, listed: Tensor | None) -> str:
    """What is said of the factors, as a text that is another one where anything of it is."""
    if grid is None:
        return ""
    return repr(grid.factors) + ("" if listed is None else hashlib.sha256(listed.numpy().tobytes()).hexdigest())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
