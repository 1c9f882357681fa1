"""Fully connected encoder and decoder.

Higgins et al. 2017, ICLR, OpenReview Sy2fzU9gl, table 1, dSprites: 4096 - 1200 - 1200 with ReLU; latents - 1200 -
1200 - 1200 - 4096 with tanh.
"""

import math

from torch import Tensor, nn

from vae_runner.architectures.parts import ImageShape, Nonlinearity, Widths, fully_connected
from vae_runner.initialisation import he_initialised
from vae_runner.signature import enforced

__all__ = ["MLPDecoder", "MLPEncoder"]


@enforced
class MLPEncoder(nn.Module):
    """Images (B, C, H, W) to features (B, `hidden[-1]`).

    Example:
        >>> import torch
        >>> MLPEncoder((1, 8, 8), hidden=(32, 16))(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        image_shape: ImageShape,
        hidden: Widths = (1200, 1200),
        nonlinearity: Nonlinearity = "relu",
    ) -> None:
        super().__init__()
        self.num_features = hidden[-1]
        self.layers = he_initialised(
            nn.Sequential(nn.Flatten(), *fully_connected([math.prod(image_shape), *hidden], nonlinearity))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@enforced
class MLPDecoder(nn.Module):
    """Latents (B, `latent_dim`) to the likelihood's parameters, (B, *image_shape).

    Example:
        >>> import torch
        >>> MLPDecoder(3, (1, 8, 8), hidden=(16, 32))(torch.zeros(2, 3)).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        hidden: Widths = (1200, 1200, 1200),
        nonlinearity: Nonlinearity = "tanh",
    ) -> None:
        super().__init__()
        self.layers = he_initialised(
            nn.Sequential(
                *fully_connected([latent_dim, *hidden], nonlinearity),
                nn.Linear(hidden[-1], math.prod(image_shape)),
                nn.Unflatten(1, tuple(image_shape)),
            )
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)
