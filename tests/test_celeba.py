import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import write_noise, write_photos
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from vae_runner.datasets import CelebA, CelebA_HQ
from vae_runner.datasets.photos import celeba
from vae_runner.datasets.photos.celeba import COUNTS, LIST_NAME
from vae_runner.engine import Engine
from vae_runner.errors import UserError


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "celeba/img_align_celeba", 6, (178, 218))


def write_list(folder: Path) -> Path:
    file = folder / LIST_NAME
    file.write_text("".join(f"{number:06d}.jpg {number % 3}\n" for number in range(1, 8)))
    return file


def names(data: CelebA) -> list[str]:
    return [path.name for path in data.paths]


@pytest.mark.parametrize("above", [0, 1])
@pytest.mark.parametrize(
    ("split", "numbers"),
    [("all", range(1, 7)), ("train", [3, 6]), ("valid", [1, 4]), ("test", [2, 5])],
)
def test_the_parts_are_those_of_the_official_list(faces: Path, above: int, split: str, numbers: list[int]) -> None:
    write_list([faces, faces.parent][above])  # S5
    assert names(CelebA(faces, split=split)) == [f"{number:06d}.jpg" for number in numbers]
    if above:
        assert names(CelebA(faces.parent, split=split)) == names(CelebA(faces, split=split))
    assert CelebA(faces, split=split).provenance["split"] == split


def test_the_list_is_found_from_a_relative_root(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_list(faces.parent)
    monkeypatch.chdir(faces)
    assert len(CelebA(".", split="train")) == 2


def test_a_part_without_the_list_is_an_error(faces: Path) -> None:  # S5
    with pytest.raises(UserError) as caught:
        CelebA(faces, split="valid")
    assert str(caught.value) == (
        f"dataset.split=valid needs list_eval_partition.txt, or the same as .csv, in {faces} or the folder above: "
        "get it from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Eval), or set dataset.split=all"
    )
    assert len(CelebA(faces)) == 6


@pytest.mark.parametrize("line", ["000001.jpg", "000001.jpg 3", "000001.jpg 0 0", "<html> 1 2"])
def test_a_damaged_list_is_an_error(faces: Path, line: str) -> None:
    (faces / LIST_NAME).write_text(f"000002.jpg 0\n\n{line}\n")
    with pytest.raises(UserError) as caught:
        CelebA(faces, split="train")
    assert str(caught.value) == f"{faces}/{LIST_NAME}, line 3: expected 'NAME.jpg 0', 1 or 2, got {line!r}"


def test_a_list_of_other_images_is_an_error(faces: Path) -> None:
    (faces / LIST_NAME).write_text("x.jpg 0\n")
    with pytest.raises(UserError, match=r"names none of the 6 images under .* as train"):
        CelebA(faces, split="train")


def test_an_unknown_part_is_an_error(faces: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.split must be one of all, official, train, valid, test, got 'val'"):
        CelebA(faces, split="val")


def test_the_count_is_checked(
    faces: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:  # S5
    CelebA(faces)
    assert caplog.messages == [f"CelebA (all) under {faces} has 6 images, expected 202,599"]
    assert caplog.records[0].levelno == logging.WARNING
    write_list(faces)
    CelebA(faces, split="train")
    assert caplog.messages[1:] == [f"CelebA (train) under {faces} has 2 images, expected 162,770"]
    monkeypatch.setattr(celeba, "COUNTS", {"all": 6, "train": 2})
    CelebA(faces)
    CelebA(faces, split="train")
    assert len(caplog.messages) == 2
    assert COUNTS["train"] + COUNTS["valid"] + COUNTS["test"] == COUNTS["all"]


@pytest.mark.parametrize(("arguments", "crop"), [({}, 148), ({"crop": 140}, 140), ({"crop": 108}, 108)])
def test_the_usual_crops_are_torchvision_s(faces: Path, arguments: dict[str, int], crop: int) -> None:  # S5
    data = CelebA(faces, decoding="exact", **arguments)
    square = functional.center_crop(data[2][0], crop)
    expected = functional.to_tensor(functional.resize(square, [64, 64], InterpolationMode.BILINEAR))
    torch.testing.assert_close(data.gather(torch.tensor([2]))[0], expected, rtol=0, atol=1e-7)
    assert data.provenance["crop"] == crop


def test_without_a_crop_the_whole_width_is_used(faces: Path) -> None:
    data = CelebA(faces, crop=None, image_size=178)
    pixels = (255 * data.gather(torch.tensor([0]))[0]).round()
    np.testing.assert_array_equal(pixels, np.asarray(data[0][0])[20:198].transpose(2, 0, 1))


@pytest.mark.parametrize("make", [False, True])
def test_the_error_says_what_to_get_and_where_to_put_it(tmp_path: Path, make: bool) -> None:
    root = tmp_path / "celeba"
    if make:
        root.mkdir()
    with pytest.raises(UserError) as caught:
        CelebA(root)
    assert str(root) in str(caught.value)
    assert str(caught.value).endswith(
        "set dataset.root=DIR, with img_align_celeba.zip in it, packed or unpacked, and, for dataset.split, "
        "list_eval_partition.txt beside, both from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    )


def test_a_part_trains_from_yaml(faces: Path, experiment: Callable[..., Engine]) -> None:
    (faces / LIST_NAME).write_text("".join(f"{number:06d}.jpg {number // 6}\n" for number in range(1, 7)))
    engine = experiment(
        *("dataset=celeba", f"dataset.root={faces}", "dataset.split=train", "dataset.validation=2"),
        "engine.batch_size=3",
    )
    assert (len(engine.train), len(engine.validation)) == (3, 2)
    assert engine.train.data.image_shape == (3, 64, 64)


RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
GRAY = RGB[..., 0]


@pytest.mark.parametrize("kind", [np.uint8, np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RGB.transpose(2, 0, 1)[None], RGB),
        (RGB.transpose(2, 0, 1), RGB),
        (RGB, RGB),
        (GRAY[None, None], GRAY),
        (GRAY[None], GRAY),
        (GRAY[..., None], GRAY),
        (GRAY, GRAY),
        (np.asfortranarray(RGB), RGB),
    ],
    ids=["1CHW", "CHW", "HWC", "11HW", "1HW", "HW1", "HW", "fortran"],
)
def test_the_npy_loader_reads_every_layout(tmp_path: Path, kind: Any, array: np.ndarray, expected: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array if kind is np.uint8 else (array / 255).astype(kind))  # S4
    image = CelebA_HQ.npy_loader(tmp_path / "x.npy")
    assert image.mode == ("L" if expected.ndim == 2 else "RGB")
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (
            RGB.astype(np.int64),
            "its values are int64, expected uint8 or float in [0, 1]; dataset.levels=[low,high] scales others",
        ),
        (GRAY > 9, "its values are bool, expected uint8 or float in [0, 1]"),
        (
            np.array([[0.0, 1.5]]),
            "its values go from 0 to 1.5, expected float in [0, 1]; dataset.levels=[low,high] scales others",
        ),
        (
            np.array([[-0.5, 1.0]]),
            "its values go from -0.5 to 1, expected float in [0, 1]; dataset.levels=[low,high] scales others",
        ),
        (
            np.array([[np.nan, 1.0]]),
            "its values go from nan to nan, expected float in [0, 1]; dataset.levels=[low,high] scales others",
        ),
        (GRAY[0], "its shape is (5,)"),
        (np.zeros((2, 3, 5, 5), np.uint8), "its shape is (2, 3, 5, 5)"),
        (np.zeros((1, 5, 5, 3), np.uint8), "its shape is (1, 5, 5, 3)"),
        (np.zeros((4, 5, 5), np.uint8), "its shape is (4, 5, 5)"),
        (np.zeros((0, 5), np.uint8), "its shape is (0, 5)"),
        (np.zeros((3, 0, 5), np.uint8), "its shape is (3, 0, 5)"),
    ],
)
def test_the_npy_loader_refuses_what_is_no_image(tmp_path: Path, array: np.ndarray, reason: str) -> None:  # S4
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError) as caught:
        CelebA_HQ.npy_loader(tmp_path / "x.npy")
    assert str(caught.value).startswith(f"cannot read {tmp_path}/x.npy: ")
    assert str(caught.value).endswith(reason)
    assert "\n" not in str(caught.value)


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("bare", [False, True])
def test_a_pickle_does_not_run(tmp_path: Path, bare: bool) -> None:  # S4
    payload, file, made = Payload(tmp_path / "made"), tmp_path / "x.npy", tmp_path / "made"
    if bare:
        file.write_bytes(pickle.dumps(payload))
    else:
        np.save(file, np.array([payload], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=f"cannot read {file}: ") as caught:
        CelebA_HQ.npy_loader(file)
    assert "\n" not in str(caught.value)
    data = CelebA_HQ(tmp_path, as_npy=True)
    with pytest.raises(UserError, match="1 of 1 images cannot be read"):
        data.gather(torch.tensor([0]))
    assert not made.exists()
    np.load(file, allow_pickle=True) if not bare else pickle.loads(file.read_bytes())
    assert made.exists()  # the payload is live


def test_npy_files_are_a_set_like_any_other(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RGB[:5].transpose(2, 0, 1)[None])
    np.save(tmp_path / "b.NPY", np.zeros((5, 5), np.uint8))
    (tmp_path / "b.NPY.npy").rename(tmp_path / "b.NPY")
    write_noise(tmp_path / "c.png")
    np.save(tmp_path / "d.npy", np.zeros(3))
    data = CelebA_HQ(tmp_path, True, image_size=5, skip_bad=True)
    assert [path.name for path in data.paths] == ["a.npy", "b.NPY"]
    assert list(data.skipped) == ["d.npy"]
    assert [item[0].mode for item in data] == ["RGB", "RGB"]
    pixels = data.gather(torch.tensor([0, 1]))
    np.testing.assert_array_equal((255 * pixels[0]).round(), RGB[:5].transpose(2, 0, 1))
    assert pixels[1].max() == 0
    assert len(pickle.loads(pickle.dumps(data))[0]) == 2
    assert isinstance(data[0][0], Image.Image)
    assert [path.name for path in CelebA_HQ(tmp_path).paths] == ["c.png"]
