"""CelebA-HQ: 30,000 faces of CelebA at 1024x1024, as image files or as the arrays that its authors' script writes.

Tero Karras, Timo Aila, Samuli Laine and Jaakko Lehtinen, "Progressive growing of GANs for improved quality, stability,
and variation", ICLR 2018, https://arxiv.org/abs/1710.10196
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_runner.datasets.folder import Channels, Count, SimpleImageFolder, Size, Transform
from vae_runner.datasets.imaging import Decoding, Fit, as_channels, as_uint8, readable
from vae_runner.datasets.listing import Entry
from vae_runner.signature import enforced

__all__ = ["CelebA_HQ"]


@enforced
class CelebA_HQ(SimpleImageFolder):
    """The CelebA-HQ images, as `SimpleImageFolder` has them.

    Args:
        root: the folder of the images, or a zip of them.
        as_npy: each image is an .npy file, see `npy_loader`; else a standard image format.

    The other arguments are those of `SimpleImageFolder`.
    """

    def __init__(
        self,
        root: str | Path,
        as_npy: bool = False,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        image_size: Size = 64,
        channels: Channels = 3,
        crop: Count | None = None,
        fit: Fit = "crop",
        background: str = "white",
        decoding: Decoding = "fast",
        store: bool = True,
        cache_dir: str | Path | None = None,
        workers: Count | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.as_npy = as_npy
        super().__init__(
            root,
            None,
            (".npy",) if as_npy else None,
            transform,
            target_transform,
            image_size=image_size,
            channels=channels,
            crop=crop,
            fit=fit,
            background=background,
            decoding=decoding,
            store=store,
            cache_dir=cache_dir,
            workers=workers,
            skip_bad=skip_bad,
        )

    @staticmethod
    def npy_loader(path: str | Path) -> Image.Image:
        """The image of an .npy file: (1, C, H, W), (C, H, W), (H, W, C) or (H, W), uint8 or float in [0, 1].

        C is 1 or 3; where the first and the last axis could both be channels, it is the first. Pickled objects are not
        loaded. Raises `UserError` in one line where the file is anything else.
        """
        with readable(path):
            return _npy_image(path)

    def _image(self, file: str | BinaryIO) -> Image.Image:
        return as_channels(_npy_image(file), self.recipe.channels) if self.as_npy else super()._image(file)

    def _pixels(self, file: BinaryIO, entry: Entry) -> NDArray:
        return self.recipe.pixels(_npy_image(file), entry.name) if self.as_npy else super()._pixels(file, entry)

    def _glance(self, file: BinaryIO) -> None:
        if self.as_npy:
            np.lib.format.read_magic(file)
        else:
            super()._glance(file)


def _npy_image(file: str | Path | BinaryIO) -> Image.Image:
    if isinstance(file, (str, Path)):
        with open(file, "rb") as opened:
            return _npy_image(opened)
    array = np.lib.format.read_array(file, allow_pickle=False)
    return Image.fromarray(as_uint8(_channels_last(array)))


def _channels_last(array: NDArray) -> NDArray:
    """(H, W, 3) or (H, W)."""
    image = array[0] if array.ndim == 4 and len(array) == 1 else array
    channels_first = image.ndim == 3 and image.shape[0] in (1, 3)
    if array.size and (image.ndim == 2 or channels_first or (array.ndim == 3 and image.shape[-1] in (1, 3))):
        image = np.moveaxis(image, 0, -1) if channels_first else image
        return image[..., 0] if image.shape[2:] == (1,) else np.ascontiguousarray(image)
    raise ValueError(
        f"an image is (1, C, H, W), (C, H, W), (H, W, C) or (H, W), C being 1 or 3; its shape is {array.shape}"
    )
