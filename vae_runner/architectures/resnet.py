"""Residual encoder and decoder for photos (He et al. 2016, arXiv 1603.05027).

    block     y = shortcut(x) + conv(silu(norm(conv(silu(norm(x))))))
    encoder   conv 4x4, stride 2, then on every level blocks, and a mean over 2x2 pixels: sides n/2, n/4, ... 4
    decoder   linear, then on every level blocks, and twice the size by linear interpolation: sides 4, ... n/2, n

Both end with norm and silu, the decoder with a conv behind them. Other kernels are 3x3, norms are group norms (Wu & He
2018, arXiv 1803.08494), shortcuts 1x1 where the channels change, else nothing. The channels are `width` at the size of
the image and double with each halving, up to `max_width`. A size n is halved to floor(n / 2), as in `conv`. The encoder
has no blocks at the size of the image: they would cost as much as all others together, and seeing detail takes less
than drawing it.

Signals start as they should go on. The last convolution of each block starts at zero (Goyal et al. 2017, arXiv
1706.02677, section 5.1), so that every block starts as its shortcut; the shortcuts, and the convolution that the image
goes through, keep the size of a signal without a rectifier, weights of variance 1 / inputs; all others follow He.
"""

import math
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_runner.architectures.parts import ImageShape, halved_sizes, halvings
from vae_runner.initialisation import he_initialised
from vae_runner.signature import Limit, enforced, positive

__all__ = ["ResNetDecoder", "ResNetEncoder"]

Count = Annotated[int, positive, Limit("must be at most 100,000", lambda value: value <= 100_000)]
Blocks = Annotated[int, positive, Limit("must be at most 100", lambda value: value <= 100)]

GROUPS = 8  # of channels that are normalised together, where the channels can be divided so


@enforced
class ResNetEncoder(nn.Module):
    """Images (B, C, H, W) to features (B, channels x height x width of the last level).

    Args:
        blocks: residual blocks on each level.

    Example:
        >>> encoder = ResNetEncoder((3, 32, 32), width=4)
        >>> encoder(torch.rand(2, 3, 32, 32)).shape, encoder.num_features  # 4 x 2^3 channels of 4 x 4
        (torch.Size([2, 512]), 512)
    """

    def __init__(self, image_shape: ImageShape, width: Count = 16, max_width: Count = 256, blocks: Blocks = 1) -> None:
        super().__init__()
        sizes = halved_sizes(image_shape, halvings(image_shape))
        widths = level_widths(len(sizes), width, max_width)[1:]
        layers = [straight(nn.Conv2d(image_shape[0], widths[0], 4, stride=2, padding=1))]
        for inputs, outputs in pairwise([widths[0], *widths]):
            layers += [*level(inputs, outputs, blocks), nn.AvgPool2d(2)]
        layers.pop()  # the last level is not halved
        self.num_features = widths[-1] * math.prod(sizes[-1])
        self.layers = nn.Sequential(*layers, norm(widths[-1]), nn.SiLU(), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@enforced
class ResNetDecoder(nn.Module):
    """Latents (B, `latent_dim`) to the likelihood's parameters (B, *image_shape); its levels are the encoder's.

    Example:
        >>> ResNetDecoder(10, (3, 32, 32), width=4)(torch.zeros(2, 10)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        width: Count = 16,
        max_width: Count = 256,
        blocks: Blocks = 1,
    ) -> None:
        super().__init__()
        sizes = halved_sizes(image_shape, halvings(image_shape))[::-1]
        widths = level_widths(len(sizes), width, max_width)[::-1]
        layers = [
            straight(nn.Linear(latent_dim, widths[0] * math.prod(sizes[0]))),
            nn.Unflatten(1, (widths[0], *sizes[0])),
        ]
        for (inputs, outputs), (inner, size) in zip(pairwise(widths), pairwise(sizes), strict=True):
            layers += [*level(inputs, outputs, blocks), Enlarged(inner, size)]
        layers += level(width, width, blocks)
        out = he_initialised(nn.Conv2d(width, image_shape[0], 3, padding=1))
        self.layers = nn.Sequential(*layers, norm(width), nn.SiLU(), out)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class ResidualBlock(nn.Module):
    """Pre-activation block, (B, inputs, H, W) to (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Identity() if inputs == outputs else straight(nn.Conv2d(inputs, outputs, 1))
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.branch = nn.Sequential(
            norm(inputs),
            nn.SiLU(),
            he_initialised(nn.Conv2d(inputs, outputs, 3, padding=1)),
            norm(outputs),
            nn.SiLU(),
            last,
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.branch(x)


class Enlarged(nn.Module):
    """Images of one size (height, width) enlarged to another by linear interpolation, as matrix products A_h' x A_w.

    Nearest neighbours leave the levels' squares in the pictures for long. torch's own bilinear mode adds gradients in
    any order on a GPU, and a resumed run would not be the unbroken one to the bit.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("rows", interpolation(old[0], new[0]).T.contiguous(), persistent=False)  # (new, old)
        self.register_buffer("columns", interpolation(old[1], new[1]), persistent=False)  # (old, new)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
            return self.rows @ (x @ self.columns)
        across = self.columns.T @ x.permute(0, 2, 3, 1)  # (B, height, new, C): channels stay last in memory
        down = self.rows @ across.flatten(2)
        return down.unflatten(2, across.shape[2:]).permute(0, 3, 1, 2)


def interpolation(old: int, new: int) -> Tensor:
    """Returns the matrix (old, new) that enlarges a row of `old` pixels, whose centres spread evenly, to `new`."""
    return functional.interpolate(torch.eye(old)[None], new, mode="linear")[0]


def level_widths(count: int, width: int, max_width: int) -> list[int]:
    """Returns the channels of each level, from the image on."""
    return [width, *(min(width << number, max(width, max_width)) for number in range(1, count))]


def level(inputs: int, outputs: int, blocks: int) -> list[nn.Module]:
    """Returns the blocks of one level, the last of which changes the channels."""
    return [*(ResidualBlock(inputs, inputs) for _ in range(blocks - 1)), ResidualBlock(inputs, outputs)]


def norm(channels: int) -> nn.Module:
    """Returns a group norm over equal groups, as many of them as `channels` can be divided into, up to 8."""
    return nn.GroupNorm(math.gcd(channels, GROUPS), channels)


def straight(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """Draw weights that keep a signal's size where no rectifier follows; returns the layer."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")
    nn.init.zeros_(layer.bias)
    return layer
