"""SmallNORB: 48,600 gray photographs of fifty toys in five categories, from 162 sides, under six lightings.

Six files hold what was meant to train on and to test on, toys of their own each: the images of two cameras,
(24300, 2, 96, 96) bytes, of which the left one's are taken and made 64 pixels wide; the categories, (24300,); and
instance, elevation, azimuth (0 to 34, every second) and lighting, (24300, 4). The set has both halves, one behind the
other, in the order of the files.

Yann LeCun, Fu Jie Huang and Leon Bottou 2004, "Learning Methods for Generic Object Recognition with Invariance to Pose
and Lighting", CVPR, https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vae_runner.datasets.arrays.pieces import Pieces
from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.datasets.published.binary_matrix import BinaryMatrix
from vae_runner.datasets.published.packed_set import SIDE, PackedSet, shrunk
from vae_runner.datasets.reading.listing import printable
from vae_runner.errors import UserError

__all__ = ["SmallNORB"]

_STEMS = tuple(f"smallnorb-5x{instances}x9x18x6x2x96x96" for instances in ("46789", "01235"))
_PARTS = (f"{_STEMS[0]}-training", f"{_STEMS[1]}-testing")
_KINDS = ("dat", "cat", "info")
_WIDE, _CAMERAS = 96, 2
_BYTES, _INTEGERS = np.dtype("u1"), np.dtype("<i4")
_TOGETHER = 512  # images that are read at a time


class SmallNORB(PackedSet):
    """The left camera's images.

    Args:
        root: the folder of the six files, `.mat` or `.mat.gz`.
        cache_dir: where the images are kept, unpacked, 199 MB; ~/.cache/vae_runner by default.

    Raises:
        UserError: in one line where files are not there, are damaged, or hold anything else.

    Example:
        >>> SmallNORB.grid.names, SmallNORB.grid.sizes
        (('category', 'instance', 'elevation', 'azimuth', 'lighting'), (5, 10, 9, 18, 6))
    """

    title = "SmallNORB"
    image_shape = (1, SIDE, SIDE)
    grid = FactorGrid(
        [
            Factor(
                "category",
                tuple(map(float, range(5))),
                is_category=True,
                labels=("animal", "human", "airplane", "truck", "car"),
            ),
            Factor("instance", tuple(map(float, range(10))), is_category=True),
            Factor("elevation", tuple(map(float, range(30, 75, 5)))),
            Factor("azimuth", tuple(map(float, range(0, 360, 20))), period=360.0),
            Factor("lighting", tuple(map(float, range(6))), is_category=True),
        ]
    )

    def __init__(self, root: str | Path, cache_dir: str | Path | None = None) -> None:
        self.root = Path(root).expanduser()
        self.listed = self._labels(self.files())
        super().__init__(root, cache_dir)

    def files(self) -> list[Path]:
        return [self._file(f"{part}-{kind}.mat") for part in _PARTS for kind in _KINDS]

    def reader(self, files: Sequence[Path]) -> Callable[[int], NDArray[np.uint8]]:
        half = len(self.grid) // 2
        parts = [BinaryMatrix(file, (half, _CAMERAS, _WIDE, _WIDE), _BYTES) for file in files[::3]]
        pieces = [Pieces(part.read, _TOGETHER) for part in parts]
        return lambda position: shrunk(np.ascontiguousarray(pieces[position // half].at(position % half)[0]))

    def _file(self, name: str) -> Path:
        folders = (self.root, *(self.root / folder for folder in ("smallnorb", "small_norb", "SmallNORB")))
        tried = (folder / f"{name}{ending}" for folder in folders for ending in ("", ".gz"))
        if (found := next((path for path in tried if path.is_file()), None)) is None:
            raise self.missing(f"{name}.gz", "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/", "shapes3d")
        return found

    def _labels(self, files: Sequence[Path]) -> torch.Tensor:
        """The index in the grid of each image. Raises `UserError` where they are not all combinations, once each."""
        half, found = len(self.grid) // 2, []
        for part in range(len(_PARTS)):
            _, category, info = files[3 * part : 3 * part + 3]
            categories = BinaryMatrix(category, (half,), _INTEGERS).whole()
            instance, elevation, azimuth, lighting = BinaryMatrix(info, (half, 4), _INTEGERS).whole().T
            if (azimuth % 2).any():
                raise UserError(f"{printable(info)}: its azimuths are not 0, 2, ... 34")
            found.append(np.stack([categories, instance, elevation, azimuth // 2, lighting], 1))
        classes = torch.from_numpy(np.concatenate(found).astype(np.int64))
        where = f"the labels of SmallNORB in {printable(files[1].parent)}"
        try:
            listed = self.grid.index_of(classes)
        except IndexError as error:
            raise UserError(f"{where} do not fit: {error}") from error
        if len(listed.unique()) != len(self.grid):
            raise UserError(f"{where} are not all {len(self.grid):,} combinations")
        return listed
