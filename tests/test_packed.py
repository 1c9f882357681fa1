import numpy as np
import pytest
import torch

from vae_runner.datasets.sprites.packed import PackedImages


def random_images(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (count, height, width), dtype=np.uint8)


def packed(images: np.ndarray) -> PackedImages:
    bits = np.packbits(images.reshape(len(images), -1), axis=1)
    return PackedImages(torch.from_numpy(bits), images.shape[1:])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (3, 5), (1, 1), (7, 8)])
def test_gather_gives_back_what_numpy_packed(height: int, width: int) -> None:
    images = random_images(20, height, width)
    indices = torch.tensor([19, 0, 7, 7])
    batch = packed(images).gather(indices)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    np.testing.assert_array_equal(batch.numpy()[:, 0], images[indices.numpy()])


def test_a_packed_image_takes_one_bit_per_pixel() -> None:
    images = packed(random_images(10, 64, 64))
    assert len(images) == 10
    assert images.nbytes == 10 * 64 * 64 // 8


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(IndexError):
        packed(random_images(4, 8, 8)).gather(torch.tensor([4]))


def test_bits_that_do_not_fit_the_size_are_refused() -> None:
    with pytest.raises(ValueError, match="is not packed images of 64x64"):
        PackedImages(torch.zeros(4, 511, dtype=torch.uint8), (64, 64))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gather_on_a_gpu_equals_gather_on_the_cpu() -> None:
    images = packed(random_images(20, 3, 5))
    indices = torch.tensor([3, 1, 19])
    expected = images.gather(indices)
    batch = images.to("cuda").gather(indices)
    assert batch.is_cuda
    assert torch.equal(batch.cpu(), expected)
