"""What is done to the input of a denoising auto-encoder; the clean image stays the target.

    x~ = x + std e,  e ~ N(0, 1)        (Im et al. 2017, arXiv 1511.06406, the denoising VAE)
    x~ = x m,  m ~ Bernoulli(1 - part)  (Vincent et al. 2008, ICML), one m for each pixel, or patch of pixels

It is drawn from torch's generator on the images' device, which the engine seeds for each step: so it depends on (seed,
epoch, place in the epoch) alone, and a resumed run sees the same. Validation has the same corruption every time.

Daniel Jiwoong Im, Sungjin Ahn, Roland Memisevic and Yoshua Bengio, "Denoising criterion for variational auto-encoding
framework", AAAI 2017, https://arxiv.org/abs/1511.06406
Pascal Vincent, Hugo Larochelle, Yoshua Bengio and Pierre-Antoine Manzagol, "Extracting and composing robust features
with denoising autoencoders", ICML 2008
"""

from dataclasses import dataclass
from typing import Annotated, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from vae_runner.signature import enforced, non_negative, positive, probability

__all__ = ["Clean", "Corruption", "GaussianNoise", "Masking"]


class Corruption(Protocol):
    """Makes the input of the model from the clean images.

    Example:
        >>> corruption: Corruption = lambda x: 1 - x  # a function will do
        >>> corruption(torch.tensor([0.25]))
        tensor([0.7500])
    """

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to the same shape; `x` itself is not changed."""


@dataclass(frozen=True)
class Clean:
    """The images as they are.

    Example:
        >>> x = torch.rand(2, 1, 4, 4)
        >>> Clean()(x) is x
        True
    """

    def __call__(self, x: Tensor) -> Tensor:
        return x


@enforced
@dataclass(frozen=True)
class GaussianNoise:
    """Adds noise of standard deviation `std` to each value; `clip` keeps the result in [0, 1].

    Example:
        >>> noisy = GaussianNoise(std=0.5)(torch.zeros(10, 1, 32, 32))
        >>> noisy.min().item(), round((noisy > 0).float().mean().item(), 1)  # kept in [0, 1]: half of it is 0 as before
        (0.0, 0.5)
    """

    std: Annotated[float, non_negative] = 0.1
    clip: bool = True

    def __call__(self, x: Tensor) -> Tensor:
        noisy = x + self.std * torch.randn_like(x)
        return noisy.clamp(0, 1) if self.clip else noisy


@enforced
@dataclass(frozen=True)
class Masking:
    """Sets each square of `patch` x `patch` pixels, in all channels, to `value` with probability `part`.

    Example:
        >>> masked = Masking(part=0.5, patch=2)(torch.ones(1, 1, 4, 4))
        >>> masked[0, 0, :2, :2].unique().numel()  # one patch is hidden or shown as a whole
        1
    """

    part: Annotated[float, probability] = 0.5
    patch: Annotated[int, positive] = 1
    value: Annotated[float, probability] = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        rows, columns = -(-height // self.patch), -(-width // self.patch)
        hidden = torch.rand(batch, 1, rows, columns, device=x.device) < self.part
        hidden = functional.interpolate(hidden.to(x.dtype), scale_factor=self.patch)[..., :height, :width]
        return torch.where(hidden > 0, self.value, x)
