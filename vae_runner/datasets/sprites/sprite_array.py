"""The images of dSprites as one array in memory, from a file or rendered.

Sprites come as windows (`windowed`), 43 MB for all of them. A file of the same size may hold anything; where its images
have no windows, since white rows lie too far apart or too many of them differ, it is read once more and they come as
bits (`packed`), 377 MB. What an array holds is told by its dimensions.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vae_runner.datasets.sprites import dsprites_file, dsprites_render
from vae_runner.datasets.sprites.packed import PackedImages, packed_rows
from vae_runner.datasets.sprites.windowed import WindowedImages, packed_sha256, windows
from vae_runner.datasets.store.cache import digest

__all__ = ["SpriteArray", "fingerprint", "images_of", "read", "render"]

SpriteArray = NDArray[np.int16] | NDArray[np.uint8]  # windows, or bits (N, 512)

_Pieces = Iterator[NDArray[np.uint64]]

logger = logging.getLogger("vae_runner")


def read(path: Path) -> SpriteArray:
    """Returns the images of the .npz or .npy at `path`.

    Raises:
        UserError: in one line where the file is damaged or holds something else.
    """
    logger.info("reading %s", path)
    array = windows(_pieces(path), dsprites_file.IMAGES)
    if array is not None:
        return array
    logger.info("its images are larger, or of more kinds, than sprites are: reading it once more, to be kept as bits")
    return packed_rows(_pieces(path), dsprites_file.IMAGES)


def render() -> SpriteArray:
    """Returns the images that `dsprites_render` draws."""
    logger.info("rendering dSprites (once, a few seconds)")
    array = windows(_told(dsprites_render.render(), "rendering dSprites"), dsprites_file.IMAGES)
    assert array is not None  # a sprite has 27 rows at most
    return array


def images_of(array: SpriteArray) -> WindowedImages | PackedImages:
    """Returns what gathers the images of an array."""
    images = torch.from_numpy(array)
    return WindowedImages(images) if images.ndim == 1 else PackedImages(images, (64, 64))


def fingerprint(array: SpriteArray) -> str:
    """Returns the SHA-256 of the images as bits, in hex, whatever they are kept as."""
    return packed_sha256(array) if array.ndim == 1 else digest(array)


def _pieces(path: Path) -> _Pieces:
    return _told(dsprites_file.read_rows(path, dsprites_file.IMAGES), "reading dSprites")


def _told(pieces: _Pieces, label: str) -> _Pieces:
    """The same pieces, beside a bar that counts their images."""
    with tqdm(desc=label, total=dsprites_file.IMAGES, unit=" images", unit_scale=True, disable=None) as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))
