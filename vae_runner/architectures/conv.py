"""Convolutional encoder and its mirrored decoder: 4x4 kernels, stride 2, padding 1, then fully connected layers.

Burgess et al. 2018, arXiv 1804.03599, appendix A.1: 4 x 32 channels, 2 x 256 fully connected, ReLU, for 64x64 images;
252,052 parameters in the encoder (with the head of 10 normal latents) and 249,953 in the decoder. Higgins et al. 2017,
ICLR, OpenReview Sy2fzU9gl, table 1, CelebA: 32, 32, 64, 64 channels and one layer of 256; with kernels of 2x2 and no
padding in the encoder's last two it is that of Locatello et al. 2019, arXiv 1811.12359, table 1.

A layer maps n pixels to floor(n / 2). So a size need not be a power of two: the mirror adds a row where n is odd.
Where no channels are given, there are as many layers as lead to 4 pixels (up to 7 where the size is no power of two):
32 channels in each of the first four, as published, and 64 in those that larger images need beyond.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from torch import Tensor, nn

from vae_runner.architectures.parts import (
    ImageShape,
    Nonlinearity,
    Widths,
    activation,
    fully_connected,
    halved_sizes,
    halvings,
)
from vae_runner.initialisation import he_initialised
from vae_runner.signature import Limit, enforced

__all__ = ["ConvDecoder", "ConvEncoder"]

KERNEL = {"kernel_size": 4, "stride": 2, "padding": 1}
Even = Annotated[int, Limit("must be 2, 4, 6 or 8", lambda size: size in (2, 4, 6, 8))]


@enforced
class ConvEncoder(nn.Module):
    """Images (B, C, H, W) to features (B, `hidden[-1]`); `kernels` are the sides of its convolutions, one or a list.

    Example:
        >>> import torch
        >>> encoder = ConvEncoder((1, 64, 64))  # four layers of 32 channels, two of 256
        >>> encoder(torch.rand(2, 1, 64, 64)).shape, encoder.num_features
        (torch.Size([2, 256]), 256)
    """

    def __init__(
        self,
        image_shape: ImageShape,
        channels: Widths | None = None,
        hidden: Widths = (256, 256),
        nonlinearity: Nonlinearity = "relu",
        kernels: Even | Sequence[Even] = 4,
    ) -> None:
        super().__init__()
        channels = published_channels(image_shape) if channels is None else channels
        sizes = [kernels] * len(channels) if isinstance(kernels, int) else list(kernels)
        if len(sizes) != len(channels):
            raise ValueError(f"kernels: {len(sizes)} are given for {len(channels)} convolutions; give as many, or one")
        *_, smallest = halved_sizes(image_shape, len(channels))
        convolutions = [
            layer
            for (inputs, outputs), size in zip(pairwise([image_shape[0], *channels]), sizes, strict=True)
            for layer in (nn.Conv2d(inputs, outputs, size, 2, (size - 2) // 2), activation(nonlinearity))
        ]
        flat = channels[-1] * math.prod(smallest)
        self.num_features = hidden[-1]
        self.layers = he_initialised(
            nn.Sequential(*convolutions, nn.Flatten(), *fully_connected([flat, *hidden], nonlinearity))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@enforced
class ConvDecoder(nn.Module):
    """Latents (B, `latent_dim`) to the likelihood's parameters (B, *image_shape); its lists are in the order of use.

    Example:
        >>> import torch
        >>> decoder = ConvDecoder(10, (3, 45, 30), channels=[8, 8])  # sizes need not be powers of two
        >>> decoder(torch.zeros(2, 10)).shape
        torch.Size([2, 3, 45, 30])
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        hidden: Widths = (256, 256),
        channels: Widths | None = None,
        nonlinearity: Nonlinearity = "relu",
    ) -> None:
        super().__init__()
        channels = published_channels(image_shape)[::-1] if channels is None else channels
        sizes = halved_sizes(image_shape, len(channels))[::-1]
        flat = channels[0] * math.prod(sizes[0])
        layers = [
            *fully_connected([latent_dim, *hidden, flat], nonlinearity),
            nn.Unflatten(1, (channels[0], *sizes[0])),
        ]
        for (inputs, outputs), size in zip(pairwise([*channels, image_shape[0]]), sizes[1:], strict=True):
            odd = tuple(length % 2 for length in size)
            layers += [nn.ConvTranspose2d(inputs, outputs, **KERNEL, output_padding=odd), activation(nonlinearity)]
        self.layers = he_initialised(nn.Sequential(*layers[:-1]))  # the output itself is linear

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


def published_channels(image_shape: ImageShape) -> Sequence[int]:
    """Returns the channels of each of the encoder's layers for images of that shape, from the image on."""
    return [32 if layer < 4 else 64 for layer in range(halvings(image_shape))]
