import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_runner.datasets import dSprites
from vae_runner.datasets.sprites import dsprites, dsprites_file, dsprites_render
from vae_runner.datasets.sprites.dsprites_file import NPZ_NAME
from vae_runner.errors import UserError

COUNT = 737_280


@pytest.fixture(scope="module")
def rendered(cache: Path) -> dSprites:
    return dSprites(None, cache_dir=cache)


def test_positions_go_right_and_down_and_the_heart_stands_on_its_tip(rendered: dSprites) -> None:
    codes = [(0, 2, 5, 0, 0, 0), (0, 2, 5, 0, 31, 0), (0, 2, 5, 0, 0, 31)]
    corner, right, down = rendered.get_img_by_latent(codes).numpy()[:, 0]
    assert corner[:32, :32].sum() == corner.sum()
    np.testing.assert_array_equal(right[:, 32:], corner[:, :32])  # 31 steps of 32/31 pixels are 32 whole pixels
    np.testing.assert_array_equal(down[32:], corner[:32])
    widths = corner.sum(axis=1)[corner.any(axis=1)]
    assert widths[-1] < widths[0]


def test_the_rendered_set_says_so_and_is_there_again_without_rendering(
    rendered: dSprites, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render() -> None:
        raise AssertionError("rendered twice")

    monkeypatch.setattr(dsprites_render, "render", render)
    again = dSprites(None, source="render", cache_dir=cache)
    assert again.source == rendered.source == "rendered"
    sha256 = "3a228f4037ef3d42a42588e0e01f1078aa2df13cfa17584e88c95ed9fb5672da"  # as runs from the first on have it
    assert again.fingerprint() == rendered.fingerprint() == sha256
    assert again.provenance == {"source": "rendered", "sha256": sha256}


def test_gather_gives_the_images_at_the_indices(rendered: dSprites) -> None:
    indices = torch.randint(COUNT, (64,), generator=torch.Generator().manual_seed(0))
    batch = rendered.gather(indices)
    assert batch.shape == (64, *rendered.image_shape)
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(batch.numpy()[:, 0], dsprites_render.render_images(indices))


def test_an_item_is_the_image_twice_as_torchvision_gives_it(rendered: dSprites) -> None:
    image, target = rendered[123456]
    assert image is target
    assert isinstance(image, Image.Image)
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), 255 * dsprites_render.render_images([123456])[0])
    assert len(rendered) == COUNT
    np.testing.assert_array_equal(rendered[-1][0], rendered[COUNT - 1][0])


@pytest.mark.parametrize("index", [COUNT, -COUNT - 1])
def test_an_index_outside_the_set_is_an_index_error(rendered: dSprites, index: int) -> None:
    message = f"{index} is outside the 737,280 images of dSprites"
    with pytest.raises(IndexError, match=message):
        rendered[index]
    with pytest.raises(IndexError, match=message):
        rendered.latents_classes([index])


def test_the_transform_acts_on_items_and_on_the_image_of_one_code_only(cache: Path) -> None:
    data = dSprites(None, transform=lambda image: image.size, cache_dir=cache)
    assert data[0] == ((64, 64), (64, 64))
    assert data.get_img_by_latent([0, 0, 0, 0, 0, 0]) == (64, 64)
    assert data.gather(torch.tensor([0])).shape == (1, 1, 64, 64)


def test_codes_and_indices_determine_each_other(rendered: dSprites) -> None:
    indices = np.random.default_rng(0).integers(0, COUNT, 1000)
    codes = np.stack(np.unravel_index(indices, (1, 3, 6, 40, 32, 32)), axis=1)
    np.testing.assert_array_equal(rendered.latents_classes(indices), codes)
    np.testing.assert_array_equal(rendered.index_of(codes), indices)
    np.testing.assert_array_equal(codes @ rendered.latents_bases, indices)
    assert rendered.latents_bases.tolist() == [737280, 245760, 40960, 1024, 32, 1]
    assert rendered.latents_classes(-1).tolist() == [0, 2, 5, 39, 31, 31]


def test_the_values_of_the_latents_are_the_published_ones(rendered: dSprites) -> None:
    values = rendered.latents_values([0, 33, COUNT - 1])
    expected = [[1, 1, 0.5, 0, 0, 0], [1, 1, 0.5, 0, 1 / 31, 1 / 31], [1, 3, 1, 2 * np.pi, 1, 1]]
    np.testing.assert_allclose(values, expected, rtol=1e-15)
    sizes = [len(rendered.latents_possible_values[name]) for name in rendered.latents_names]
    assert sizes == rendered.latents_sizes.tolist() == [1, 3, 6, 40, 32, 32]


def test_the_metadata_has_the_published_keys(rendered: dSprites) -> None:
    latents = {"latents_names", "latents_sizes", "latents_possible_values"}
    assert set(rendered.metadata) == {"title", "version", "date", "description"} | latents
    assert (rendered.metadata["title"], rendered.metadata["date"]) == ("dSprites dataset", "April 2017")


def test_one_code_gives_its_image_and_a_batch_of_codes_a_batch(rendered: dSprites) -> None:
    image = rendered.get_img_by_latent([0, 1, 0, 0, 0, 3])
    expected = dsprites_render.render_images([245763, COUNT - 1])
    np.testing.assert_array_equal(np.asarray(image) // 255, expected[0])
    codes = torch.tensor([[0, 1, 0, 0, 0, 3], [0, 2, 5, 39, 31, 31]])
    batch = rendered.get_img_by_latent(codes)
    assert batch.shape == (2, 1, 64, 64)
    np.testing.assert_array_equal(batch.numpy()[:, 0], expected)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ([0, 0, 0, 0, 32, 0], "posX is 32, but has 32 values: 0 to 31"),
        ([1, 0, 0, 0, 0, 0], "color is 1, but has 1 values: 0 to 0"),
        ([0, 0, -1, 0, 0, 0], "scale is -1, but has 6 values: 0 to 5"),
        ([[0, 0, 0, 0, 0, 0], [0, 3, 0, 0, 0, 0]], "shape is 3, but has 3 values: 0 to 2"),
    ],
)
def test_a_class_outside_its_range_is_named(rendered: dSprites, code: list, message: str) -> None:
    # S7: in the original such a code gave another image
    with pytest.raises(IndexError) as caught:
        rendered.get_img_by_latent(code)
    assert str(caught.value) == message


@pytest.mark.parametrize("code", [[0, 0, 0, 0, 0], [0.0, 0, 0, 0, 0, 0], 0, []])
def test_what_is_no_code_is_refused(rendered: dSprites, code: object) -> None:
    with pytest.raises(ValueError, match="a latent code is 6 integers"):
        rendered.get_img_by_latent(code)


@pytest.mark.parametrize("shape", [(0, 6), (2, 2, 6)])
def test_codes_are_one_or_a_list(rendered: dSprites, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected one latent code or \(n, 6\) of them, got shape"):
        rendered.get_img_by_latent(np.zeros(shape, dtype=np.int64))


def test_the_showcase_is_one_centred_turned_sprite_of_each_shape(rendered: dSprites) -> None:
    showcase = rendered.showcase()
    assert rendered.latents_classes(showcase).tolist() == [[0, shape, 3, 4, 16, 16] for shape in range(3)]
    for image in rendered.gather(torch.tensor(showcase))[:, 0].numpy():
        row, column = np.argwhere(image).mean(axis=0)
        assert abs(row - 32) < 3
        assert abs(column - 32) < 3
        assert (image != image[:, ::-1]).any()


def test_to_moves_the_data_and_returns_the_set(rendered: dSprites) -> None:
    assert rendered.to("cpu") is rendered


# Where the images come from.


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files need only ten images here instead of 737,280; the list says which ones were read."""
    files: list[Path] = []
    read_rows = dsprites_file.read_rows

    def noted(path: Path, images: int) -> Iterator[np.ndarray]:
        files.append(path)
        return read_rows(path, images)

    monkeypatch.setattr(dsprites_file, "read_rows", noted)
    monkeypatch.setattr(dsprites_file, "IMAGES", 10)
    return files


def write_archive(folder: Path, first: int = 0) -> Path:
    """An .npz of the ten images from index `first` on."""
    np.savez_compressed(folder / NPZ_NAME, imgs=dsprites_render.render_images(range(first, first + 10)))
    return folder / NPZ_NAME


def test_an_extracted_array_in_root_is_preferred_to_rendering(tmp_path: Path, read: list[Path]) -> None:
    images = dsprites_render.render_images(range(700_000, 700_010))
    np.save(tmp_path / "imgs.npy", images)
    data = dSprites(tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(data.gather(torch.arange(10)).numpy()[:, 0], images)
    sha256 = hashlib.sha256(np.packbits(images)).hexdigest()
    assert data.provenance == {"source": "file", "path": str(tmp_path / "imgs.npy"), "sha256": sha256}
    assert (data.source, data.fingerprint()) == ("file", sha256)


def test_an_archive_is_read_once_and_again_when_it_has_changed(tmp_path: Path, read: list[Path]) -> None:
    for first in (0, 0, 700_000, 0):
        path = write_archive(tmp_path, first)
        data = dSprites(tmp_path, cache_dir=tmp_path / "cache")
        content = path.read_bytes()
        assert data.provenance["git_blob"] == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        expected = dsprites_render.render_images(range(first, first + 10))
        np.testing.assert_array_equal(data.gather(torch.arange(10)).numpy()[:, 0], expected)
    assert read == [path, path]


@pytest.mark.parametrize("name", [NPZ_NAME, "imgs.npy"])
def test_a_file_of_larger_images_than_sprites_is_used_all_the_same(tmp_path: Path, read: list[Path], name: str) -> None:
    images = dsprites_render.render_images(range(10))
    images[7] = np.random.default_rng(0).integers(0, 2, (64, 64))
    np.save(tmp_path / name, images) if name.endswith(".npy") else np.savez_compressed(tmp_path / name, imgs=images)
    for _ in range(2):  # of an archive, the second time from the cache
        data = dSprites(tmp_path, cache_dir=tmp_path / "cache")
        np.testing.assert_array_equal(data.gather(torch.arange(10)).numpy()[:, 0], images)
        assert data.fingerprint() == hashlib.sha256(np.packbits(images)).hexdigest()
    assert len(read) == (2 if name == NPZ_NAME else 4)  # twice each time: as windows, then as bits


def test_an_archive_other_than_the_published_one_is_used_with_a_warning(
    tmp_path: Path, read: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_archive(tmp_path)
    data = dSprites(tmp_path, source="file", cache_dir=tmp_path / "cache")
    assert data.provenance["published"] is False
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{path} is not the published file (git blob ")


def test_a_damaged_archive_in_root_is_reported_and_not_rendered_over(tmp_path: Path) -> None:
    path = tmp_path / NPZ_NAME
    path.write_bytes(b"x" * 1204)
    with pytest.raises(UserError) as caught:
        dSprites(tmp_path, cache_dir=tmp_path / "cache")
    assert str(caught.value) == f"{path} is 1,204 bytes, expected 26 MB: download it again"


@pytest.mark.slow
@pytest.mark.usefixtures("rendered")  # so that no line says that it is done now
def test_without_a_file_in_root_auto_renders_and_says_so(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "vae_runner")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, why in {
        "empty": "",
        "gone": ", which does not exist",
        "pipe": ", which is no file and no folder",
    }.items():
        caplog.clear()
        assert dSprites(tmp_path / name, cache_dir=cache).source == "rendered"
        (record,) = caplog.records
        line = f"no dSprites file in dataset.root={tmp_path / name}{why}: rendering takes its place"
        assert (record.getMessage(), record.levelno) == (line, logging.WARNING)
    monkeypatch.chdir(tmp_path)
    dSprites("data", cache_dir=cache)  # which nobody has asked for
    assert caplog.records[-1].levelno == logging.INFO


@pytest.mark.parametrize(
    "place", [".", NPZ_NAME, "dsprites/x", "dsprites-dataset/x", "dsprites.npz", "any name.NPZ", "none"]
)
def test_the_archive_itself_can_be_the_root_and_its_folder_may_have_the_set_s_name(
    tmp_path: Path, read: list[Path], place: str
) -> None:
    root = tmp_path / "root"
    (root / Path(place).parent).mkdir(parents=True)
    path = write_archive((root / place).parent if place.endswith("/x") else root)
    if not place.endswith("/x") and place != ".":
        path = path.rename(root / place)
    given = root if place in (".", "dsprites.npz") or place.endswith("/x") else path
    data = dSprites(given, cache_dir=tmp_path / "cache")
    assert read == [path]
    assert data.source == "file"
    assert data.provenance["path"] == str(path)


def test_an_extracted_array_itself_can_be_the_root(tmp_path: Path, read: list[Path]) -> None:
    np.save(tmp_path / "mine.npy", dsprites_render.render_images(range(10)))
    assert dSprites(str(tmp_path / "mine.npy"), source="file").source == "file"
    (tmp_path / "notes.txt").write_text("this is no data set")
    with pytest.raises(UserError, match=r"notes\.txt is damaged"):
        dSprites(tmp_path / "notes.txt")


def test_an_archive_that_is_not_there_is_downloaded_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def fetch(url: str, path: Path, *args: object, **kwargs: object) -> None:
        asked.append(path)
        raise UserError("no network")

    monkeypatch.setattr(dsprites, "fetch", fetch)
    for root in ("data", "data/mine.npz"):
        with pytest.raises(UserError, match="no network"):
            dSprites(tmp_path / root, download=True)
    assert asked == [tmp_path / "data" / NPZ_NAME, tmp_path / "data/mine.npz"]


def test_render_never_looks_at_root(tmp_path: Path, cache: Path) -> None:
    (tmp_path / NPZ_NAME).write_bytes(b"damaged")
    assert dSprites(tmp_path, source="render", cache_dir=cache).source == "rendered"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": "nowhere", "source": "file"}, f"no {NPZ_NAME} and no imgs.npy in dataset.root=nowhere: set"),
        ({"root": None, "source": "file"}, "dataset.root is not set: set dataset.root=DIR"),
        ({"root": None, "source": "download"}, "dataset.root is not set: set dataset.root=DIR"),
        ({"root": None, "download": True}, "dataset.root is not set: set dataset.root=DIR"),
        ({"root": None, "source": "draw"}, "dataset.source must be one of auto, file, download, render, got 'draw'"),
        ({"root": None, "source": "render", "download": True}, "contradicts dataset.source=render"),
    ],
)
def test_a_request_that_cannot_be_met_names_the_setting(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dSprites(**arguments)


@pytest.mark.parametrize("arguments", [{"download": True}, {"source": "download"}])
def test_nothing_is_requested_where_the_file_is_there(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch, arguments: dict
) -> None:
    def fetch(*args: object, **kwargs: object) -> None:
        raise AssertionError("made a request")

    monkeypatch.setattr(dsprites, "fetch", fetch)
    path = write_archive(tmp_path)
    assert dSprites(tmp_path, cache_dir=tmp_path / "cache", **arguments).source == "file"
    assert read == [path]
