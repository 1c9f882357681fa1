"""Linear decoder: an image is a weighted sum of parts, x = W z + b.

With W >= 0, no b and z >= 0 this is a non-negative matrix factorisation whose coefficients are random (Squires et al.
2019, arXiv 1906.05912, "A variational autoencoder for probabilistic non-negative matrix factorisation"): parts are
added, never taken away.
"""

import math

import torch
from torch import Tensor, nn

from vae_runner.architectures.parts import ImageShape
from vae_runner.initialisation import he_initialised

__all__ = ["LinearDecoder"]


class LinearDecoder(nn.Module):
    """Latents (B, `latent_dim`) to the likelihood's parameters, (B, *image_shape).

    Args:
        non_negative: keep all weights (and the bias) at 0 or above: they start in [0, 1 / latent_dim), so that for z of
            mean 1 the first images are gray, and `constrain`, called after each optimiser step, sets what has fallen
            below to 0.

    Example:
        >>> decoder = LinearDecoder(latent_dim=3, image_shape=(1, 8, 8))
        >>> decoder(torch.ones(2, 3)).shape, bool((decoder(torch.ones(2, 3)) >= 0).all())
        (torch.Size([2, 1, 8, 8]), True)
    """

    def __init__(self, latent_dim: int, image_shape: ImageShape, bias: bool = False, non_negative: bool = True) -> None:
        super().__init__()
        self.non_negative = non_negative
        self.layer = he_initialised(nn.Linear(latent_dim, math.prod(image_shape), bias=bias))
        self.image_shape = tuple(image_shape)
        if non_negative:
            nn.init.uniform_(self.layer.weight, 0, 1 / latent_dim)  # far brighter ones drive all latents to 0 for good

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z).unflatten(1, self.image_shape)

    @torch.no_grad()
    def constrain(self) -> None:
        """Project the weights back to where they have to be."""
        if self.non_negative:
            for parameter in self.parameters():
                parameter.clamp_(min=0)
