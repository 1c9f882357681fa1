"""Images of more than 8 bits for each value, and how they become 8.

What a file could hold says nothing about what it does hold: 12 bits of a camera lie in 16, and 0 to 255 in 32. Nothing
is guessed image by image, for then two of one scene would differ. The range that the file's kind stands for becomes 0
to 255, or, where `levels` are given, theirs: low is black, high is white, what lies beyond is cut off. The darkest and
the brightest value are told to `look`, so that somebody can judge the set as a whole.

    value' = 255 (value - low) / (high - low), rounded

Of colour images of 16 bits Pillow keeps the upper byte of each value. Here they are decoded twice, the other time with
the bytes taken for those of the other byte order, which yields the lower ones.
"""

import io
from collections.abc import Callable
from typing import Annotated, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_runner.signature import Limit

__all__ = ["FLAT", "Depth", "Levels", "Look", "deep_colours", "eight_bits", "from_colours", "from_gray", "is_deep"]
__all__ += ["is_gray_deep", "white_of"]

_FINITE = 1e300
Levels = Annotated[
    tuple[float, float],
    Limit("must be [low,high], low below high", lambda value: -_FINITE < value[0] < value[1] < _FINITE),
]


class Depth(NamedTuple):
    """The darkest and the brightest value of a file, and the one that its kind takes for white.

    Example:
        >>> Depth(low=0.0, high=4095.0, white=65535.0).is_within
        True
    """

    low: float
    high: float
    white: float  # below 0 where nothing is, and levels are needed

    @property
    def is_within(self) -> bool:
        """Whether no levels are needed."""
        return self.low >= 0 and self.high <= self.white


FLAT = Depth(0, 0, 0)  # of a file of 8 bits, which nobody has looked into
Look = Callable[[Depth], object]

_BITS, _PLANAR = 258, 284  # tags of TIFF
_WHITE = 65535  # of whole numbers, 16 bits and 32 alike
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if np.little_endian else "L"}


def eight_bits(
    values: NDArray, white: float, levels: tuple[float, float] | None = None, look: Look | None = None
) -> NDArray[np.uint8]:
    """Returns `values`, of which 0 is black and `white` white unless there are `levels`, as 0 to 255, rounded.

    Raises:
        ValueError: where they are not finite, or lie outside [0, white] and there are no levels.
    """
    low, high = float(values.min()), float(values.max())
    depth = Depth(low, high, white)
    if (levels is None and not depth.is_within) or not np.isfinite([low, high]).all():
        expected = "expected float in [0, 1]" if white == 1 else f"expected 0 to {white:g}"
        raise ValueError(f"its values go from {low:g} to {high:g}, {expected}; dataset.levels=[low,high] scales others")
    if look is not None:
        look(depth)
    black, white = levels or (0, white)
    scaled = (values.astype(np.float64) - black) / (white - black)
    return np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)


def is_gray_deep(image: Image.Image) -> bool:
    """Returns whether it has one value of more than 8 bits for each pixel."""
    return image.mode == "F" or image.mode.startswith("I")


def is_deep(image: Image.Image) -> bool:
    """Returns whether an image that is not loaded yet has values of more than 8 bits."""
    return is_gray_deep(image) or _bits_of_colours(image) is not None


def white_of(image: Image.Image) -> float:
    """Returns what the kind of a gray image takes for white; of 12 bits this can be told only before loading."""
    return 1 if image.mode == "F" else 4095 if _raw_mode(image).startswith("I;12") else _WHITE


def from_gray(
    image: Image.Image, white: float, levels: tuple[float, float] | None = None, look: Look | None = None
) -> Image.Image:
    """Returns an image of which `is_gray_deep` is true in mode "L"."""
    return Image.fromarray(eight_bits(np.asarray(image), white, levels, look))


def from_colours(
    values: NDArray[np.uint16], levels: tuple[float, float] | None = None, look: Look | None = None
) -> Image.Image:
    """Returns what `deep_colours` returns as an image in mode "RGB" or "RGBA"; opacity has no levels."""
    colours = values.shape[-1] - (values.shape[-1] % 2 == 0)  # without opacity
    pixels = eight_bits(values[..., :colours], _WHITE, levels, look)
    pixels = pixels.repeat(3, -1) if colours == 1 else pixels
    if colours < values.shape[-1]:
        pixels = np.concatenate([pixels, eight_bits(values[..., colours:], _WHITE)], -1)
    return Image.fromarray(pixels)


def deep_colours(image: Image.Image, file: BinaryIO) -> NDArray[np.uint16] | None:
    """Returns the values (H, W, 2, 3 or 4), the last of 2 and 4 being opacity, of an image that was opened from `file`
    and has 16 bits for each; None for all others. It is not loaded yet, and can be afterwards.

    Raises:
        ValueError: for a TIFF of 16 bits with a plane for each colour, which Pillow takes for another picture.
    """
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PLANAR, 1) == 2 and max(tags.get(_BITS, (8,))) > 8:
        raise ValueError("its 16 bits for each colour lie in separate planes; save it as PNG")
    if (kind := _bits_of_colours(image)) is None:
        return None
    at = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(at)
    if kind == "LA":  # as many bits as RGBA has of 8
        both = _decoded(data, lambda mode: "RGBA").astype(np.uint16)
        return both[..., ::2] << 8 | both[..., 1::2]
    upper = _decoded(data, lambda mode: mode).astype(np.uint16)
    return upper << 8 | _decoded(data, lambda mode: mode[:-1] + _OTHER_ORDER[mode[-1]])


def _decoded(data: bytes, raw_mode: Callable[[str], str]) -> NDArray[np.uint8]:
    """The image with its bytes read in the way that `raw_mode` makes of Pillow's."""
    with Image.open(io.BytesIO(data)) as image:
        image.tile = [tile._replace(args=_with_mode(tile.args, raw_mode)) for tile in image.tile]
        image.load()
        return np.asarray(image)


def _bits_of_colours(image: Image.Image) -> str | None:
    """Which values lie in the file of a colour image of 16 bits, such as RGB; None for all others."""
    kind, _, bits = _raw_mode(image).partition(";")
    is_known = bits.startswith("16") and bits[2:] in _OTHER_ORDER and image.mode in ("RGB", "RGBA")
    return kind if is_known else None


def _with_mode(arguments: object, raw_mode: Callable[[str], str]) -> object:
    """The arguments of a decoder; the raw mode is the first, or the only one."""
    if isinstance(arguments, tuple):
        return (raw_mode(arguments[0]), *arguments[1:])
    return raw_mode(str(arguments))


def _raw_mode(image: Image.Image) -> str:
    """How the values lie in the file, such as RGB;16B; "" where it is loaded already."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""
