"""What a likelihood is to the rest: -log p(x|z) of images, in nats, and the images that a decoder means."""

import math
from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vae_runner.state import State

__all__ = ["Likelihood", "Measure"]

Measure = Literal["binary", "levels", "density"]


class Likelihood(nn.Module):
    """Base class. `channels_per_channel` is how many decoder channels stand for one image channel.

    Attributes:
        measure: what p(x|z) is: a probability of a `binary` image or of one with 256 `levels`, or a `density`.
        puts_rows_together: of one that in training makes something of a whole batch, or keeps sums over the steps:
            whether it knows that each of several processes has its own rows of it (`vae_runner.ranks.share`).

    Example:
        >>> from vae_runner.likelihood import Gaussian
        >>> Gaussian().bits_per_dim(0.0, dimensions=784)  # a density of 1, at levels that are 1 / 256 wide
        8.0
    """

    channels_per_channel = 1
    measure: ClassVar[Measure] = "density"
    puts_rows_together: ClassVar[bool] = False

    @abstractmethod
    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        """Returns -log p(target | raw) of each image, (B,), nats, in float32 whatever `raw` comes in."""

    def nll_of_samples(self, raw: Tensor, target: Tensor) -> Tensor:
        """Returns -log p(target | raw) of several decodings (K, B, ...) of each image (B, C, H, W), (K, B), nats.

        No gradient goes through it.
        """
        with torch.no_grad():
            return self.nll(raw.flatten(0, 1), target.repeat(len(raw), 1, 1, 1)).unflatten(0, raw.shape[:2])

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """Returns the images (B, C, H, W) that the decoder means, E[x|z]."""

    def on_step_training(self, state: State) -> None:
        """After each optimiser step, with its state; never in validation."""

    def scales(self) -> dict[str, Tensor]:
        """Returns the noise's scales by name, () or (D,), where they are not fixed: for logs."""
        return {}

    def bits_per_dim(self, nats: float, dimensions: int) -> float:
        """Returns bits per dimension, of -ELBO or -log p(x) in nats per image of so many `dimensions`, C H W."""
        return nats / (dimensions * math.log(2)) + (8.0 if self.measure == "density" else 0.0)
