"""One image file made into the pixels that training reads: uint8, square, gray or RGB.

Every kind of file that Pillow opens comes out as a person sees it in a viewer on a white page: turned as its EXIF
orientation says, transparency composited on white, CMYK and palettes as RGB, 16 bits scaled to 8 (65535 becomes 255),
floats in [0, 1] to 255. Gray is the luma of ITU-R BT.601, Pillow's own.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from vae_runner.errors import UserError

__all__ = ["UnreadableImage", "as_channels", "as_uint8", "load_image", "readable", "square_pixels"]

_MODES = {1: "L", 3: "RGB"}


class UnreadableImage(UserError):
    """A file that holds no image: damaged, of another kind, or gone."""


@contextlib.contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Inside, what reading `path` raises becomes an `UnreadableImage` that says so in one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # Pillow raises nearly anything on a damaged file
        raise UnreadableImage(f"cannot read {path}: {_reason(error)}") from error


def load_image(path: str | Path, channels: int = 3) -> Image.Image:
    """The image of a file, upright, in mode "L" (1 channel) or "RGB" (3). The file is closed again."""
    with Image.open(path) as image:
        image.load()
        upright = image
        with contextlib.suppress(Exception):  # a damaged EXIF block takes nothing from the pixels
            upright = ImageOps.exif_transpose(image)
        return as_channels(upright, channels)


def as_channels(image: Image.Image, channels: int) -> Image.Image:
    """A copy in mode "L" (1 channel) or "RGB" (3)."""
    if image.mode.startswith("I"):
        image = Image.fromarray(_from_16_bits(np.asarray(image)))
    elif image.mode == "F":
        image = Image.fromarray(as_uint8(np.asarray(image)))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(_MODES[channels])


def as_uint8(values: NDArray) -> NDArray[np.uint8]:
    """uint8 as it is, floats in [0, 1] times 255; `ValueError` for all else."""
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"its values are {values.dtype}, expected uint8 or float in [0, 1]")
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # nan too
        raise ValueError(f"its values go from {low:g} to {high:g}, expected uint8 or float in [0, 1]")
    return np.rint(values * np.float64(255)).astype(np.uint8)


def square_pixels(image: Image.Image, name: str, image_size: int, channels: int, crop: int | None) -> NDArray[np.uint8]:
    """The centre square of the image, `crop` pixels wide (None: as large as can be), resized with antialiasing.

    Returns (channels, image_size, image_size) uint8. Raises `UserError` where the image, called `name`, is too small.
    """
    width, height = image.size
    side = min(width, height) if crop is None else crop
    if side > min(width, height):
        raise UserError(f"dataset.crop={crop} but {name} is only {width}x{height}; set dataset.crop=null")
    left, top = round((width - side) / 2), round((height - side) / 2)
    square = as_channels(image.crop((left, top, left + side, top + side)), channels)
    if side != image_size:
        square = square.resize((image_size, image_size), Image.Resampling.LANCZOS)
    return np.asarray(square).reshape(image_size, image_size, channels).transpose(2, 0, 1)


def _from_16_bits(values: NDArray) -> NDArray[np.uint8]:
    """0 to 65535 as 0 to 255, rounded."""
    values = values.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"its values go from {values.min()} to {values.max()}, expected 16 bits")
    return ((values + 128) // 257).astype(np.uint8)


def _reason(error: Exception) -> str:
    """The cause in a few words, without the path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words.splitlines()[0]
