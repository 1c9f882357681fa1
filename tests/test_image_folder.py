import hashlib
import inspect
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
import torch
from photos import write_noise, write_photos
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets.folder import default_loader
from torchvision.transforms import Compose, InterpolationMode, functional, transforms

from vae_runner.datasets import CelebA, CelebA_HQ, SimpleImageFolder, dSprites, make_dataset
from vae_runner.datasets.reading.imaging import Recipe
from vae_runner.datasets.split import Subset
from vae_runner.datasets.store.pixel_rows import MemoryRows
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 12)


def damage(folder: Path) -> dict[str, str]:
    """Files that cannot be read, and why."""
    whole = (folder / "000001.jpg").read_bytes()
    (folder / "bad").mkdir()
    (folder / "bad/empty.jpg").touch()
    (folder / "bad/gone.png").symlink_to(folder / "nowhere.png")
    (folder / "bad/text.jpg").write_text("this is no image\n" * 50)
    (folder / "bad/trunc.jpg").write_bytes(whole[:-50])
    return {"empty.jpg": "not an image", "gone.png": "No such file", "text.jpg": "not an image", "trunc.jpg": "trunc"}


@pytest.mark.parametrize(
    ("target", "documented"),
    [
        (make_dataset, "dir, extensions"),
        (SimpleImageFolder, "root, loader=None, extensions=None, transform=None, target_transform=None"),
        (CelebA, "root, transform=None, target_transform=None"),
        (CelebA_HQ, "root, as_npy=False, transform=None"),
        (dSprites, "root, download=False, transform=None"),
        (dSprites.get_img_by_latent, "self, latent_code"),
        (CelebA_HQ.npy_loader, "path"),
    ],
)
def test_the_signatures_begin_as_documented(target: Any, documented: str) -> None:
    parameters = list(inspect.signature(target).parameters.values())
    words = documented.split(", ")
    actual = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters[: len(words)]]
    assert actual == words
    assert all(p.default is not p.empty for p in parameters[len(words) :])


def test_an_item_is_the_image_of_the_file_twice(tmp_path: Path) -> None:
    expected = write_noise(tmp_path / "a/x.png", (9, 7, 3))
    data = SimpleImageFolder(str(tmp_path))
    image, target = data[0]
    assert target is image
    assert (len(data), image.mode, image.size) == (1, "RGB", (7, 9))
    np.testing.assert_array_equal(image, expected)
    with pytest.raises(IndexError):
        data[1]


def test_without_target_transform_the_target_is_the_transformed_input(photos: Path) -> None:  # S2
    for cls in (SimpleImageFolder, CelebA, CelebA_HQ):
        image, target = cls(photos, transform=functional.to_tensor)[0]
        assert target is image
        assert image.shape == (3, 30, 40)
    noisy = Compose([transforms.ToTensor(), torch.zeros_like])
    for cls in (SimpleImageFolder, CelebA, CelebA_HQ):
        image, target = cls(photos, transform=noisy, target_transform=functional.to_tensor)[0]
        assert image.abs().max() == 0
        torch.testing.assert_close(target, functional.to_tensor(default_loader(photos / "000001.jpg")), rtol=0, atol=0)
        image, target = cls(photos, target_transform=lambda image: image.size)[0]
        assert (image.size, target) == ((40, 30), (40, 30))


def test_files_of_all_kinds_make_one_batch(photos: Path) -> None:  # S2
    write_noise(photos / "gray.png", (30, 40))
    write_noise(photos / "clear.png", (30, 40, 4))
    loader = DataLoader(SimpleImageFolder(photos, transform=functional.to_tensor), batch_size=14)
    ((images, targets),) = loader
    assert images.shape == targets.shape == (14, 3, 30, 40)


def test_a_loader_and_endings_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "a.blob").write_bytes(bytes([7]))
    (tmp_path / "b.png").touch()
    data = SimpleImageFolder(tmp_path, lambda path: Image.new("L", (4, 4), Path(path).read_bytes()[0]), [".blob"])
    assert [data[index][0].getpixel((0, 0)) for index in range(len(data))] == [7]
    data = SimpleImageFolder(tmp_path, lambda path: path, ["blob"])
    assert data[0] == (str(tmp_path / "a.blob"),) * 2
    with pytest.raises(UserError, match=r"dataset.loader must return a PIL image to train on, got str"):
        data.gather(torch.tensor([0]))


def test_gather_is_what_torchvision_makes_of_the_files(photos: Path) -> None:
    write_noise(photos / "gray.png", (50, 31))
    data = SimpleImageFolder(photos, image_size=16)
    order = torch.tensor([12, 0, 3, 3])
    batch = data.gather(order)
    assert (batch.shape, batch.dtype, data.image_shape) == ((4, 3, 16, 16), torch.float32, (3, 16, 16))
    for index, image in zip(order, batch, strict=True):
        square = functional.center_crop(default_loader(data.paths[index]), 31 if index == 12 else 30)
        expected = functional.to_tensor(functional.resize(square, [16, 16], InterpolationMode.BILINEAR))
        torch.testing.assert_close(image, expected, rtol=0, atol=1e-7)


def test_gather_of_lossless_squares_is_exact(tmp_path: Path) -> None:
    rgb = write_noise(tmp_path / "a.png", (8, 12, 3))
    gray = SimpleImageFolder(tmp_path, image_size=8, channels=1).gather(torch.tensor([0]))
    luma = torch.from_numpy(rgb[:, 2:10] @ [0.299, 0.587, 0.114])
    assert (255 * gray[0, 0] - luma).abs().max() < 0.51
    pixels = SimpleImageFolder(tmp_path, image_size=4, crop=4).gather(torch.tensor([0]))[0]
    np.testing.assert_array_equal((255 * pixels).round(), rgb[2:6, 4:8].transpose(2, 0, 1))
    assert 0 <= pixels.min() < pixels.max() <= 1


def test_files_are_read_at_the_first_gather_and_only_then(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    decode = Recipe.decode
    monkeypatch.setattr(Recipe, "decode", lambda *args: read.append(args[2]) or decode(*args))
    data = SimpleImageFolder(photos, image_size=8)
    assert (len(data), len(data.showcase()), data.provenance["count"], read) == (12, 4, 12, [])
    first = data.gather(torch.arange(12))
    assert sorted(read) == sorted(path.name for path in data.paths)
    shutil.rmtree(photos)
    assert torch.equal(data.to("cpu").gather(torch.arange(12)), first)
    block = hashlib.sha256((255 * first).round().byte().numpy().tobytes()).hexdigest()
    assert data.fingerprint() == hashlib.sha256(block.encode()).hexdigest()  # all are in one block
    assert len(read) == 12


def test_the_set_tells_where_it_is_from(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    expected = {
        "source": "files", "root": str(photos), "count": 12, "image_size": 16, "crop": 20,
        "fit": "crop", "decoding": "fast", "store": True, "content": ANY,
        "skipped": 0, "skipped_files": [],
    }  # fmt: skip
    assert SimpleImageFolder("photos", image_size=16, crop=20).provenance == expected


def test_the_fingerprint_tells_other_pixels(photos: Path) -> None:
    def fingerprint(**arguments: Any) -> str:
        return SimpleImageFolder(photos, **arguments).fingerprint()

    assert fingerprint() == fingerprint()
    others = [fingerprint(crop=20), fingerprint(channels=1), fingerprint(image_size=32)]
    write_noise(photos / "000001.jpg", (30, 40, 3))
    assert len({fingerprint(), *others}) == 4


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (3, [0, 1, 2]), (12, [0, 4, 7, 11])])
def test_the_showcase_is_spread_over_the_set(tmp_path: Path, count: int, expected: list[int]) -> None:
    assert SimpleImageFolder(write_photos(tmp_path, count)).showcase() == expected


def test_a_set_can_be_sent_to_another_process(photos: Path) -> None:
    for data in (SimpleImageFolder(photos), CelebA_HQ(photos), CelebA(photos)):
        copy = pickle.loads(pickle.dumps(data))
        np.testing.assert_array_equal(copy[3][0], data[3][0])


def test_unreadable_files_are_an_error_where_training_begins(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    reasons = damage(photos)  # S3
    data = SimpleImageFolder(photos)
    assert len(data) == 16
    with pytest.raises(UserError) as caught:
        data.gather(torch.tensor([0]))
    assert str(caught.value) == (
        "4 of 16 images cannot be read (first: bad/empty.jpg); dataset.skip_bad=true goes on without them"
    )
    (notes,) = caught.value.__notes__
    messages = [message for message in caplog.messages if message.startswith("cannot read ")]
    for line, message, (name, reason) in zip(notes.splitlines(), messages, reasons.items(), strict=True):
        assert line == message
        assert line.startswith(f"cannot read {photos}/bad/{name}: ")
        assert reason in line


def test_unreadable_files_are_left_out_where_asked_for(photos: Path, caplog: pytest.LogCaptureFixture) -> None:  # S3
    clean = SimpleImageFolder(photos).gather(torch.arange(12))
    reasons = damage(photos)
    for transform in (None, functional.to_tensor):
        data = SimpleImageFolder(photos, transform=transform, skip_bad=True)
        assert len(data) == len(list(data)) == 12
        assert list(data.skipped) == [f"bad/{name}" for name in reasons]
        assert data.provenance["skipped"] == 4
        assert data.provenance["skipped_files"] == list(data.skipped)
        assert data.provenance["count"] == 12
        assert caplog.messages[-1] == "going on without: 4 of 16 images cannot be read (first: bad/empty.jpg)"
        assert caplog.records[-1].levelno == logging.WARNING
    assert torch.equal(SimpleImageFolder(photos, skip_bad=True).gather(torch.arange(12)), clean)


def test_the_log_names_a_few_of_many_unreadable_files(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(50):
        (photos / f"bad{number}.jpg").touch()
    with pytest.raises(UserError, match="50 of 62 images") as caught:
        SimpleImageFolder(photos).gather(torch.tensor([0]))
    assert len([message for message in caplog.messages if message.startswith("cannot read ")]) == 10
    assert caught.value.__notes__[0].count("\n") == 49


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_folder_of_unreadable_files_only_is_an_error(tmp_path: Path, skip_bad: bool) -> None:
    (tmp_path / "x.jpg").touch()
    with pytest.raises(UserError) as caught:
        SimpleImageFolder(tmp_path, skip_bad=skip_bad).gather(torch.tensor([0]))
    assert str(caught.value) == "1 of 1 images cannot be read (first: x.jpg)"


def test_an_unreadable_item_is_one_line(photos: Path) -> None:  # S3
    damage(photos)
    data = SimpleImageFolder(photos)
    (photos / "000001.jpg").unlink()  # since it was listed
    with pytest.raises(UserError) as caught:
        data[0]
    assert str(caught.value) == f"cannot read {photos}/000001.jpg: No such file or directory"
    with pytest.raises(UserError, match=r"cannot read .*/trunc.jpg: .*truncated"):
        data[15]
    with pytest.raises(UserError, match=r"5 of 16 images cannot be read \(first: 000001.jpg\)"):
        data.fingerprint()


def test_what_pillow_only_warns_of_is_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # an image of 1,200 gets a warning, an error in these tests
    assert len(SimpleImageFolder(photos).gather(torch.arange(12))) == 12
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # beyond twice as many, Pillow refuses
    with pytest.raises(UserError, match="12 of 12 images cannot be read"):
        SimpleImageFolder(photos, image_size=32).gather(torch.arange(12))  # another size, decoded anew


def test_a_crop_that_does_not_fit_is_no_unreadable_file(photos: Path) -> None:
    for skip_bad in (False, True):
        with pytest.raises(UserError, match=r"dataset.crop=31 but 0000\d\d.jpg is only 40x30; set dataset.crop=null"):
            SimpleImageFolder(photos, crop=31, skip_bad=skip_bad).gather(torch.tensor([0]))


@pytest.mark.parametrize("name", ["transform", "target_transform"])
def test_training_does_not_pass_over_a_transform(photos: Path, name: str) -> None:
    data = SimpleImageFolder(photos, **{name: functional.hflip})
    for read in (lambda: data.gather(torch.tensor([0])), lambda: data.to("cpu"), data.fingerprint):
        with pytest.raises(UserError, match=f"dataset.{name} acts on single items, not on the batches of training"):
            read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 2}, "channels must be 1 or 3, got 2"),
        ({"image_size": 0}, "image_size must be positive, got 0"),
        ({"crop": -1}, "crop must be positive, got -1"),
    ],
)
def test_arguments_out_of_range_are_refused(photos: Path, arguments: dict[str, int], message: str) -> None:
    for cls in (SimpleImageFolder, CelebA, CelebA_HQ):
        with pytest.raises(ValueError, match=message):
            cls(photos, **arguments)


def test_a_folder_trains_from_yaml_with_each_of_its_settings(photos: Path, experiment: Callable[..., Engine]) -> None:
    damage(photos)
    engine = experiment(
        *("dataset=folder", f"dataset.root={photos}", "dataset.validation=4", "dataset.skip_bad=true"),
        *("dataset.image_size=32", "dataset.channels=1", "dataset.crop=20", "dataset.extensions=[jpg]"),
        "dataset.loader={_target_: hydra.utils.get_method, path: torchvision.datasets.folder.default_loader}",
        "engine.batch_size=7",
    )
    assert engine.train.data.image_shape == (1, 32, 32)
    assert (len(engine.train), len(engine.validation), len(engine.test)) == (7, 4, 1)
    assert engine.train.data.provenance["skipped"] == 3
    x = engine.train.batch(torch.arange(7))
    assert x.shape == (7, 1, 32, 32)
    engine.train_step()


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["dataset.root=/x/none"], "dataset.root=/x/none does not exist; set dataset.root=DIR"),
        (["dataset.crop=500"], "dataset.crop=500 but "),
        (["dataset.transform={_target_: torchvision.transforms.ToTensor}"], "dataset.transform acts on single items"),
        ([], "1 of 13 images cannot be read (first: x.jpg); dataset.skip_bad=true goes on without them"),
    ],
)
def test_mistakes_in_yaml_get_their_line(
    photos: Path, experiment: Callable[..., Engine], overrides: list[str], line: str
) -> None:
    if not overrides:
        (photos / "x.jpg").touch()
    with pytest.raises(UserError) as caught:
        experiment("dataset=folder", f"dataset.root={photos}", "dataset.validation=4", *overrides)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_the_root_has_to_be_set(compose: Callable[..., Any]) -> None:
    assert check(compose("dataset=folder"))[1] == ["dataset.root is not set; set dataset.root=..."]


@pytest.mark.parametrize("store", [True, False])
def test_indices_are_where_they_are_looked_up(photos: Path, store: bool) -> None:
    images = SimpleImageFolder(photos, store=store)
    subset = Subset(images, torch.arange(12)).to("meta")  # a device that has no room
    assert images.on_host
    assert subset.indices.device.type == "cpu"
    images._rows = MemoryRows(torch.zeros(12, 3, 64, 64, dtype=torch.uint8))  # one that has
    assert not images.on_host
    assert subset.to("meta").indices.device.type == "meta"
