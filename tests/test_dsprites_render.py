"""The expected values are the golden ones of the renderer's specification, or were published with the data."""

import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_runner.datasets import dSprites
from vae_runner.datasets.sprites import dsprites_render
from vae_runner.datasets.sprites.packed import packed_rows
from vae_runner.datasets.sprites.windowed import packed_sha256, windows

COUNT = 737_280
GOLDEN = "2c612e5234d21c2b576c375ebe1faa1b363ab97d340164c5d2dcf27f35dd5eb6"  # of all pixels, a byte each


@pytest.fixture(scope="module")
def bits() -> np.ndarray:
    """The whole set as bits, (737280, 512)."""
    return packed_rows(dsprites_render.render(), COUNT)


@pytest.fixture(scope="module")
def white(bits: np.ndarray) -> np.ndarray:
    """The number of white pixels of each image, (737280,)."""
    ones = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)
    return np.concatenate([ones[part].sum(axis=1) for part in np.array_split(bits, 100)])


@pytest.mark.slow
def test_the_whole_set_has_the_golden_checksum(bits: np.ndarray) -> None:
    digest = hashlib.sha256()
    for start in range(0, COUNT, 4096):
        digest.update(np.unpackbits(bits[start : start + 4096]))
    assert digest.hexdigest() == GOLDEN


@pytest.mark.exhaustive
def test_the_images_of_all_batches_have_the_golden_checksum(cache: Path) -> None:
    data, digest = dSprites(None, cache_dir=cache), hashlib.sha256()
    for indices in torch.arange(COUNT).split(4096):
        digest.update(data.gather(indices).byte().numpy())
    assert digest.hexdigest() == GOLDEN


def test_the_set_has_the_checksums_that_the_cache_and_old_runs_expect(bits: np.ndarray) -> None:
    assert hashlib.sha256(bits).hexdigest() == dsprites_render.RENDERED_SHA256
    kept = windows(bits.view(np.uint64).reshape(-1, 1024, 64), COUNT)
    assert hashlib.sha256(kept).hexdigest() == dsprites_render.WINDOWS_SHA256
    assert packed_sha256(kept) == dsprites_render.RENDERED_SHA256


@pytest.mark.slow
def test_the_white_pixels_of_each_shape_and_scale_are_the_golden_ones(white: np.ndarray) -> None:
    assert white.reshape(3, 6, -1).sum(axis=2).tolist() == [
        [3776336, 5436826, 7398772, 9664768, 12232848, 15103336],
        [2963222, 4265652, 5807622, 7585198, 9598546, 11850710],
        [2298902, 3310840, 4505825, 5886006, 7448043, 9195412],
    ]
    assert (white.min(), white.max(), white.sum()) == (50, 400, 128_328_864)


def test_the_whole_set_has_the_published_moments(white: np.ndarray) -> None:
    """disent publishes them for the original, whose vertices were float32: a few pixels differ."""
    part = white / 4096
    assert part.mean() == pytest.approx(0.042494423521889584, abs=1e-9)
    assert np.sqrt(part * (1 - part) * 4096 / 4095).mean() == pytest.approx(0.19516645880626055, abs=1e-8)


def test_a_full_turn_changes_nothing_and_few_other_images_coincide(bits: np.ndarray) -> None:
    orientations = bits.reshape(3, 6, 40, -1)
    np.testing.assert_array_equal(orientations[:, :, 39], orientations[:, :, 0])
    assert len({hash(image.tobytes()) for image in bits}) == 715_706


@pytest.mark.parametrize(
    ("index", "pixels", "checksum"),
    [
        (0, 100, 0xCBFDFD84),
        (1024, 88, 0x2482FA00),
        (123456, 240, 0x77C49C62),
        (245760, 76, 0xC1A7978D),
        (300000, 104, 0x2FC304B4),
        (491520, 58, 0xF592E80C),
        (555555, 80, 0x62F3CB89),
        (700000, 224, 0xCA62CCF6),
        (737279, 222, 0xF9800C48),
    ],
)
def test_single_images_are_the_golden_ones(index: int, pixels: int, checksum: int) -> None:
    (image,) = dsprites_render.render_images([index])
    assert image.shape == (64, 64)
    assert (image.sum(), zlib.crc32(np.packbits(image))) == (pixels, checksum)


def test_every_997th_image_rendered_alone_is_the_golden_one() -> None:
    images = dsprites_render.render_images(range(0, COUNT, 997))
    assert images.sum() == 128_652
    expected = "b19d45e48d810beb3e7ee0c41b23076d3b64b36ce7db447b7df5b7aadda05db9"
    assert hashlib.sha256(np.packbits(images)).hexdigest() == expected


def drawn(corners: list[tuple[float, float]]) -> list[tuple[int, int]]:
    """The white pixels (row, column) of a polygon around (16.5, 16.5), which is the centre of pixel (16, 16)."""
    centre = np.array([16.5])
    rows = dsprites_render._draw(np.array(corners), centre, centre)
    image = np.unpackbits(rows.view(np.uint8)).reshape(64, 64)
    return [(int(row), int(column)) for row, column in np.argwhere(image)]


def test_centres_on_the_left_and_bottom_edges_are_in_and_those_on_the_right_and_top_edges_are_out() -> None:
    assert drawn([(-1, -1), (1, -1), (1, 1), (-1, 1)]) == [(16, 15), (16, 16), (17, 15), (17, 16)]


def test_centres_on_slanted_edges_are_in_on_the_left_and_out_on_the_right() -> None:
    diamond = [(0, -2), (2, 0), (0, 2), (-2, 0)]
    assert drawn(diamond) == [(15, 15), (15, 16), (16, 14), (16, 15), (16, 16), (16, 17), (17, 15), (17, 16)]


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_the_direction_in_which_an_outline_is_listed_does_not_matter(turned: int) -> None:
    corners = [(-3, -1), (2, -2.5), (3, 1.25), (-1, 2)]
    start = corners[turned:] + corners[:turned]
    assert drawn(start) == drawn(start[::-1]) != []
