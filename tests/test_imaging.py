from pathlib import Path

import numpy as np
import pytest
from photos import write_noise
from PIL import ExifTags, Image, PngImagePlugin
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as oracle

from vae_runner.datasets.imaging import Recipe, UnreadableImage, as_channels, load_image, readable
from vae_runner.errors import UserError

# What was done to the upright image when it was stored, by EXIF orientation (EXIF 2.32, table 6: row 0, column 0).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def pixels(path: Path, channels: int = 3) -> np.ndarray:
    return np.asarray(load_image(path, channels))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_the_exif_orientation_is_honoured(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).save(tmp_path / f"x{ending}", exif=exif)
    np.testing.assert_array_equal(pixels(tmp_path / f"x{ending}"), upright)


def test_a_damaged_exif_block_takes_nothing_from_the_image(tmp_path: Path) -> None:
    expected = write_noise(tmp_path / "x.png")
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Raw profile type exif", "\nexif\n 8\nno hex digits\n")
    Image.fromarray(expected).save(tmp_path / "x.png", pnginfo=chunks)
    with Image.open(tmp_path / "x.png") as image, pytest.raises(ValueError, match="hexadecimal"):
        image.getexif()
    np.testing.assert_array_equal(pixels(tmp_path / "x.png"), expected)


def test_rgb_and_gray_come_out_as_they_are(tmp_path: Path) -> None:
    rgb, gray = write_noise(tmp_path / "rgb.png"), write_noise(tmp_path / "gray.png", (9, 7))
    np.testing.assert_array_equal(pixels(tmp_path / "rgb.png"), rgb)
    np.testing.assert_array_equal(pixels(tmp_path / "gray.png", 1), gray)
    np.testing.assert_array_equal(pixels(tmp_path / "gray.png"), gray[..., None].repeat(3, -1))
    luma = rgb @ [0.299, 0.587, 0.114]
    assert np.abs(pixels(tmp_path / "rgb.png", 1) - luma).max() < 0.51


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_composited_on_white(tmp_path: Path, channels: int) -> None:
    rgba, la = write_noise(tmp_path / "rgba.png", (9, 7, 4)), write_noise(tmp_path / "la.png", (9, 7, 2))
    for name, values in (("rgba", rgba), ("la", la)):
        color, alpha = values[..., :-1].astype(float), values[..., -1:] / 255
        expected = (alpha * color + (1 - alpha) * 255) @ (np.eye(color.shape[-1]) if channels == 3 else luma(color))
        actual = pixels(tmp_path / f"{name}.png", channels)
        assert np.abs(actual.reshape(9, 7, -1) - expected).max() <= 1
    assert (pixels(tmp_path / "rgba.png")[rgba[..., 3] == 255] == rgba[rgba[..., 3] == 255][:, :3]).all()


def luma(color: np.ndarray) -> np.ndarray:
    return np.array([[0.299], [0.587], [0.114]]) if color.shape[-1] == 3 else np.ones((1, 1))


def test_palettes_are_looked_up_and_their_transparent_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=1)
    image.save(tmp_path / "clear.gif", transparency=1)
    assert pixels(tmp_path / "opaque.png").tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    assert pixels(tmp_path / "clear.png").tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]
    assert pixels(tmp_path / "clear.gif").tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    inks = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "x.tif")
    expected = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:]) / 255
    assert np.abs(pixels(tmp_path / "x.tif") - expected).max() <= 1
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    assert np.abs(pixels(tmp_path / "red.jpg").astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize("ending", [".png", ".tif", ".pgm"])
def test_16_bits_are_scaled_to_8(tmp_path: Path, ending: str) -> None:
    values = np.array([[0, 128, 129, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"x{ending}")
    assert pixels(tmp_path / f"x{ending}", 1).tolist() == [[0, 0, 1, 1, 128, 255]]
    assert pixels(tmp_path / f"x{ending}")[0, -1].tolist() == [255, 255, 255]


def test_bits_are_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False, True]])).save(tmp_path / "x.png")
    assert pixels(tmp_path / "x.png", 1).tolist() == [[255, 0, 255]]


def test_float_images_are_in_0_to_1(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)).save(tmp_path / "x.tif")
    assert pixels(tmp_path / "x.tif", 1).tolist() == [[0, 128, 255]]
    for value in (-1, 2, np.nan):
        Image.fromarray(np.array([[0, value]], dtype=np.float32)).save(tmp_path / "y.tif")
        with pytest.raises(ValueError, match=r"its values go from .*, expected uint8 or float in \[0, 1\]"):
            load_image(tmp_path / "y.tif")


def test_whole_numbers_beyond_16_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="its values go from -1 to 70000, expected 16 bits"):
        as_channels(Image.fromarray(np.array([[-1, 70000]], dtype=np.int32)), 1)


@pytest.mark.parametrize("size", [(178, 218), (31, 64), (64, 31), (33, 20), (16, 16)])
@pytest.mark.parametrize("crop", [None, 15, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_centre_square_is_resized_as_torchvision_does_it(
    size: tuple[int, int], crop: int | None, channels: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert("L" if channels == 1 else "RGB")
    square = oracle.center_crop(image, min(size) if crop is None else crop)
    expected = oracle.pil_to_tensor(oracle.resize(square, [16, 16], InterpolationMode.LANCZOS))
    np.testing.assert_array_equal(Recipe(16, channels, crop).pixels(image, "x"), expected)


def test_a_shrunken_pattern_is_averaged_not_sampled() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (256, 128)))
    assert np.abs(Recipe(16, 1).pixels(stripes, "x")[:, 2:-2, 2:-2].astype(int) - 127.5).max() < 2


def test_a_crop_wider_than_the_image_is_an_error() -> None:
    with pytest.raises(UserError) as caught:
        Recipe(64, 3, 148).pixels(Image.new("RGB", (200, 100)), "a/x.jpg")
    assert str(caught.value) == "dataset.crop=148 but a/x.jpg is only 200x100; set dataset.crop=null"
    assert not isinstance(caught.value, UnreadableImage)


def test_reasons_are_one_line_without_the_path() -> None:
    for error, reason in (
        (FileNotFoundError(2, "No such file or directory", "x"), "No such file or directory"),
        (ValueError("one\ntwo"), "one"),
        (KeyError(), "KeyError"),
    ):
        with pytest.raises(UnreadableImage) as caught, readable("a/x.jpg"):
            raise error
        assert str(caught.value) == f"cannot read a/x.jpg: {reason}"
    with pytest.raises(UserError, match="as it is"), readable("x"):
        raise UserError("as it is")
