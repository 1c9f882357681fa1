"""What is done to the images of training, so that few of them go further: input and target alike are the changed image.

    crop:   x'(u) = x(o + s u),  s = (sqrt(a r), sqrt(a / r)),  a ~ U(area),  log r ~ U(log ratio),  o ~ U(0, 1 - s)
    colour: x' = b x;  then c x' + (1 - c) mean(gray);  then s x' + (1 - s) gray;  then the hue turned by h

with a draw of its own for each image: the random resized crop of Szegedy et al. 2015 (arXiv 1409.4842, section 6) and
the colour jitter of Howard 2013 (arXiv 1312.5402), by the formulas of torchvision.transforms.v2.functional, of which
each call makes all images of a batch alike. A crop is never larger than the image, so it is interpolated and needs no
antialiasing. It is drawn from torch's generator on the images' device, which `engine.Batches` seeds by (seed, step).
"""

import math
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor

from vae_runner.errors import UserError
from vae_runner.signature import Limit, between, enforced, probability

__all__ = ["Augmentation", "ColorJitter", "InTurn", "RandomCrop", "Unchanged"]

Area = Annotated[
    tuple[float, float], Limit("must be [low,high] with 0 < low <= high <= 1", lambda v: 0 < v[0] <= v[1] <= 1)
]
Ratio = Annotated[
    tuple[float, float],
    Limit("must be [low,high] with 0.1 <= low <= high <= 10", lambda v: 0.1 <= v[0] <= v[1] <= 10),
]
_GRAY = (0.2989, 0.587, 0.114)  # shares of red, green and blue, as in torchvision


@runtime_checkable
class Augmentation(Protocol):
    """Makes the images to train on from those of a batch.

    Example:
        >>> augmentation: Augmentation = lambda x: x.flip(-2)  # a function will do
        >>> augmentation(torch.tensor([[[[0.0], [1.0]]]])).flatten()
        tensor([1., 0.])
    """

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to the same shape; `x` itself is not changed."""


@dataclass(frozen=True)
class Unchanged:
    """The images as they are.

    Example:
        >>> x = torch.rand(2, 1, 4, 4)
        >>> Unchanged()(x) is x
        True
    """

    def __call__(self, x: Tensor) -> Tensor:
        return x


@enforced
@dataclass(frozen=True)
class RandomCrop:
    """Takes a part of `area` of each image, `ratio` times as wide as the image's own proportions (1 is the widest that
    there is, each way), anywhere in it, and makes it as large as the image.

    Example:
        >>> x = torch.rand(2, 1, 8, 8)
        >>> RandomCrop(area=(0.25, 0.5))(x).shape, torch.equal(RandomCrop((1.0, 1.0), (1.0, 1.0))(x), x)
        (torch.Size([2, 1, 8, 8]), True)
    """

    area: Area = (0.5, 1.0)
    ratio: Ratio = (0.8, 1.25)

    def __call__(self, x: Tensor) -> Tensor:
        draws = torch.rand(4, len(x), device=x.device)
        area = self.area[0] + (self.area[1] - self.area[0]) * draws[0]
        low, high = (math.log(value) for value in self.ratio)
        ratio = (low + (high - low) * draws[1]).exp()
        size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()]).clamp(max=1)  # (across, down) of each image
        return _resized(x, (1 - size) * draws[2:], size)


@enforced
@dataclass(frozen=True)
class ColorJitter:
    """Multiplies brightness, contrast and saturation of each image, in this order, by factors in [1 - its setting, 1 +
    its setting], and turns its hue by up to `hue` of the circle.

    Raises `UserError` of images without colours.

    Example:
        >>> x = torch.rand(2, 3, 4, 4)
        >>> torch.equal(ColorJitter(brightness=0, contrast=0, saturation=0, hue=0)(x), x)
        True
    """

    brightness: Annotated[float, probability] = 0.2
    contrast: Annotated[float, probability] = 0.2
    saturation: Annotated[float, probability] = 0.2
    hue: Annotated[float, between(0, 0.5)] = 0.02

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            raise UserError(f"colours are changed of images of 3 channels, not {x.shape[1]}; set augmentation=none")
        draws = 2 * torch.rand(4, len(x), 1, 1, 1, device=x.device) - 1
        if self.brightness:
            x = (x * (1 + self.brightness * draws[0])).clamp(0, 1)
        if self.contrast:
            x = _blended(x, _gray(x).mean((1, 2, 3), keepdim=True), 1 + self.contrast * draws[1])
        if self.saturation:
            x = _blended(x, _gray(x), 1 + self.saturation * draws[2])
        return _turned(x, self.hue * draws[3, :, 0]) if self.hue else x


@enforced
@dataclass(frozen=True)
class InTurn:
    """The crop first, then the colours; each may be any augmentation.

    Example:
        >>> x = torch.rand(2, 3, 8, 8)
        >>> torch.equal(InTurn(lambda x: x.flip(-1), lambda x: 1 - x)(x), 1 - x.flip(-1))
        True
    """

    crop: Augmentation
    color: Augmentation

    def __call__(self, x: Tensor) -> Tensor:
        return self.color(self.crop(x))


def _resized(x: Tensor, corner: Tensor, size: Tensor) -> Tensor:
    """The part of each image that begins at `corner` and has that `size`, (across, down) x B, parts of the image."""
    across, down = (_weights(pixels, corner[axis], size[axis]) for axis, pixels in enumerate((x.shape[3], x.shape[2])))
    batch, channels, height, width = x.shape  # one product for all channels: three would take longer
    rows = (x.reshape(batch, channels * height, width) @ across.mT).unflatten(1, (channels, height))
    made = down @ rows.transpose(1, 2).reshape(batch, height, channels * width)
    return made.unflatten(2, (channels, width)).transpose(1, 2).clamp(0, 1).contiguous()  # rounding kept in [0, 1]


def _weights(pixels: int, corner: Tensor, size: Tensor) -> Tensor:
    """How much of each old pixel of a row is in each new one, (B, pixels, pixels): bilinear, beyond the edge as at it.

    As products of matrices it takes a fraction of the time of `grid_sample`.
    """
    old = torch.arange(pixels, device=corner.device)
    places = (corner[:, None] * pixels + size[:, None] * (old + 0.5) - 0.5).clamp(0, pixels - 1)
    return (1 - (places[:, :, None] - old).abs()).clamp(min=0)


def _gray(x: Tensor) -> Tensor:
    """(B, 1, H, W)."""
    red, green, blue = x.split(1, dim=1)
    return _GRAY[0] * red + _GRAY[1] * green + _GRAY[2] * blue


def _blended(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (factor * x + (1 - factor) * other).clamp(0, 1)


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    """The hue of each image turned by that part of the circle, (B, 1, 1); saturation and value of HSV stay."""
    red, green, blue = x.unbind(1)
    high = x.amax(1)
    chroma = high - x.amin(1)
    safe = torch.where(chroma > 0, chroma, 1)
    others = torch.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    sextant = torch.where(high == red, (green - blue) / safe, others) + 6 * turn
    channels = []
    for shift in (5, 3, 1):
        place = (shift + sextant) % 6
        channels.append(high - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, dim=1)
