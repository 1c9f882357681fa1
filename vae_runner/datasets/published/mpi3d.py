"""MPI3D: photographs and renderings of an object that a robot's arm moves, 1,036,800 for seven factors.

A file, `mpi3d_toy.npz`, `mpi3d_realistic.npz` or `mpi3d_real.npz`, has the array `images`, (1036800, 64, 64, 3) uint8,
in row-major order of the factors, the vertical axis varying fastest.

Muhammad Waleed Gondal et al. 2019 (arXiv 1906.03292), "On the Transfer of Inductive Bias from Simulation to the Real
World: a New Disentanglement Dataset", https://github.com/rr-learning/disentanglement_dataset
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.arrays.array_file import ROOT, ArrayFile
from vae_runner.datasets.arrays.pieces import Pieces
from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.datasets.published.packed_set import SIDE, PackedSet
from vae_runner.errors import UserError

__all__ = ["MPI3D"]

Version = Literal["toy", "realistic", "real"]


def _named(name: str, *labels: str) -> Factor:
    return Factor(name, tuple(map(float, range(len(labels)))), is_category=True, labels=labels)


class MPI3D(PackedSet):
    """The images of one of the three versions.

    Args:
        root: the file, or the folder that it is in.
        version: "toy" and "realistic" are rendered, "real" is photographs.
        cache_dir: where the images are kept, unpacked, 12.7 GB; ~/.cache/vae_runner by default.

    Raises:
        UserError: in one line where the file is not there, is damaged, or holds anything else.

    Example:
        >>> MPI3D.grid.names[:3], MPI3D.grid.sizes, len(MPI3D.grid)
        (('object_color', 'object_shape', 'object_size'), (6, 6, 2, 3, 3, 40, 40), 1036800)
    """

    title = "MPI3D"
    image_shape = (3, SIDE, SIDE)
    grid = FactorGrid(
        [
            _named("object_color", "white", "green", "red", "blue", "brown", "olive"),
            _named("object_shape", "cone", "cube", "cylinder", "hexagonal", "pyramid", "sphere"),
            Factor("object_size", (0.0, 1.0), labels=("small", "large")),
            Factor("camera_height", (0.0, 1.0, 2.0), labels=("top", "center", "bottom")),
            _named("background_color", "purple", "sea green", "salmon"),
            Factor("horizontal_axis", tuple(map(float, range(40)))),
            Factor("vertical_axis", tuple(map(float, range(40)))),
        ]
    )

    def __init__(self, root: str | Path, version: Version = "toy", cache_dir: str | Path | None = None) -> None:
        if version not in get_args(Version):
            raise UserError(f"dataset.version must be one of {', '.join(get_args(Version))}, got {version!r}")
        self.version = version
        super().__init__(root, cache_dir)

    @property
    def provenance(self) -> dict[str, Any]:
        return super().provenance | {"version": self.version}

    def files(self) -> list[Path]:
        name = f"mpi3d_{self.version}.npz"
        folders = ("", "mpi3d/", f"mpi3d_{self.version}/")
        where = "https://github.com/rr-learning/disentanglement_dataset"
        return self.found([folder + name for folder in folders], name, where, "shapes3d")

    def reader(self, files: Sequence[Path]) -> Callable[[int], NDArray[np.uint8]]:
        array = ArrayFile(files[0], "images", ROOT)
        expected = (len(self.grid), SIDE, SIDE, 3)
        if array.shape != expected or array.dtype != np.uint8:
            raise UserError(f"{array.named}: images is {array.dtype} {array.shape}, expected uint8 {expected}")
        pieces = Pieces(array.read, array.step)
        return lambda position: pieces.at(position).transpose(2, 0, 1)
