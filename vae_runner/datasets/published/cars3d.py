"""Cars3D: 17,568 colour images of 183 models of cars from 96 sides.

The archive `nips2015-analogy-data.tar.gz` has, in `data/cars`, a MATLAB file for each car, in which `im` is
(128, 128, 3, 24, 4) uint8: the rows, columns and colours of an image for each azimuth and elevation. They are made 64
pixels wide. Cars are numbered in the order of their files' names, and an image is at the index
(car * 24 + azimuth) * 4 + elevation of the set.

Scott Reed, Yi Zhang, Yuting Zhang and Honglak Lee 2015, "Deep Visual Analogy-Making", NeurIPS,
http://www.scottreed.info
"""

import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.datasets.published.packed_set import SIDE, PackedSet, shrunk
from vae_runner.datasets.reading.listing import printable
from vae_runner.errors import UserError

__all__ = ["Cars3D"]

_ARCHIVE = "nips2015-analogy-data.tar.gz"
_FOLDERS = ("data/cars", "cars", "cars3d/data/cars", "cars3d/cars", "cars3d", ".")
_MEMBER = re.compile(r"(?:.*/)?cars/[^/]+\.mat$")
_ELEVATIONS, _AZIMUTHS, _WIDE = 4, 24, 128
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, ValueError, TypeError, KeyError, IndexError, NotImplementedError)


def _grid(cars: int) -> FactorGrid:
    return FactorGrid(
        [
            Factor("elevation", tuple(map(float, range(_ELEVATIONS)))),
            Factor("azimuth", tuple(map(float, range(_AZIMUTHS))), period=float(_AZIMUTHS)),
            Factor("object", tuple(map(float, range(cars))), is_category=True),
        ]
    )


class Cars3D(PackedSet):
    """The images of all cars.

    Args:
        root: the folder of the archive or of its `.mat` files, or the archive.
        cache_dir: where the images are kept, unpacked, 216 MB; ~/.cache/vae_runner by default.

    Raises:
        UserError: in one line where the files are not there, are damaged, or hold anything else.

    Example:
        >>> Cars3D.grid.names, Cars3D.grid.sizes
        (('elevation', 'azimuth', 'object'), (4, 24, 183))
    """

    title = "Cars3D"
    image_shape = (3, SIDE, SIDE)
    grid = _grid(183)

    def __init__(self, root: str | Path, cache_dir: str | Path | None = None) -> None:
        cars = self.grid.sizes[2]
        places = torch.cartesian_prod(torch.arange(cars), torch.arange(_AZIMUTHS), torch.arange(_ELEVATIONS))
        self.listed = self.grid.index_of(places.flip(1))
        super().__init__(root, cache_dir)

    def files(self) -> list[Path]:
        for folder in _FOLDERS:
            place = self.root / folder
            found = sorted(place.glob("*.mat"), key=lambda path: _numbered(path.name))
            if found and place.resolve().name in ("cars", "cars3d"):  # other sets have .mat files, too
                return found
        folders = ("", "cars3d/")
        return self.found(
            [f"{folder}{_ARCHIVE}" for folder in folders], f"{_ARCHIVE}, or data/cars of it,", "http://www.scottreed.info",
            "shapes3d",
        )  # fmt: skip

    def reader(self, files: Sequence[Path]) -> Callable[[int], NDArray[np.uint8]]:
        """All cars are read at once: of an archive that is read twice, the second time would be as long."""
        cars = self.grid.sizes[2]
        pixels = np.empty((cars, _AZIMUTHS, _ELEVATIONS, *self.image_shape), np.uint8)
        places: dict[str, int] = {}  # of the files' names among the pixels, in the order in which they are read
        for name, images in tqdm(self._meshes(files), desc="reading Cars3D", total=cars, unit=" cars", disable=None):
            place = places.setdefault(name, len(places))
            if place < cars:
                pixels[place] = images
        if len(places) != cars:
            raise UserError(f"dataset.root={printable(self.root)} has {len(places)} cars, expected {cars} .mat files")
        order = [places[name] for name in sorted(places, key=_numbered)]
        views = _AZIMUTHS * _ELEVATIONS
        rows = pixels.reshape(cars, views, *self.image_shape)
        return lambda position: rows[order[position // views], position % views]

    def _meshes(self, files: Sequence[Path]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """The name of each car's file, and its images (24, 4, 3, 64, 64)."""
        if files[0].suffix == ".mat":
            yield from ((file.name, _mesh(file, file)) for file in files)
            return
        try:
            with tarfile.open(files[0], "r|gz") as archive:
                for member in archive:
                    if member.isfile() and _MEMBER.match(member.name):
                        content = archive.extractfile(member)
                        assert content is not None
                        yield Path(member.name).name, _mesh(io.BytesIO(content.read()), files[0])
        except _DAMAGE as error:
            raise _damaged(files[0], error) from error
        except OSError as error:
            raise UserError(f"cannot read {printable(files[0])}: {error.strerror or error}") from error


def _mesh(file: Any, named: Path) -> NDArray[np.uint8]:
    """The images of a car, (24, 4, 3, 64, 64)."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise UserError(f"Cars3D is read by SciPy: pip install 'vae_runner[mat]' ({error})") from error
    try:
        content = loadmat(file)
    except (*_DAMAGE, OSError, MatReadError) as error:
        raise _damaged(named, error) from error
    images, shape = content.get("im"), (_WIDE, _WIDE, 3, _AZIMUTHS, _ELEVATIONS)
    if not isinstance(images, np.ndarray) or images.shape != shape or images.dtype != np.uint8:
        held = f"im is {images.dtype} {images.shape}" if isinstance(images, np.ndarray) else "there is no im"
        raise UserError(f"{printable(named)}: {held}, expected uint8 {shape}")
    views = images.transpose(3, 4, 0, 1, 2).reshape(-1, _WIDE, _WIDE, 3)
    small = np.stack([shrunk(np.ascontiguousarray(view)) for view in views])
    return small.reshape(_AZIMUTHS, _ELEVATIONS, *small.shape[1:])


def _damaged(path: Path, error: BaseException) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{printable(path)} is damaged ({reason}): put the published file in its place")


def _numbered(name: str) -> list[Any]:
    """The name as it is sorted: numbers in it by their size."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]
