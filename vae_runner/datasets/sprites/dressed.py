"""Sprites in colour, in noise and in front of a picture: what no factor says, and a model must spend latents on.

Locatello et al. 2019 (arXiv 1811.12359), "Challenging common assumptions in the unsupervised learning of disentangled
representations", have three variants of dSprites. With a sprite of zeros and ones s and, for each image, a colour
c in [0.5, 1]^3, noise n in [0, 1] for each pixel and channel, or a part of a picture p and a tint t in [0, 1]^3:

    colour       x = s c
    noisy        x = min(s + n, 1)
    background   x = (p + t) / 2 where s is 0, and 1 - (p + t) / 2 where it is 1

There all of this is drawn anew for each batch; here it follows from the image's index and a seed, so that an image is
always the same, on every device: numbers come from a hash (lowbias32, Chris Wellons 2018,
https://nullprogram.com/blog/2018/07/31) of both, in the 256 levels that images have.
"""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_runner.datasets.reading.imaging import load_image, readable
from vae_runner.datasets.reading.listing import printable
from vae_runner.datasets.reading.parallel import sha256
from vae_runner.errors import UserError
from vae_runner.randomness import seed_for

__all__ = ["Dress", "Variant", "drawn_bytes", "dressing"]

Variant = Literal["plain", "colour", "noisy", "background"]

_GOLDEN = 0x9E3779B9 - (1 << 32)  # 2^32 / golden ratio, as int32: words of an image lie far from each other
_SIDE = 64  # of the sprites' images
_LARGEST = (350, 274)  # pixels of the picture at most, as of the variant with The Scream


class Dress:
    """What a variant makes of sprites.

    Args:
        variant: "colour", "noisy" or "background".
        seed: of all draws.
        picture: (H, W, 3) uint8, of "background", at least as large as the sprites.

    Example:
        >>> square = torch.ones(1, 1, 2, 2)
        >>> Dress("colour", seed=0)(square, torch.tensor([5])).shape, Dress("noisy", seed=0)(square, torch.tensor([5]))
        (torch.Size([1, 3, 2, 2]), tensor([[[[1., 1.],
                  [1., 1.]],
        <BLANKLINE>
                 [[1., 1.],
                  [1., 1.]],
        <BLANKLINE>
                 [[1., 1.],
                  [1., 1.]]]]))
    """

    def __init__(self, variant: Variant, seed: int, picture: Tensor | None = None) -> None:
        self.variant, self.seed, self.picture = variant, seed, picture

    def __call__(self, sprites: Tensor, indices: Tensor) -> Tensor:
        """Returns the images (B, 3, H, W) float32, levels k/255, of sprites (B, 1, H, W), zeros and ones."""
        height, width = sprites.shape[2:]
        indices = indices.to(sprites.device)
        if self.variant == "colour":
            levels = sprites * (128 + drawn_bytes(indices, 3, self.seed) // 2)[:, :, None, None]
        elif self.variant == "noisy":
            noise = drawn_bytes(indices, 3 * height * width, self.seed).view(-1, 3, height, width)
            levels = noise.masked_fill(sprites > 0, 255)
        else:
            behind = self._behind(indices, height, width)
            levels = torch.where(sprites > 0, 255 - behind, behind)
        return levels.to(torch.float32).div_(255)

    def __repr__(self) -> str:
        """All that the images follow from, besides the sprites."""
        picture = "" if self.picture is None else sha256(self.picture)
        return f"{self.variant} {self.seed} {picture}"

    def _behind(self, indices: Tensor, height: int, width: int) -> Tensor:
        """A part of the picture, tinted, for each image: (B, 3, H, W) levels."""
        assert self.picture is not None
        self.picture = self.picture.to(indices.device)
        drawn = drawn_bytes(indices, 12, self.seed).long()
        weights = torch.tensor([1 << 24, 1 << 16, 1 << 8, 1], device=drawn.device)
        fractions = (drawn[:, 3:11].view(-1, 2, 4) * weights).sum(2)  # of 2^32
        rooms = [size - part + 1 for size, part in zip(self.picture.shape[:2], (height, width), strict=True)]
        top, left = ((fractions[:, axis] * rooms[axis]) >> 32 for axis in range(2))
        rows = top[:, None, None] + torch.arange(height, device=top.device)[:, None]
        columns = left[:, None, None] + torch.arange(width, device=top.device)
        part = self.picture[rows, columns].permute(0, 3, 1, 2).long()
        return (part + drawn[:, :3, None, None] + 1) // 2


def drawn_bytes(indices: Tensor, count: int, seed: int) -> Tensor:
    """Returns `count` numbers from 0 to 255 for each index (B,), each as likely as any other: (B, count) uint8."""
    words = torch.arange(-(-count // 4), dtype=torch.int32, device=indices.device).mul_(_GOLDEN)
    key = _hashed(indices.to(torch.int32) ^ _signed(seed_for(seed, "variant")))
    found = _hashed((key[:, None] + words) ^ (key[:, None] >> 5))
    return found.view(torch.uint8)[:, :count]  # the four bytes of each, the least significant first


def dressing(variant: Variant, seed: int, background: str | Path | None, root: Path | None) -> Dress | None:
    """Returns what makes a variant of sprites; None: they stay plain.

    Args:
        variant, seed: as of `Dress`.
        background: the picture's file, or its name in `root`.

    Raises:
        UserError: where they do not go together, or there is no such picture.
    """
    if variant not in get_args(Variant):
        raise UserError(f"dataset.variant must be one of {', '.join(get_args(Variant))}, got {variant!r}")
    if (background is None) == (variant == "background"):
        remedy = "name a picture, such as one of The Scream" if background is None else "leave it out"
        raise UserError(f"dataset.background goes with dataset.variant=background: {remedy}")
    if background is None:
        return None if variant == "plain" else Dress(variant, seed)
    path = Path(background).expanduser()
    beside = path if root is None else root / path
    return Dress(variant, seed, _picture(beside if beside.is_file() else path))


def _picture(path: Path) -> Tensor:
    """The picture of "background", (H, W, 3) uint8, made to fit into 350 x 274 pixels."""
    try:
        with readable(path):
            picture = load_image(path, 3)
            picture.thumbnail(_LARGEST, Image.Resampling.LANCZOS)
    except UserError as error:
        raise UserError(f"dataset.background: {error}") from error
    if min(picture.size) < _SIDE:
        width, height = picture.size
        raise UserError(
            f"dataset.background={printable(path)} is {width}x{height} pixels where it fits into 350x274, expected "
            f"{_SIDE} on each side at least"
        )
    return torch.from_numpy(np.array(picture))


def _hashed(words: Tensor) -> Tensor:
    """Of each 32-bit number, as int32, another one; a shift by n is followed by a mask, for it keeps the sign."""
    words = ((words >> 16) & 0xFFFF).bitwise_xor_(words).mul_(0x7FEB352D)
    words = ((words >> 15) & 0x1FFFF).bitwise_xor_(words).mul_(_signed(0x846CA68B))
    return ((words >> 16) & 0xFFFF).bitwise_xor_(words)


def _signed(word: int) -> int:
    """The int32 of the same 32 bits."""
    return ((word & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000
