"""MPI3D, Cars3D and SmallNORB, read from small files of their published formats."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from published_sets import (
    CARS,
    LEVELS,
    MPI3D_IMAGES,
    NORB_IMAGES,
    SmallCars3D,
    SmallestNORB,
    SmallMPI3D,
    car_files,
    mat,
    matrix,
    mesh,
    norb_files,
    norb_labels,
    write_cars,
    write_mpi3d,
    write_published,
)

from vae_runner.datasets import MPI3D, Cars3D, SmallNORB
from vae_runner.datasets.published.packed_set import PackedSet
from vae_runner.errors import UserError

KINDS = [SmallMPI3D, SmallCars3D, SmallestNORB]


def every(data: PackedSet) -> torch.Tensor:
    return torch.arange(len(data))


def levels(data: PackedSet) -> np.ndarray:
    return (data.gather(every(data)) * 255).round().byte().numpy()


def test_the_factors_are_those_of_the_published_sets() -> None:
    assert MPI3D.grid.sizes == (6, 6, 2, 3, 3, 40, 40)
    assert Cars3D.grid.sizes == (4, 24, 183)
    assert SmallNORB.grid.sizes == (5, 10, 9, 18, 6)
    assert [len(kind.grid) for kind in (MPI3D, Cars3D, SmallNORB)] == [1_036_800, 17_568, 48_600]


def test_mpi3d_has_the_images_of_its_file_in_row_major_order(tmp_path: Path) -> None:
    write_mpi3d(tmp_path)
    data = SmallMPI3D(tmp_path, cache_dir=tmp_path)
    np.testing.assert_array_equal(levels(data), MPI3D_IMAGES.transpose(0, 3, 1, 2))
    assert data.grid_indices(every(data)).tolist() == list(range(48))


@pytest.mark.parametrize("is_packed", [True, False])
def test_each_car_is_seen_from_where_its_factors_say(tmp_path: Path, is_packed: bool) -> None:
    if is_packed:
        write_cars(tmp_path)
    else:
        (tmp_path / "cars").mkdir()
        for name, content in car_files().items():
            (tmp_path / "cars" / name).write_bytes(content)
    data = SmallCars3D(tmp_path, cache_dir=tmp_path)
    for elevation, azimuth, car in ((0, 0, 0), (3, 5, 1), (1, 23, 2), (2, 7, 2)):
        index = data.grid.index_of(torch.tensor([[elevation, azimuth, car]]))
        shown = (data.images(index) * 255).round()
        assert shown.shape == (1, 3, 64, 64)
        assert shown.unique().tolist() == [LEVELS[car, azimuth, elevation]]


def test_cars_are_made_smaller_by_lanczos(tmp_path: Path) -> None:
    fine = np.random.default_rng(1).integers(0, 256, (128, 128, 3, 24, 4), dtype=np.uint8)
    write_cars(tmp_path, car_files() | {"car_1_mesh.mat": mat(im=fine)})
    data = SmallCars3D(tmp_path, cache_dir=tmp_path)
    expected = Image.fromarray(np.ascontiguousarray(fine[..., 5, 3])).resize((64, 64), Image.Resampling.LANCZOS)
    found = levels(data)[data.positions(data.grid.index_of(torch.tensor([[3, 5, 0]])))[0]]
    np.testing.assert_array_equal(found, np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize("is_packed", [True, False])
def test_norb_shows_what_the_left_camera_saw_of_each_combination(tmp_path: Path, is_packed: bool) -> None:
    for name, content in norb_files().items():
        if is_packed:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (tmp_path / name).write_bytes(content)
    data = SmallestNORB(tmp_path, cache_dir=tmp_path)
    category, info = norb_labels()
    for part, row in ((0, 0), (0, 47), (1, 3), (1, 30)):
        image = Image.fromarray(NORB_IMAGES[part, row, 0]).resize((64, 64), Image.Resampling.LANCZOS)
        instance, elevation, azimuth, lighting = info[part, row].tolist()
        index = data.grid.index_of(torch.tensor([[category[part, row], instance, elevation, azimuth // 2, lighting]]))
        np.testing.assert_array_equal((data.images(index) * 255).round().numpy()[0, 0], np.asarray(image))
    assert data.grid_indices(every(data)).unique().numel() == 96


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_start_reads_no_image_of_the_files(
    tmp_path: Path, kind: type[PackedSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_published(tmp_path)
    first = kind(tmp_path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(kind, "reader", None)
    again = kind(tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(levels(again), levels(first))
    assert again.fingerprint() == first.fingerprint()


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (MPI3D, "mpi3d_toy.npz"),
        (Cars3D, "nips2015-analogy-data.tar.gz, or data/cars of it,"),
        (SmallNORB, "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat.gz"),
    ],
)
def test_a_missing_file_is_told_with_where_it_goes_and_what_needs_none(
    tmp_path: Path, kind: type[PackedSet], wanted: str
) -> None:
    with pytest.raises(UserError) as told:
        kind(tmp_path)
    line = str(told.value)
    assert line.startswith(f"no {wanted} in dataset.root={tmp_path}: put the published file there, from http")
    assert line.endswith("; dataset=shapes3d has known factors and needs no file")
    assert "\n" not in line


def mpi3d(**arrays: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: write_mpi3d(folder, **arrays)


def half_of(name: str, write: Callable[[Path], object]) -> Callable[[Path], object]:
    def cut(folder: Path) -> None:
        write(folder)
        (folder / name).write_bytes((folder / name).read_bytes()[: (folder / name).stat().st_size // 2])

    return cut


def cars(**files: bytes) -> Callable[[Path], object]:
    return lambda folder: write_cars(folder, {f"{name}.mat": content for name, content in files.items()})


def norb(**changed: Any) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        for name, content in norb_files().items():
            part, kind = name.removesuffix(".mat").split("-")[2:]
            (folder / name).write_bytes(changed.get(f"{part}_{kind}", content))

    return write


CATEGORY, INFO = norb_labels()
ODD = INFO[0].copy()
ODD[5, 2] = 1
GOOD = mat(im=mesh(0))


@pytest.mark.parametrize(
    ("kind", "write", "line"),
    [
        (SmallMPI3D, mpi3d(images=MPI3D_IMAGES[:40]), r"images is uint8 \(40, 64, 64, 3\), expected uint8 \(48, 64"),
        (SmallMPI3D, mpi3d(images=MPI3D_IMAGES / 255), r"images is float64 \(48, 64, 64, 3\), expected uint8"),
        (SmallMPI3D, half_of("mpi3d_toy.npz", write_mpi3d), "mpi3d_toy.npz is damaged"),
        (SmallMPI3D, lambda folder: np.savez(folder / "mpi3d_toy.npz", imgs=MPI3D_IMAGES), "no array images: it holds"),
        (SmallCars3D, half_of("nips2015-analogy-data.tar.gz", write_cars), "data.tar.gz is damaged"),
        (SmallCars3D, cars(a=GOOD, b=GOOD), f"has 2 cars, expected {CARS} .mat files"),
        (SmallCars3D, cars(a=GOOD, b=GOOD, c=b"no mat"), "nips2015-analogy-data.tar.gz is damaged"),
        (SmallCars3D, cars(a=GOOD, b=GOOD, c=mat(mesh=mesh(0))), "there is no im, expected uint8"),
        (SmallCars3D, cars(a=GOOD, b=GOOD, c=mat(im=mesh(0)[:64])), r"im is uint8 \(64, 128, 3, 24, 4\), expected"),
        (SmallestNORB, norb(training_dat=matrix(NORB_IMAGES[0])[:-5]), r"training-dat.mat is damaged \(it ends early"),
        (SmallestNORB, norb(testing_cat=b""), r"testing-cat.mat is damaged \(it ends early"),
        (SmallestNORB, norb(testing_cat=64 * b"a"), "testing-cat.mat is no binary matrix .*magic number 0x61616161"),
        (SmallestNORB, norb(testing_dat=matrix(NORB_IMAGES[0, :40])), r"holds uint8 \(40, 2, 96, 96\), expected uint8"),
        (SmallestNORB, norb(training_info=matrix(ODD)), "training-info.mat: its azimuths are not 0, 2, ... 34"),
        (SmallestNORB, norb(training_cat=matrix(CATEGORY[0] + 1)), "do not fit: category is 2, but has 2 values"),
        (SmallestNORB, norb(training_info=matrix(INFO[1])), "are not all 96 combinations"),
    ],
)
def test_what_is_not_the_published_file_is_told_in_a_line(
    tmp_path: Path, kind: type[PackedSet], write: Callable[[Path], object], line: str
) -> None:
    write(tmp_path)
    with pytest.raises(UserError, match=line) as told:
        kind(tmp_path, cache_dir=tmp_path / "cache")
    assert "\n" not in str(told.value)


def test_without_scipy_the_line_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cars(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(UserError, match=r"Cars3D is read by SciPy: pip install 'vae_runner\[mat\]'"):
        SmallCars3D(tmp_path, cache_dir=tmp_path)


def test_a_version_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.version must be one of toy, realistic, real, got 'complex'"):
        MPI3D(tmp_path, version="complex")


def test_files_of_other_sets_beside_them_are_no_cars(tmp_path: Path) -> None:
    for name, content in norb_files().items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"no nips2015-analogy-data.tar.gz"):
        SmallCars3D(tmp_path, cache_dir=tmp_path)
