"""Images of few rows, kept as the numbers of these. The expected images are those that were put in."""

import hashlib

import numpy as np
import pytest
import torch

from vae_runner.datasets.sprites import dsprites_render
from vae_runner.datasets.sprites.windowed import WINDOW, WindowedImages, packed_sha256, windows


def images_with_rows(first: int, last: int, count: int = 20) -> np.ndarray:
    """Random images (count, 64, 64), white in some of these rows, in both the first and the last."""
    images = np.zeros((count, 64, 64), np.uint8)
    images[:, first : last + 1] = np.random.default_rng(0).integers(0, 2, (count, last + 1 - first, 64))
    images[:, [first, last], 63] = 1
    return images


def rows_of(images: np.ndarray) -> np.ndarray:
    """(n, 64, 64) zeros and ones as (n, 64) uint64."""
    return np.packbits(images, axis=2).view(np.uint64)[..., 0]


def windowed(images: np.ndarray) -> WindowedImages:
    """Two pieces of images, as windows."""
    rows = rows_of(images)
    return WindowedImages(torch.from_numpy(windows([rows[:3], rows[3:]], len(rows))))


@pytest.mark.parametrize(
    ("first", "last"), [(0, WINDOW - 1), (63 - WINDOW + 1, 63), (20, 47), (0, 0), (63, 63), (40, 63)]
)
def test_images_come_back_as_they_were_wherever_their_rows_are(first: int, last: int) -> None:
    images = images_with_rows(first, last)
    indices = torch.tensor([19, 0, 7, 7])
    batch = windowed(images).gather(indices)
    assert (batch.dtype, batch.shape, batch.is_contiguous()) == (torch.float32, (4, 1, 64, 64), True)
    np.testing.assert_array_equal(batch.numpy()[:, 0], images[indices.numpy()])


def test_black_images_have_windows_too() -> None:
    assert not windowed(np.zeros((5, 64, 64), np.uint8)).gather(torch.arange(5)).any()


@pytest.mark.parametrize("place", [0, 4, 19])
def test_one_image_with_rows_too_far_apart_and_there_are_no_windows(place: int) -> None:
    images = images_with_rows(10, 10 + WINDOW - 1)
    assert windows([rows_of(images)], 20) is not None
    images[place, 10 + WINDOW, 5] = 1
    assert windows([rows_of(images[:5]), rows_of(images[5:])], 20) is None


def test_there_are_as_many_different_rows_as_int16_can_number_and_no_more() -> None:
    rows = np.zeros((2, 32_768, 64), np.uint64)
    rows[0, :, 30] = np.arange(32_768)  # the black one among them
    images = WindowedImages(torch.from_numpy(windows([rows[0]], 32_768)))
    whole = images.gather(torch.tensor([32_767]))[0, 0, 30]
    assert whole.tolist() == np.unpackbits(rows[0, 32_767, 30:31].view(np.uint8)).tolist()
    rows[1, 5, 7] = 1 << 40
    assert windows(rows, 65_536) is None


def test_an_image_takes_58_bytes_and_a_different_row_256() -> None:
    images = np.zeros((10, 64, 64), np.uint8)
    images[3, 20, 30] = images[4, 50, 30] = 1
    assert len(windowed(images)) == 10
    assert windowed(images).nbytes == 10 * 58 + 2 * 256


def test_the_mark_of_windows_is_that_of_the_same_images_as_bits() -> None:
    images = np.tile(images_with_rows(5, 30), (250, 1, 1))  # more than are put together at once
    array = windows([rows_of(images)], 5000)
    assert packed_sha256(array) == hashlib.sha256(np.packbits(images)).hexdigest()


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(IndexError):
        windowed(images_with_rows(3, 9)).gather(torch.tensor([20]))


def test_sprites_of_each_kind_at_all_borders_have_windows_and_come_back() -> None:
    corners = np.array([[x, y] for x in (0, 31) for y in (0, 31)])
    codes = [
        (shape, scale, turn, *at) for shape in range(3) for scale in (0, 5) for turn in (0, 5, 20) for at in corners
    ]
    images = dsprites_render.render_images(np.ravel_multi_index(np.transpose(codes), dsprites_render.FACTOR_SIZES))
    np.testing.assert_array_equal(windowed(images).gather(torch.arange(len(images))).numpy()[:, 0], images)


@pytest.mark.exhaustive
def test_no_sprite_of_the_whole_set_is_higher_or_wider_than_27_pixels() -> None:
    for rows in dsprites_render.render():
        for lines in (rows != 0, np.unpackbits(np.bitwise_or.reduce(rows, 1)[:, None].view(np.uint8), axis=1)):
            extent = 64 - lines.argmax(1) - lines[:, ::-1].argmax(1)
            assert extent.max() <= 27 < WINDOW


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gather_on_a_gpu_equals_gather_on_the_cpu() -> None:
    images = windowed(images_with_rows(12, 33))
    indices = torch.tensor([3, 1, 19])
    expected = images.gather(indices)
    batch = images.to("cuda").gather(indices)
    assert batch.is_cuda
    assert torch.equal(batch.cpu(), expected)
