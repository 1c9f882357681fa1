import io
import logging
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from test_doctor import Told, vae_data

from vae_runner.datasets import CelebA_HQ, SimpleImageFolder
from vae_runner.datasets.photos import contents, photo_files
from vae_runner.datasets.reading.depth import Depth, eight_bits
from vae_runner.datasets.reading.imaging import Recipe, load_image
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check

__all__ = ["vae_data"]  # a fixture

GENERATOR = np.random.default_rng(0)
COLOURS = {2: 4, 3: 2, 4: 6}  # PNG's type of gray and opacity, of RGB, and of that and opacity


def png16(values: NDArray) -> bytes:
    """A PNG of 16 bits, of (H, W, 2, 3 or 4), each row unfiltered."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, count = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOURS[count], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff16(values: NDArray, order: str, packed: bool = False, planes: int = 1) -> bytes:
    """A TIFF of 16 bits of (H, W, 3), in one strip; as bytes of the `order` < or >."""
    height, width, count = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    longs = {256: width, 257: height, 273: 8, 278: height, 279: len(data)}
    shorts = {259: 8 if packed else 1, 262: 2, 277: count, 284: planes}
    after = 8 + len(data)
    entries = {tag: struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in longs.items()}
    entries |= {tag: struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    entries[258] = struct.pack(f"{order}HHII", 258, 3, count, after)
    table = struct.pack(f"{order}H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", after + 2 * count)
    return header + data + struct.pack(f"{order}{count}H", *[16] * count) + table + bytes(4)


def scaled(values: NDArray, low: float, high: float) -> NDArray:
    """The documented equation, before it is rounded."""
    return 255 * (values.astype(np.float64) - low).clip(0, high - low) / (high - low)


def assert_rounded(actual: Any, exact: NDArray) -> None:
    assert np.abs(np.asarray(actual, np.float64) - exact).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("write", ["png", "tiff <", "tiff >", "tiff < packed", "tiff > packed"])
@pytest.mark.parametrize("levels", [None, (0, 4095), (1000, 50000)])
def test_colours_of_16_bits_keep_their_lower_byte(tmp_path: Path, write: str, levels: Any) -> None:
    values = GENERATOR.integers(0, 65536, (9, 7, 3))
    kind, *rest = write.split()
    content = png16(values) if kind == "png" else tiff16(values, rest[0], len(rest) == 2)
    (tmp_path / "x").write_bytes(content)
    wanted = scaled(values, *(levels or (0, 65535)))
    assert_rounded(load_image(tmp_path / "x", levels=levels), wanted)
    recipe = Recipe(7, crop=7, levels=levels)
    assert_rounded(recipe.decode(tmp_path / "x", "x").transpose(1, 2, 0), wanted[1:8])


@pytest.mark.parametrize("count", [2, 4])
def test_opacity_has_no_levels(tmp_path: Path, count: int) -> None:
    values = np.full((8, 8, count), 100)
    values[:4, :, -1], values[4:, :, -1] = 65535, 0
    (tmp_path / "x.png").write_bytes(png16(values))
    image = np.asarray(load_image(tmp_path / "x.png", levels=(0, 200)))
    assert set(image[:4].flatten()) == {128}
    assert set(image[4:].flatten()) == {255}  # the white page


def test_a_tiff_with_a_plane_for_each_colour_is_refused_and_not_garbled(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(tiff16(np.zeros((8, 8, 3)), "<", planes=2))
    with pytest.raises(UserError, match="its 16 bits for each colour lie in separate planes; save it as PNG"):
        SimpleImageFolder(tmp_path)[0]


@pytest.mark.parametrize("levels", [(0, 255), (100, 4000), (-1024, 3071), (0.0, 0.25)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_gray_values_are_scaled_by_the_equation(tmp_path: Path, kind: type, levels: tuple[float, float]) -> None:
    values = GENERATOR.integers(0, 255 if kind is np.uint8 else 4096, (16, 16)).astype(kind)
    Image.fromarray(values).save(tmp_path / "x.tif")
    expected = values if kind is np.uint8 else scaled(values, *levels)
    data = SimpleImageFolder(tmp_path, image_size=16, channels=1, levels=levels, cache_dir=tmp_path / "cache")
    assert_rounded((255 * data.gather(torch.tensor([0]))[0, 0]).round(), expected)
    assert_rounded(data[0][0], expected)


def test_12_bits_fill_their_own_range() -> None:
    values, packed = GENERATOR.integers(0, 4096, (4, 6)), bytearray()
    for left, right in values.reshape(-1, 2).tolist():
        packed += bytes([left >> 4, (left & 15) << 4 | right >> 8, right & 255])
    tags = {256: 6, 257: 4, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: len(packed)}
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags.items())
    content = b"II*\0" + struct.pack("<I", 8 + len(packed)) + bytes(packed) + table + bytes(4)
    assert_rounded(load_image(io.BytesIO(content), 1), scaled(values, 0, 4095))


@pytest.mark.parametrize("kind", [np.uint16, np.int64, np.float32])
def test_arrays_of_any_numbers_are_scaled_where_levels_are_given(tmp_path: Path, kind: type) -> None:
    values = GENERATOR.integers(0, 5000, (1, 3, 8, 8)).astype(kind)
    np.save(tmp_path / "x.npy", values)
    for store in (True, False):
        data = CelebA_HQ(tmp_path, True, image_size=8, levels=(0, 4095), cache_dir=tmp_path / "cache", store=store)
        assert_rounded((255 * data.gather(torch.tensor([0]))).round(), scaled(values, 0, 4095))
        unscaled = CelebA_HQ(tmp_path, True, image_size=8, cache_dir=tmp_path / "cache", store=store)
        with pytest.raises(UserError, match="1 of 1 images cannot be read") as caught:
            unscaled.gather(torch.tensor([0]))
        assert "dataset.levels=[low,high] scales others" in caught.value.__notes__[0]


@pytest.mark.parametrize("values", [[0, np.nan], [0, np.inf]])
def test_what_is_not_finite_has_no_gray(values: list[float]) -> None:
    with pytest.raises(ValueError, match="its values go from"):
        eight_bits(np.array(values), 1, (0, 10))


def dark(folder: Path, high: int = 255) -> Path:
    """32-bit files that hold 0 to `high`, each less than the one before."""
    folder.mkdir()
    for number in range(20):
        values = GENERATOR.integers(0, high - number, (16, 16), dtype=np.int32)
        values[0, 0], values[0, 1] = 0, high - number
        Image.fromarray(values).save(folder / f"{number:02d}.tif")
    return folder


LINE = (
    "20 files of more than 8 bits hold values from 0 to 255, and 65,535 is white, so they come out dark; "
    "dataset.levels=[0,255] scales them"
)


@pytest.mark.parametrize("store", [True, False])
def test_a_run_says_each_time_that_its_images_come_out_dark(
    tmp_path: Path, store: bool, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"image_size": 16, "cache_dir": tmp_path / "cache", "store": store}
    root = dark(tmp_path / "x")
    for _ in range(2):
        assert SimpleImageFolder(root, **given).gather(torch.arange(20)).max() < 0.005
        assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [LINE]
        caplog.clear()
    bright = SimpleImageFolder(root, levels=[0, 255], **given)
    assert bright.gather(torch.arange(20)).max() == 1
    assert bright.gather(torch.tensor([19])).max() == pytest.approx(236 / 255)  # by the set, not by the image
    assert caplog.text.count("WARNING") == 0
    assert len(list((tmp_path / "cache").glob("images-*"))) == (2 if store else 0)


def test_what_an_earlier_start_has_seen_is_told_without_reading_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(contents, "_TICK", -10_000_000_000)
    given = {"image_size": 16, "cache_dir": tmp_path / "cache", "store": False}
    dark(tmp_path / "x")
    SimpleImageFolder(tmp_path / "x", **given).fingerprint()
    monkeypatch.setattr(photo_files, "look_into", lambda file, levels, look: None if look is None else 1 / 0)
    SimpleImageFolder(tmp_path / "x", **given).fingerprint()
    assert caplog.messages == [LINE, LINE]


@pytest.mark.parametrize(
    ("high", "is_told"), [(65535, False), (40000, False), (32767, True), (16383, True), (4095, True)]
)
def test_dark_is_less_than_half_of_white(
    tmp_path: Path, high: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    SimpleImageFolder(dark(tmp_path / "x", high), image_size=16, cache_dir=tmp_path / "cache").fingerprint()
    assert ("come out dark" in caplog.text) == is_told


def test_dark_colours_are_told_of_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x.png").write_bytes(png16(GENERATOR.integers(0, 256, (16, 16, 3))))
    SimpleImageFolder(tmp_path, image_size=16, cache_dir=tmp_path / "cache").fingerprint()
    assert "1 file of more than 8 bits holds values from 0 to 255, and 65,535 is white, so" in caplog.text


def test_levels_that_change_nothing_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("L", (16, 16), 9).save(tmp_path / "x.png")
    SimpleImageFolder(tmp_path, image_size=16, cache_dir=tmp_path / "cache", levels=(0, 9)).fingerprint()
    assert caplog.messages == ["dataset.levels changes nothing: no file has more than 8 bits for a value"]


def test_the_check_tells_of_levels(tmp_path: Path, vae_data: Told) -> None:
    root = f"dataset.root={dark(tmp_path / 'x')}"
    code, out, _ = vae_data("check", "dataset=folder", root)
    assert (code, f"levels      {LINE}\n" in out) == (0, True)
    out = vae_data("check", "dataset=folder", root, "dataset.levels=[0,255]")[1]
    line = "20 files of more than 8 bits hold values from 0 to 255; dataset.levels makes 0 black and 255 white"
    assert f"levels      {line}\n" in out


@pytest.mark.parametrize("value", ["[0]", "[5,5]", "[9,1]", "[0,.inf]", "[.nan,1]", "7", "[a,b]", "[0,1,2]", "[]"])
def test_levels_that_make_no_sense_are_refused(compose: Callable[..., Any], value: str) -> None:
    (problem,) = check(compose("dataset=folder", "dataset.root=x", f"dataset.levels={value}"))[1]
    assert problem.startswith("dataset.levels")


def test_levels_are_a_setting_of_each_set_of_photos(tmp_path: Path, experiment: Callable[..., Engine]) -> None:
    root = dark(tmp_path / "x")
    for name in ("folder", "celeba", "celeba_hq"):
        overrides = (f"dataset={name}", f"dataset.root={root}", "dataset.validation=4", "dataset.levels=[0,255]")
        engine = experiment(*overrides, "dataset.crop=null", "dataset.image_size=16", "engine.batch_size=8")
        assert engine.train.data.gather(torch.arange(20)).max() == 1


def test_the_depth_that_a_file_is_told_to_have() -> None:
    told: list[Depth] = []
    eight_bits(np.array([3, 200]), 65535, (0, 300), told.append)
    assert told == [Depth(3, 200, 65535)]
