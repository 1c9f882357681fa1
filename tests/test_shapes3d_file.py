"""The published Shapes3D format, read from small files that h5py writes."""

import builtins
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vae_runner.datasets import Shapes3D
from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.datasets.scenes.shapes3d_file import FILE_NAME, PublishedFile, _step, find
from vae_runner.errors import UserError

HUES = (0.0, 0.3, 0.6, 0.9)
SMALL = FactorGrid(
    [
        *(Factor(f"{part}_hue", HUES, is_category=True, period=1.0) for part in ("floor", "wall", "object")),
        Factor("scale", (0.75, 1.0, 1.25)),
        Factor("shape", (0.0, 1.0), is_category=True),
        Factor("orientation", (-30.0, 0.0, 30.0)),
    ]
)
COUNT = 1152


def images(count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def labels() -> np.ndarray:
    """As a nest of loops goes through them."""
    values = [factor.values for factor in SMALL.factors]
    return np.stack([axis.ravel() for axis in np.meshgrid(*values, indexing="ij")], 1)


def write(folder: Path, order: tuple[str, ...] = ("images", "labels"), **changed: Any) -> Path:
    """A file like the published one, with arrays exchanged or, given as None, left out."""
    arrays = {"images": images(), "labels": labels()} | changed
    path = folder / FILE_NAME
    with h5py.File(path, "w") as file:
        for name in (*order, *(name for name in changed if name not in order)):
            if arrays[name] is not None:
                chunks = (500, 16, 16, 1) if np.shape(arrays[name]) == (COUNT, 64, 64, 3) else None
                file.create_dataset(name, data=arrays[name], chunks=chunks, compression="gzip" if chunks else None)
    return path


def told(path: Path) -> str:
    """The line that the file is refused with."""
    with pytest.raises(UserError) as caught:
        PublishedFile(path, SMALL)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("order", [("images", "labels"), ("labels", "images")])
def test_the_images_of_a_file_come_in_their_order(tmp_path: Path, order: tuple[str, str]) -> None:
    published = PublishedFile(write(tmp_path, order), SMALL)
    expected = images()
    for position in (0, 1, 499, 500, 1151, 3):
        image = published.image_at(position)
        assert (image.shape, image.dtype) == ((3, 64, 64), np.uint8)
        np.testing.assert_array_equal(image, expected[position].transpose(2, 0, 1))


def test_pieces_are_whole_chunks_where_these_are_not_too_large() -> None:
    chunks = [None, (1, 64, 64, 3), (1500, 4, 4, 1), (7500, 4, 4, 1), (480_000, 1, 1, 1)]
    assert [_step(each) for each in chunks] == [4096, 4096, 4500, 7500, 4096]


def test_each_piece_is_read_once_when_images_are_asked_for_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = PublishedFile(write(tmp_path), SMALL)
    published._pieces.step = 500
    read: list[int] = []
    whole = published._pieces.read
    monkeypatch.setattr(published._pieces, "read", lambda start, stop: read.append(start) or whole(start, stop))
    for position in range(0, COUNT, 50):
        published.image_at(position)
    assert read == [0, 500, 1000]
    assert len(published._pieces._kept) == 2


def test_hues_and_scales_may_be_labelled_as_the_description_of_the_set_has_them(tmp_path: Path) -> None:
    described = labels()
    described[:, :3] /= 0.9
    described[:, 3] = (described[:, 3] - 0.75) * 2
    assert PublishedFile(write(tmp_path, labels=described), SMALL).count == COUNT


def shuffled() -> np.ndarray:
    return np.random.default_rng(1).permutation(labels())


def one_wrong() -> np.ndarray:
    wrong = labels()
    wrong[700, 5] += 1
    return wrong


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"images": None}, "has no array images: it holds labels; expected images and labels"),
        ({"labels": None}, "has no array labels: it holds images; expected images and labels"),
        ({"images": None, "labels": None}, "has no array images: it holds nothing; expected images and labels"),
        ({"images": None, "imgs": [0]}, "has no array images: it holds imgs, labels; expected images and labels"),
        ({"images": images(0)}, ": images holds uint8 (0, 64, 64, 3), expected uint8 (1152, 64, 64, 3)"),
        ({"images": images(20)}, ": images holds uint8 (20, 64, 64, 3), expected uint8 (1152, 64, 64, 3)"),
        ({"images": images()[:, :32]}, ": images holds uint8 (1152, 32, 64, 3), expected uint8 (1152, 64, 64, 3)"),
        ({"images": images().transpose(0, 3, 1, 2)}, ": images holds uint8 (1152, 3, 64, 64), expected"),
        ({"images": (images() / 255).astype(np.float32)}, ": images holds float32 (1152, 64, 64, 3), expected uint8"),
        ({"images": 7}, ": images holds int64 (), expected uint8 (1152, 64, 64, 3)"),
        ({"images": "a text"}, ": images holds object (), expected uint8 (1152, 64, 64, 3)"),
        ({"labels": labels().astype(np.int64)}, ": labels holds int64 (1152, 6), expected float64 (1152, 6)"),
        ({"labels": labels()[:, :5]}, ": labels holds float64 (1152, 5), expected float64 (1152, 6)"),
        ({"labels": one_wrong()},
         ": labels do not match the images' order: orientation of image 700 is 1, expected 0"),
        ({"labels": labels()[::-1]},
         ": labels do not match the images' order: floor_hue of image 0 is 0.9, expected 0"),
        ({"labels": np.full((COUNT, 6), np.nan)}, "labels do not match the images' order: floor_hue of image 0 is nan"),
        ({"labels": shuffled()}, "labels do not match the images' order: floor_hue of image"),
        ({"labels": 2 * labels()}, "labels do not match the images' order: floor_hue of image"),
    ],
)  # fmt: skip
def test_a_file_that_holds_anything_else_is_refused_in_a_line(tmp_path: Path, changed: dict, line: str) -> None:
    path = write(tmp_path, **changed)
    assert told(path).startswith(f"{path}")
    assert line in told(path)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def a_page(content: bytes) -> bytes:
    return b"<html>404</html>"


@pytest.mark.parametrize("damaged", [truncated, emptied, a_page])
def test_a_damaged_file_says_so_in_a_line(tmp_path: Path, damaged: Callable[[bytes], bytes]) -> None:
    path = write(tmp_path)
    path.write_bytes(damaged(path.read_bytes()))
    line = told(path)
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith("): put the published file in its place")


def test_a_file_that_is_gone_is_not_called_damaged(tmp_path: Path) -> None:
    assert told(tmp_path / "nothing") == f"cannot read {tmp_path / 'nothing'}: No such file or directory"


def test_a_chunk_that_cannot_be_unpacked_is_told_when_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        PublishedFile(path, SMALL).image_at(0)


def test_arrays_that_lie_in_other_files_are_not_read(tmp_path: Path) -> None:
    other = write(tmp_path)
    other = other.rename(tmp_path / "other.h5")
    path = tmp_path / FILE_NAME
    with h5py.File(path, "w") as file:
        file["images"] = h5py.ExternalLink(str(other), "/images")
        file["labels"] = labels()
    assert "has no array images" in told(path)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((COUNT, 64, 64, 3), np.uint8)
        layout[:] = h5py.VirtualSource(str(other), "images", (COUNT, 64, 64, 3))
        file.create_virtual_dataset("images", layout)
        file["labels"] = labels()
    assert "has no array images" in told(path)


def test_without_h5py_the_line_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    real = builtins.__import__

    def without(name: str, *arguments: Any, **settings: Any) -> Any:
        if name == "h5py":
            raise ModuleNotFoundError("No module named 'h5py'")
        return real(name, *arguments, **settings)

    monkeypatch.delitem(sys.modules, "h5py")
    monkeypatch.setattr(builtins, "__import__", without)
    assert told(path) == (
        f"{path} is read by h5py, which is not there: pip install 'vae_runner[hdf5]', or set dataset.source=render"
    )


def test_the_file_is_found_itself_in_its_folder_and_in_one_of_the_set_s_own(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    (tmp_path / "shapes3d").mkdir()
    for path in (tmp_path / "shapes3d" / FILE_NAME, tmp_path / FILE_NAME):
        path.touch()
        assert find(tmp_path) == path
        assert find(path) == path


def test_the_data_set_takes_no_file_of_another_size(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(
        UserError, match=r"images holds uint8 \(1152, 64, 64, 3\), expected uint8 \(480000, 64, 64, 3\)"
    ):
        Shapes3D(path, cache_dir=tmp_path / "cache")
