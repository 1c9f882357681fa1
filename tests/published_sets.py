"""Small files of the formats in which MPI3D, Cars3D and SmallNORB are published, and the data sets of these."""

import io
import struct
import tarfile
from pathlib import Path

import numpy as np
from scipy.io import savemat

from vae_runner.datasets import MPI3D, Cars3D, SmallNORB
from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.datasets.published import cars3d

RANDOM = np.random.default_rng(0)
MPI3D_SIZES = (2, 2, 2, 1, 1, 3, 2)
NORB_SIZES = (2, 4, 2, 3, 2)
CARS = 3
MPI3D_IMAGES = RANDOM.integers(0, 256, (48, 64, 64, 3), dtype=np.uint8)
# Of a car, one level at each elevation and azimuth, so that its size does not matter.
LEVELS = RANDOM.integers(0, 256, (CARS, 24, 4), dtype=np.uint8)
NORB_IMAGES = RANDOM.integers(0, 256, (2, 48, 2, 96, 96), dtype=np.uint8)


def cut(grid: FactorGrid, sizes: tuple[int, ...]) -> FactorGrid:
    """The first classes of each factor."""
    return FactorGrid(
        [
            Factor(factor.name, factor.values[:size], factor.is_category, factor.period, factor.labels[:size])
            for factor, size in zip(grid.factors, sizes, strict=True)
        ]
    )


class SmallMPI3D(MPI3D):
    grid = cut(MPI3D.grid, MPI3D_SIZES)


class SmallCars3D(Cars3D):
    grid = cars3d._grid(CARS)


class SmallestNORB(SmallNORB):
    grid = cut(SmallNORB.grid, NORB_SIZES)


SMALL = {
    "mpi3d": "published_sets.SmallMPI3D",
    "cars3d": "published_sets.SmallCars3D",
    "smallnorb": "published_sets.SmallestNORB",
}


def write_mpi3d(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(folder / "mpi3d_toy.npz", **{"images": MPI3D_IMAGES} | arrays)
    return folder / "mpi3d_toy.npz"


def mesh(car: int) -> np.ndarray:
    """`im` of a car."""
    return np.broadcast_to(LEVELS[car], (128, 128, 3, 24, 4)).copy()


def mat(**content: np.ndarray) -> bytes:
    file = io.BytesIO()
    savemat(file, content, do_compression=True)
    return file.getvalue()


def car_files() -> dict[str, bytes]:
    """Cars 1, 2 and 10, as their files' names say."""
    return {f"car_{name}_mesh.mat": mat(im=mesh(car)) for car, name in enumerate(("1", "2", "10"))}


def write_cars(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """The archive, its members in no order, and others among them."""
    path = folder / "nips2015-analogy-data.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        members = {"data/shapes/x.mat": b"no mat"} | {
            f"data/cars/{name}": content for name, content in reversed((files or car_files()).items())
        }
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return path


def matrix(array: np.ndarray) -> bytes:
    """An array in the binary matrix format."""
    magic = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54}[array.dtype.name]
    sizes = [*array.shape, *[1] * (3 - array.ndim)]
    return (
        struct.pack(f"<Ii{len(sizes)}i", magic, array.ndim, *sizes)
        + array.astype(array.dtype.newbyteorder("<")).tobytes()
    )


def norb_labels() -> tuple[np.ndarray, np.ndarray]:
    """Category (2, 48) and info (2, 48, 4): instances 1 and 3 to train on, 0 and 2 to test on, both in some order."""
    category, info = [], []
    for part, instances in enumerate(((1, 3), (0, 2))):
        rows = [
            (kind, instance, elevation, 2 * azimuth, lighting)
            for kind in range(2)
            for instance in instances
            for elevation in range(2)
            for azimuth in range(3)
            for lighting in range(2)
        ]
        rows = [rows[place] for place in np.random.default_rng(part).permutation(len(rows))]
        category.append([row[0] for row in rows])
        info.append([row[1:] for row in rows])
    return np.array(category, np.int32), np.array(info, np.int32)


def norb_files() -> dict[str, bytes]:
    category, info = norb_labels()
    stems = ("smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing")
    return {
        f"{stem}-{kind}.mat": matrix(array[part])
        for part, stem in enumerate(stems)
        for kind, array in (("dat", NORB_IMAGES), ("cat", category), ("info", info))
    }


def write_published(folder: Path) -> None:
    """All three sets, SmallNORB's files unpacked."""
    write_mpi3d(folder)
    write_cars(folder)
    for name, content in norb_files().items():
        (folder / name).write_bytes(content)
