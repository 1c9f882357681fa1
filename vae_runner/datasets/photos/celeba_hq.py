"""CelebA-HQ: 30,000 faces of CelebA at 1024x1024, as image files or as the arrays that its authors' script writes.

Of the folder that CelebAMask-HQ is published in, the photos are taken and the masks are not, see `layouts`.

Tero Karras, Timo Aila, Samuli Laine and Jaakko Lehtinen, "Progressive growing of GANs for improved quality, stability,
and variation", ICLR 2018, https://arxiv.org/abs/1710.10196
"""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_runner.datasets.photos.image_folder import SimpleImageFolder, Transform
from vae_runner.datasets.photos.layouts import compare_count, hq_photos, take_photos
from vae_runner.datasets.photos.photo_settings import takes_settings
from vae_runner.datasets.reading.depth import Look, eight_bits
from vae_runner.datasets.reading.imaging import as_channels, readable
from vae_runner.datasets.reading.listing import Entry, open_regular
from vae_runner.signature import enforced

__all__ = ["COUNT", "CelebA_HQ"]

COUNT = 30_000  # images, as published


@enforced
class CelebA_HQ(SimpleImageFolder):
    """The CelebA-HQ images, as `SimpleImageFolder` has them.

    A count of images other than the published one is logged as a warning. The other arguments are those of
    `SimpleImageFolder`.

    Args:
        root: the folder of the images, or a zip of them.
        as_npy: each image is an .npy file, see `npy_loader`; with `levels`, integers and floats of any range too; else
            a standard image format.

    Example:
        >>> Path("faces").mkdir()
        >>> np.save("faces/00001.npy", np.zeros((1, 3, 64, 64), np.uint8))
        >>> faces = CelebA_HQ("faces", as_npy=True, image_size=32, cache_dir="cache")
        >>> faces[0][0].size, faces.image_shape
        ((64, 64), (3, 32, 32))
    """

    @takes_settings()
    def __init__(
        self,
        root: str | Path,
        as_npy: bool = False,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        **settings: Any,
    ) -> None:
        self.as_npy = as_npy
        endings = (".npy",) if as_npy else None
        super().__init__(root, None, endings, transform, target_transform, **settings)

    @staticmethod
    def npy_loader(path: str | Path) -> Image.Image:
        """Returns the image of an .npy file: (1, C, H, W), (C, H, W), (H, W, C) or (H, W), uint8 or float in [0, 1].

        C is 1 or 3; where the first and the last axis could both be channels, it is the first. Pickled objects are not
        loaded.

        Raises:
            UserError: in one line where the file is anything else.
        """
        with readable(path):
            return _npy_image(path)

    def _choose(self, entries: list[Entry]) -> list[Entry]:
        entries = take_photos(entries, hq_photos, self.root)
        compare_count("CelebA-HQ", self.root, len(entries), COUNT)
        return entries

    def _image(self, file: BinaryIO) -> Image.Image:
        if not self.as_npy:
            return super()._image(file)
        return as_channels(_npy_image(file, self.recipe.levels), self.recipe.channels)

    def _pixels(self, file: BinaryIO, entry: Entry, look: Look) -> NDArray:
        if not self.as_npy:
            return super()._pixels(file, entry, look)
        return self.recipe.pixels(_npy_image(file, self.recipe.levels, look), entry.name)

    def _glance(self, file: BinaryIO, look: Look | None) -> None:
        if not self.as_npy:
            super()._glance(file, look)
        elif look is None:
            np.lib.format.read_magic(file)
        else:
            _npy_image(file, self.recipe.levels, look)


def _npy_image(
    file: str | Path | BinaryIO, levels: tuple[float, float] | None = None, look: Look | None = None
) -> Image.Image:
    if isinstance(file, (str, Path)):
        with open_regular(file) as opened:
            return _npy_image(opened, levels, look)
    values = _channels_last(np.lib.format.read_array(file, allow_pickle=False))
    if values.dtype == np.uint8:
        return Image.fromarray(values)
    is_float, is_whole = (np.issubdtype(values.dtype, kind) for kind in (np.floating, np.integer))
    if not is_float and not (is_whole and levels):
        hint = "; dataset.levels=[low,high] scales others" if is_whole else ""
        raise ValueError(f"its values are {values.dtype}, expected uint8 or float in [0, 1]{hint}")
    return Image.fromarray(eight_bits(values, 1 if is_float else -1, levels, look))


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
