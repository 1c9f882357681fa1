"""Plain JPEGs are decoded without Pillow, which is the oracle here: the same pixels, and the same refusals."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vae_runner.datasets.reading.imaging import Recipe
from vae_runner.datasets.reading.jpeg import plain_jpeg

SIZES = [(8, 8), (9, 3), (17, 40), (64, 48), (178, 218)]
KINDS: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive 4:4:4": {"subsampling": 0, "progressive": True},
    "progressive 4:2:0": {"subsampling": 2, "progressive": True},
    "restart markers": {"restart_marker_blocks": 2},
    "RGB": {"keep_rgb": True},
    "gray": {"mode": "L"},
    "progressive gray": {"mode": "L", "progressive": True},
}


def encoded(size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG of soft shapes under noise."""
    generator = np.random.default_rng(size[0])
    coarse = generator.integers(40, 216, (5, 5, 3), dtype=np.uint8)
    shapes = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    noisy = np.clip(shapes + generator.normal(0, 12, shapes.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).convert(mode).save(file, "JPEG", **{"quality": 85, **options})
    return file.getvalue()


def by_pillow(data: bytes, scale: int, gray: bool) -> np.ndarray:
    """What Pillow makes of it at 1/`scale`."""
    with Image.open(io.BytesIO(data)) as image:
        if scale > 1 or gray:
            image.draft("L" if gray else None, tuple(side // scale for side in image.size))
        return np.asarray(image)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_pillow_s_at_every_scale(kind: str, size: tuple[int, int]) -> None:
    data = encoded(size, **KINDS[kind])
    jpeg = plain_jpeg(io.BytesIO(data))
    for scale in (1, 2, 4, 8):
        for gray in (False, True):
            if min(size) >= scale:
                np.testing.assert_array_equal(jpeg.decode(scale, gray), by_pillow(data, scale, gray))


def test_the_scale_is_pillow_s() -> None:
    data = encoded((123, 77))
    jpeg = plain_jpeg(io.BytesIO(data))
    for width in range(5, 130, 3):
        for height in range(5, 80, 3):
            with Image.open(io.BytesIO(data)) as image:
                image.draft(None, (width, height))
                assert jpeg.decode(jpeg.scale((width, height)), False).shape[1::-1] == image.size
    assert jpeg.scale(None) == 1


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'


def test_what_is_not_plain_is_pillow_s(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = encoded((64, 48))
    others = {
        "CMYK": encoded((64, 48), "CMYK"),
        "turned": encoded((64, 48), exif=orientation(6)),
        "turned by XMP": encoded((64, 48), xmp=XMP),
        "few pixels": encoded((7, 7)),
        "another format": b"GIF89a" + plain,
        "cut in the header": plain[:300],
        "nothing": b"",
    }
    for name, data in others.items():
        assert plain_jpeg(io.BytesIO(data)) is None, name
    assert plain_jpeg(io.BytesIO(encoded((64, 48), exif=orientation(1)))).width == 64
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48)
    assert plain_jpeg(io.BytesIO(plain)).height == 48
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 - 1)
    assert plain_jpeg(io.BytesIO(plain)) is None


def outcome(recipe: Recipe, data: bytes) -> list[Any] | str:
    """The pixels, or the error."""
    try:
        return recipe.decode(io.BytesIO(data), "x").tolist()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(' object at ')[0]}"


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"exif": orientation(1)}], ids=["baseline", "progressive", "exif"]
)
def test_of_a_damaged_file_comes_what_pillow_makes_of_it(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    whole = encoded((60, 45), **options)
    files = [whole[: generator.integers(len(whole))] for _ in range(40)]
    for _ in range(120):
        spoilt = bytearray(whole)
        spoilt[generator.integers(len(whole))] ^= 1 << int(generator.integers(8))
        files.append(bytes(spoilt))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF
        ours = [outcome(Recipe(16), data) for data in files]
        monkeypatch.setattr("vae_runner.datasets.reading.imaging.plain_jpeg", lambda file: None)
        assert ours == [outcome(Recipe(16), data) for data in files]
    errors = [text for text in ours if isinstance(text, str)]
    assert len(errors) >= 40
    assert any("truncated" in text for text in errors)
