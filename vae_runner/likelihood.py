"""-log p(x|z) in nats per image, with its true constants, from what a decoder puts out.

    Bernoulli  -sum_i x_i ln s(l_i) + (1 - x_i) ln(1 - s(l_i)),   l the logits, s the sigmoid; x may be gray in [0, 1]
    Gaussian    sum_i (x_i - mu_i)^2 / (2 sigma^2) + ln sigma + ln(2 pi) / 2

A likelihood says how many channels it needs of the decoder for each image channel, and what image the decoder means.
"""

import math
from abc import abstractmethod
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_runner.signature import enforced, positive

__all__ = ["Bernoulli", "Gaussian", "Likelihood"]


class Likelihood(nn.Module):
    """Base class. `channels_per_channel` is how many decoder channels stand for one image channel."""

    channels_per_channel = 1

    @abstractmethod
    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        """Returns -log p(target | raw) of each image, (B,), nats, in float32 whatever `raw` comes in."""

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """Returns the images (B, C, H, W) that the decoder means, E[x|z]."""


class Bernoulli(Likelihood):
    """Independent pixels in {0, 1}, or gray values in [0, 1] taken as probabilities (then it is no normalised density).

    The decoder puts out logits.
    """

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        pixels = functional.binary_cross_entropy_with_logits(raw.float(), target, reduction="none")
        return pixels.flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw.float())


@enforced
class Gaussian(Likelihood):
    """Independent pixels around the decoder's output, with the same fixed `sigma` (image range: [0, 1])."""

    def __init__(self, sigma: Annotated[float, positive] = 1.0) -> None:
        super().__init__()
        self.sigma = sigma

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        squares = ((raw.float() - target) / self.sigma).square() / 2
        constant = math.log(self.sigma) + math.log(2 * math.pi) / 2
        return (squares + constant).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()
