"""One image file made into the pixels that training reads: uint8, square, gray or RGB.

Every kind of file that Pillow opens comes out as a person sees it in a viewer on a white page: turned as its EXIF
orientation says, transparency composited on white (or another colour), CMYK and palettes as RGB, more than 8 bits
scaled to 8 (see `depth`), the first frame of an animation. Gray is the luma of ITU-R BT.601.

The square that is wanted is made with Pillow's antialiased bilinear filter, that of torchvision's `Resize`. Where an
image shrinks more than sixfold, it is first averaged over blocks of pixels, to no less than three times the wanted size
(`GAP`), which Pillow's manual calls almost indistinguishable from filtering all of it.

Fast decoding lets a JPEG decoder leave out the higher frequencies of each 8x8 block, which yields the image at 1/2, 1/4
or 1/8 of its size at a fraction of the cost (libjpeg's scale_denom), never smaller than the wanted one. docs/data.md
has what it gains, and by how much the pictures differ.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageColor, ImageOps, UnidentifiedImageError

from vae_runner.datasets.reading.depth import (
    Levels,
    Look,
    deep_colours,
    from_colours,
    from_gray,
    is_deep,
    is_gray_deep,
    white_of,
)
from vae_runner.datasets.reading.framing import centred, largest, squared
from vae_runner.datasets.reading.jpeg import plain_jpeg
from vae_runner.datasets.reading.listing import open_regular, printable
from vae_runner.errors import UserError

__all__ = [
    "FILTER",
    "GAP",
    "VERSION",
    "Decoding",
    "Fit",
    "Recipe",
    "UnreadableImage",
    "as_channels",
    "load_image",
    "look_into",
    "readable",
]

Fit = Literal["crop", "pad", "stretch"]
Decoding = Literal["fast", "exact"]

VERSION = 3  # of the pixels: another one for whatever makes a file come out otherwise, so that stores are made anew

_MODES = {1: "L", 3: "RGB"}
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
FILTER = Image.Resampling.BILINEAR  # antialiased: over all the pixels that become one
GAP = 3.0  # times the wanted size that block averages leave to the filter


class UnreadableImage(UserError):
    """A file that holds no image: damaged, of another kind, or gone. `passing` where the fault is not in its content,
    such as a missing permission.

    Example:
        >>> with readable("a.png"):
        ...     raise OSError("image file is truncated")
        Traceback (most recent call last):
            ...
        vae_runner.datasets.reading.imaging.UnreadableImage: cannot read a.png: image file is truncated
    """

    passing = False


@dataclass(frozen=True)
class Recipe:
    """How an image becomes (channels, height, width) uint8.

    Args:
        image_size: pixels on each side of a square, or (height, width); equal ones are made one number.
        crop: longer side, in pixels, of the centre part that is used; None: as `fit` says. That part has the
            proportions of `image_size`, as a whole number of pixels comes nearest to them: a square of a square.
        fit: crop: the largest centre part of these proportions | pad: all of it, on a plane of `background` | stretch:
            all of it, whatever its proportions.
        background: colour behind transparent images and around padded ones, a name or #rrggbb.
        decoding: exact: each JPEG in full | fast: at a lower resolution where half of it or less is wanted.
        levels: the values of a file of more than 8 bits that become black and white; None: those of its kind.

    Example:
        >>> recipe = Recipe(image_size=16, channels=1, fit="pad", background="black")
        >>> recipe.pixels(Image.new("L", (40, 20), 255), name="a.png")[0, :, 8]  # black above and below
        array([  0,   0,   0,   0, 255, 255, 255, 255, 255, 255, 255, 255,   0,
                 0,   0,   0], dtype=uint8)
    """

    image_size: int | tuple[int, int] = 64
    channels: int = 3
    crop: int | None = None
    fit: Fit = "crop"
    background: str = "white"
    decoding: Decoding = "fast"
    levels: Levels | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", squared(self.image_size))  # one name of a store for one size
        for name, kind in (("fit", Fit), ("decoding", Decoding)):
            if getattr(self, name) not in get_args(kind):
                raise UserError(
                    f"dataset.{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}"
                )
        try:
            ImageColor.getcolor(self.background, "RGB")
        except ValueError:
            raise UserError(f"dataset.background={self.background} is no colour, such as white or #80ff00") from None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of what is made."""
        return (self.channels, self.size[1], self.size[0])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of what is made, as Pillow has it."""
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size[::-1]

    @property
    def is_square(self) -> bool:
        """Whether what is made is as wide as high."""
        return isinstance(self.image_size, int)

    @property
    def least(self) -> tuple[int, int]:
        """(width, height) below which an image does not suffice: of the crop, else of what is made."""
        return self.size if self.crop is None else largest((self.crop, self.crop), self.size)

    def decode(self, file: str | Path | BinaryIO, name: str, look: Look | None = None) -> NDArray[np.uint8]:
        """Returns the pixels of an image file, which stays open; `name` is for errors, `look` is told of deep ones."""
        with _opened(file) as opened:
            image, full_size, shrunk = self._plain(opened) or self._any(opened, look)
        return self.pixels(image, name, full_size, shrunk)

    def pixels(
        self, image: Image.Image, name: str, full_size: tuple[int, int] | None = None, shrunk: int = 1
    ) -> NDArray[np.uint8]:
        """Returns the pixels of an image, resized with antialiasing: (channels, height, width).

        `full_size` is the size of an image of which each pixel stands for `shrunk` x `shrunk`.

        Raises:
            UserError: where the crop does not fit into the image, called `name`.
        """
        region = self._region(full_size or image.size, name)
        if shrunk == 1 and region != (0, 0, *image.size):
            image, region = image.crop(region), None  # the filter is not to see what lies beyond
        if image.mode != _MODES[self.channels] or image.has_transparency_data:
            image = as_channels(image, self.channels, self.background, self.levels)
        framed = self._resized(image, tuple(edge / shrunk for edge in region or (0, 0, *image.size)))
        values = np.frombuffer(framed.tobytes(), np.uint8)  # np.asarray takes longer
        return values.reshape(*self.size[::-1], self.channels).transpose(2, 0, 1)

    def _plain(self, file: BinaryIO) -> tuple[Image.Image, tuple[int, int], int] | None:
        """As `_any`, of a plain JPEG; None for all else."""
        if (jpeg := plain_jpeg(file)) is None:
            return None
        shrunk = jpeg.scale(self._least(jpeg.width, jpeg.height))
        pixels = jpeg.decode(shrunk, self.channels == 1)
        return None if pixels is None else (Image.fromarray(pixels), (jpeg.width, jpeg.height), shrunk)

    def _any(self, file: BinaryIO, look: Look | None) -> tuple[Image.Image, tuple[int, int], int]:
        """The upright image, its full size (width, height), and how many of its pixels, each way, are one."""
        with Image.open(file) as image:
            width, height = image.size
            # only JPEGs heed it; for gray their decoder leaves the colours alone
            drafted = image.draft("L" if self.channels == 1 else None, self._least(width, height))
            shrunk = round(width / drafted[1][2]) if drafted else 1
            loaded, is_turned = _loaded(image, file, self.levels, look)
            return loaded, (height, width) if is_turned else (width, height), shrunk

    def _region(self, size: tuple[int, int], name: str) -> tuple[int, int, int, int]:
        """The part of the image that is used: left, top, right, bottom."""
        width, height = size
        if self.crop is None and self.fit != "crop":
            return (0, 0, width, height)
        used = largest(size, self.size) if self.crop is None else self.least
        if used[0] > width or used[1] > height:
            raise UserError(
                f"dataset.crop={self.crop} but {printable(name)} is only {width}x{height}; set dataset.crop=null"
            )
        return centred(size, used)

    def _resized(self, image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
        target = self.size
        if self.fit == "pad" and self.crop is None:
            target = largest(self.size, (box[2] - box[0], box[3] - box[1]))
        if box != (0, 0, *target) or image.size != target:
            image = image.resize(target, FILTER, box, GAP)
        return image if target == self.size else self._padded(image)

    def _padded(self, image: Image.Image) -> Image.Image:
        plane = Image.new(image.mode, self.size, self.background)
        plane.paste(image, tuple((whole - side) // 2 for whole, side in zip(self.size, image.size, strict=True)))
        return plane

    def _least(self, width: int, height: int) -> tuple[int, int] | None:
        """The size of the whole image of which the wanted part has the wanted size; None where all is decoded."""
        if self.decoding == "exact":
            return None
        if self.crop is not None:
            factor = max(self.size) / self.crop
        else:
            factor = (min if self.fit == "pad" else max)(self.size[0] / width, self.size[1] / height)
        return (math.ceil(width * factor), math.ceil(height * factor))


@contextlib.contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Inside, what reading `path` raises becomes an `UnreadableImage` that says so in one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # Pillow raises nearly anything on a damaged file
        unreadable = UnreadableImage(f"cannot read {printable(path)}: {_reason(error)}")
        unreadable.passing = isinstance(error, OSError) and error.errno is not None
        raise unreadable from error


def load_image(
    file: str | Path | BinaryIO, channels: int = 3, background: str = "white", levels: tuple[float, float] | None = None
) -> Image.Image:
    """Returns the image of a file, upright, in mode "L" (1 channel) or "RGB" (3), in full."""
    with _opened(file) as opened, Image.open(opened) as image:
        return as_channels(_loaded(image, opened, levels)[0], channels, background)


def look_into(file: BinaryIO, levels: tuple[float, float] | None, look: Look | None) -> None:
    """Read the header; where the image is of more than 8 bits and there is a `look`, decode it and tell that one."""
    with Image.open(file) as image:
        if look is not None and is_deep(image):
            _loaded(image, file, levels, look)


def as_channels(
    image: Image.Image, channels: int, background: str = "white", levels: tuple[float, float] | None = None
) -> Image.Image:
    """Returns a copy in mode "L" (1 channel) or "RGB" (3)."""
    if is_gray_deep(image):
        image = from_gray(image, white_of(image), levels)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return image.convert(_MODES[channels])


def _opened(file: str | Path | BinaryIO) -> contextlib.AbstractContextManager[BinaryIO]:
    """The file, closed afterwards where it was given by its path."""
    return open_regular(file) if isinstance(file, (str, Path)) else contextlib.nullcontext(file)


def _loaded(
    image: Image.Image, file: BinaryIO, levels: tuple[float, float] | None, look: Look | None = None
) -> tuple[Image.Image, bool]:
    """What was opened from `file`, decoded, upright and of 8 bits; and whether its sides have changed places."""
    white, colours = white_of(image), deep_colours(image, file)
    image.load()
    if colours is not None:
        image.paste(from_colours(colours, levels, look))
    is_turned = _set_upright(image)
    return from_gray(image, white, levels, look) if is_gray_deep(image) else image, is_turned


def _set_upright(image: Image.Image) -> bool:
    """Turn or mirror it as its EXIF orientation says; returns whether its sides have changed places."""
    with contextlib.suppress(Exception):  # a damaged EXIF block takes nothing from the pixels
        turned = image.getexif().get(ExifTags.Base.Orientation, 1)
        if turned != 1:
            ImageOps.exif_transpose(image, in_place=True)
        return turned in _SIDEWAYS
    return False


def _reason(error: Exception) -> str:
    """The cause in a few words, without the path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return f"it is too large for an image: {str(error).partition(',')[0].lower()}"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words.splitlines()[0]
