"""The published Shapes3D file, 3dshapes.h5, read in pieces.

It is an HDF5 file with `images`, (480000, 64, 64, 3) uint8, and `labels`, (480000, 6) float64, in row-major order of
the factors. Nothing is taken for granted: the names, shapes and types, and that the labels go through all combinations
in that order. Of hues and scales two ranges of values are known, that of the file and that of its description.

Images are read many at a time, in steps of the file's own chunks, each of which spans the images of thousands of
combinations and is unpacked as a whole.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.arrays.hdf5 import array_in, opened
from vae_runner.datasets.arrays.pieces import Pieces
from vae_runner.datasets.factors import FactorGrid
from vae_runner.errors import UserError

__all__ = ["FILE_NAME", "PublishedFile", "find"]

FILE_NAME = "3dshapes.h5"

_IMAGES, _LABELS = "images", "labels"
_PIECE, _LARGEST = 4096, 32_768  # images read together, 50 MB, and where the file's chunks have more
_SPANS = {"hue": ((0.0, 0.9), (0.0, 1.0)), "scale": ((0.75, 1.25), (0.0, 1.0))}  # in the file, and in its description
_TOLERANCE = 1e-5


def find(root: str | Path) -> Path | None:
    """The file: `root` itself; or in it, or in a folder of the set's own in it. None if not there."""
    root = Path(root)
    folders = [root, *(root / name for name in ("shapes3d", "3dshapes", "3d-shapes"))]
    return next((path for path in (root, *(folder / FILE_NAME for folder in folders)) if path.is_file()), None)


class PublishedFile:
    """The images of a file that has one for each combination of `grid`, and the labels that say so.

    Args:
        path: of the file.
        grid: the factors, whose values the labels must have, in its order.
        side: of the images, pixels.

    Raises:
        UserError: in one line where it is damaged, or holds anything else; or where h5py is missing.

    Example:
        >>> import h5py
        >>> from vae_runner.datasets.factors import Factor
        >>> with h5py.File("3dshapes.h5", "w") as file:
        ...     file["images"], file["labels"] = np.zeros((2, 8, 8, 3), np.uint8), np.array([[0.0], [1.0]])
        >>> PublishedFile("3dshapes.h5", FactorGrid([Factor("shape", (0.0, 1.0))]), side=8).image_at(1).shape
        (3, 8, 8)
    """

    def __init__(self, path: str | Path, grid: FactorGrid, side: int = 64) -> None:
        self.path, self.count, self.image = Path(path), len(grid), (side, side, 3)
        with self._opened() as file:
            images, labels = (self._member(file, name) for name in (_IMAGES, _LABELS))
            self._check(_IMAGES, images, (self.count, *self.image), np.dtype(np.uint8))
            self._check(_LABELS, labels, (self.count, len(grid.names)), np.dtype(np.float64))
            self._pieces = Pieces(self._read, _step(images.chunks))
            self._check_labels(labels[()], grid)

    def image_at(self, position: int) -> NDArray[np.uint8]:
        """(3, side, side) uint8. Many threads may ask at once, about in order."""
        return self._pieces.at(position).transpose(2, 0, 1)

    def forget(self) -> None:
        """Let go of what was read."""
        self._pieces.forget()

    def _read(self, start: int, stop: int) -> NDArray[np.uint8]:
        with self._opened() as file:
            return file[_IMAGES][start:stop]

    def _opened(self) -> Any:
        without, damaged = ", or set dataset.source=render", "put the published file in its place"
        return opened(self.path, without, damaged)

    def _member(self, file: Any, name: str) -> Any:
        data = array_in(file, name)
        if data is None:
            held = ", ".join(sorted(file)) or "nothing"
            raise UserError(f"{self.path} has no array {name}: it holds {held}; expected {_IMAGES} and {_LABELS}")
        return data

    def _check(self, name: str, data: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        if data.shape != shape or data.dtype != dtype:
            raise UserError(f"{self.path}: {name} holds {data.dtype} {data.shape}, expected {dtype} {shape}")

    def _check_labels(self, labels: NDArray[np.float64], grid: FactorGrid) -> None:
        classes = np.stack(np.unravel_index(np.arange(self.count), grid.sizes), 1)
        for place, factor in enumerate(grid.factors):
            found, of_class = labels[:, place], classes[:, place]
            spans = [(factor.values[0], factor.values[-1]), *_SPANS.get(factor.name.rpartition("_")[2], ())]
            known = [np.linspace(low, high, factor.size)[of_class] for low, high in spans]
            wrong = min((~np.isclose(found, values, rtol=0, atol=_TOLERANCE) for values in known), key=np.count_nonzero)
            if wrong.any():
                row = int(wrong.argmax())
                raise UserError(
                    f"{self.path}: labels do not match the images' order: {factor.name} of image {row:,} is "
                    f"{found[row]:g}, expected {known[0][row]:g}"
                )


def _step(chunks: tuple[int, ...] | None) -> int:
    """How many images are read together: whole chunks, where these are not too many."""
    along = chunks[0] if chunks else 1
    return -(-_PIECE // along) * along if along <= _LARGEST else _PIECE
