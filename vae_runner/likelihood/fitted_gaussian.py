"""Gaussian noise whose width follows the images: learned by the optimiser, or the best one for the images at hand.

Rybkin et al. 2021, arXiv 2006.13202.
"""

import math
from typing import Annotated

import torch
from torch import Tensor

from vae_runner.likelihood.base import Likelihood
from vae_runner.likelihood.log_scale import LogScale, Positive
from vae_runner.ranks import mean_of_all, whole
from vae_runner.signature import Limit, enforced
from vae_runner.state import Y_RAW, Y_TRUE, State

__all__ = ["LearnedGaussian", "OptimalGaussian"]

Decay = Annotated[float, Limit("must lie in [0, 1)", lambda value: 0 <= value < 1)]


@enforced
class LearnedGaussian(Likelihood):
    """Gaussian with one sigma for all pixels, a parameter that the optimiser moves; it starts at `sigma`.

    ln sigma is the parameter, softly limited to [ln `smallest`, ln 100]. It should start above the errors of the first
    images: its gradient D (1 - mse / sigma^2) grows without end below them, and Adam remembers that for long.

    Example:
        >>> LearnedGaussian(sigma=0.5).scales()  # where its parameter starts
        {'sigma': tensor(0.5000)}
    """

    def __init__(self, sigma: Positive = 0.5, smallest: Positive = 0.001) -> None:
        super().__init__()
        self.log_scale = LogScale((), sigma, smallest)

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        log_sigma = self.log_scale()
        squares = ((raw.float() - target) * torch.exp(-log_sigma)).square() / 2
        return squares.flatten(1).sum(1) + target[0].numel() * (log_sigma + math.log(2 * math.pi) / 2)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()

    def scales(self) -> dict[str, Tensor]:
        return {"sigma": self.log_scale().detach().exp()}


@enforced
class OptimalGaussian(Likelihood):
    """Gaussian with the sigma that suits the images best (Rybkin et al. 2021, section 4.2): for N images of D pixels

        sigma^2 = sum_n sum_i (x_ni - mu_ni)^2 / (N D)    minimises    sum_n -log p(x_n|z_n),

    which then is N D [ln sigma + (1 + ln 2 pi) / 2]. In training N is the batch. Its gradient needs none through sigma,
    as the derivative by sigma is zero there.

    In evaluation sigma must not depend on the batch, nor on the images that are judged. It is a running mean over the
    training steps t = 0, 1, ..., which starts as the plain mean and forgets as `decay` says:

        v_t+1 = v_t + max(1 / (t + 1), 1 - decay) (sigma_t^2 - v_t).

    It moves after optimiser steps alone, and is saved with the weights. Before the first step it is 1.

    Args:
        smallest: lower limit of sigma.

    Example:
        >>> likelihood = OptimalGaussian()
        >>> likelihood.on_step_training({Y_RAW: torch.zeros(1, 1, 1, 4), Y_TRUE: torch.full((1, 1, 1, 4), 0.5)})
        >>> likelihood.scales()
        {'sigma': tensor(0.5000)}
    """

    puts_rows_together = True
    variance: Tensor
    steps: Tensor

    def __init__(self, decay: Decay = 0.95, smallest: Positive = 0.001) -> None:
        super().__init__()
        self.decay, self.smallest = decay, smallest
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        squares = (raw.float() - target).square().flatten(1).sum(1)  # (B,)
        dimensions = target[0].numel()
        variance = whole(squares.detach()).mean() / dimensions if self.training else self.variance
        variance = variance.clamp(min=self.smallest**2)
        return squares / (2 * variance) + dimensions * (variance.log() + math.log(2 * math.pi)) / 2

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()

    @torch.no_grad()
    def on_step_training(self, state: State) -> None:
        squares = mean_of_all((state[Y_RAW].float() - state[Y_TRUE]).square().mean())
        weight = (1 / (self.steps + 1)).clamp(min=1 - self.decay)
        self.variance += weight * (squares - self.variance)
        self.steps += 1

    def scales(self) -> dict[str, Tensor]:
        return {"sigma": self.variance.clamp(min=self.smallest**2).sqrt()}
