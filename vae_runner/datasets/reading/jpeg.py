"""Plain JPEGs by libjpeg-turbo's own interface, which takes three quarters of the time that it takes by way of Pillow.

The library is the same and so are the pixels (tests/test_jpeg.py). Plain is a JPEG of gray or RGB images that stands
upright: all else, and whatever is damaged, is Pillow's, so that what is read and what is refused, and in which words,
does not depend on who decodes.
"""

import io
import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from simplejpeg import decode_jpeg, decode_jpeg_header

__all__ = ["PlainJPEG", "plain_jpeg"]

_START = b"\xff\xd8\xff"
_APP1, _SCAN = 0xE1, 0xDA  # the segments with EXIF or XMP, and with the first pixels
_SCALES = (8, 4, 2)
_LEAST = 8  # pixels of the longer side; below, several of the decoder's scales yield one size, and it takes the first
_LARGEST = 1 << 28  # bytes that are kept at once


@dataclass(frozen=True)
class PlainJPEG:
    """The bytes of a file, and what its header says.

    Example:
        >>> plain = PlainJPEG(data=b"", width=400, height=300, gray=False)
        >>> plain.scale((64, 64))  # at a quarter of its size it is no smaller than that
        4
    """

    data: bytes
    width: int
    height: int
    gray: bool

    def scale(self, least: tuple[int, int] | None) -> int:
        """Returns 8, 4, 2 or 1: by how much it can shrink to be no smaller than `least` (width, height)."""
        if least is None:
            return 1
        most = min(self.width // least[0], self.height // least[1])
        return next((scale for scale in _SCALES if scale <= most), 1)

    def decode(self, scale: int, gray: bool) -> NDArray[np.uint8] | None:
        """Returns its pixels at 1/`scale` of its size: (H, W, 3), or (H, W) where it, or what is wanted, is gray.

        None where Pillow is to judge.
        """
        gray |= self.gray
        width, height = -(-self.width // scale), -(-self.height // scale)
        try:
            pixels = decode_jpeg(self.data, "GRAY" if gray else "RGB", min_width=width, min_height=height)
        except Exception:  # cut off, damaged, or of a kind that it does not know
            return None
        return pixels[..., 0] if gray else pixels


def plain_jpeg(file: BinaryIO) -> PlainJPEG | None:
    """Returns the JPEG in a file, read whole but not decoded; None where Pillow is to read it, for whatever reason."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > _LARGEST or file.read(len(_START)) != _START:
        return None
    file.seek(0)
    data = file.read(size)
    try:
        height, width, colours, _ = decode_jpeg_header(data)
        plain = colours in ("YCbCr", "RGB", "Gray") and max(width, height) >= _LEAST and _is_upright(data)
    except Exception:
        return None
    # Pillow warns of a picture larger than this, and refuses one of twice its size
    if not plain or width * height > (Image.MAX_IMAGE_PIXELS or np.inf):
        return None
    return PlainJPEG(data, width, height, colours == "Gray")


def _is_upright(data: bytes) -> bool:
    """Whether it is shown as it is stored: without EXIF and XMP, or as Pillow reads them."""
    at = len(_START) - 1
    while data[at] == 0xFF and data[at + 1] not in (_APP1, _SCAN):
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    if data[at : at + 2] == bytes((0xFF, _SCAN)):
        return True
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif().get(ExifTags.Base.Orientation, 1) == 1
