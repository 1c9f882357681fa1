"""Pixels that are independent given the decoder's output, with noise of a width that is set, or of none.

The formulas stand in `vae_runner.likelihood`.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vae_runner.likelihood.base import Likelihood
from vae_runner.likelihood.log_scale import Positive
from vae_runner.signature import enforced

__all__ = ["Bernoulli", "Gaussian", "Laplace"]

SURE = 80.0  # logits beyond: 1 + e^-80 is 1, and below e^-87 are no normal numbers, a hundred times as slow


class Bernoulli(Likelihood):
    """Independent pixels in {0, 1}, or gray values in [0, 1] taken as probabilities (then it is no normalised density).

    The decoder puts out logits.

    Example:
        >>> Bernoulli().nll(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2))  # 2 ln 2
        tensor([1.3863])
    """

    measure = "binary"

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        pixels = functional.binary_cross_entropy_with_logits(raw.float(), target, reduction="none")
        return pixels.flatten(1).sum(1)

    @torch.no_grad()
    def nll_of_samples(self, raw: Tensor, target: Tensor) -> Tensor:
        """As in the base class, in a quarter of the time: with logits l,

            -log p = sum_i [|l_i| + (1 - 2 x_i) l_i] / 2 + ln prod_i (1 + e^-|l_i|),

        the product taken over up to 64 pixels before its logarithm is; it is at most 2^64.
        """
        logits = raw.float().flatten(2)
        size = logits.abs()
        signed = torch.addcmul(size, logits, 1 - 2 * target.flatten(1)).sum(2) / 2
        factors = size.clamp_(max=SURE).neg_().exp_().add_(1)
        while factors.shape[2] % 2 == 0 and logits.shape[2] < 64 * factors.shape[2]:
            half = factors.shape[2] // 2
            factors = factors[..., :half].mul_(factors[..., half:])
        return signed + factors.log().sum(2)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw.float())


@enforced
class Gaussian(Likelihood):
    """Independent pixels around the decoder's output, with the same fixed `sigma` (image range: [0, 1]).

    Example:
        >>> Gaussian(sigma=0.5).nll(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))  # 2 - ln 2 + ln(2 pi) / 2
        tensor([2.2258])
    """

    def __init__(self, sigma: Positive = 1.0) -> None:
        super().__init__()
        self.sigma = sigma

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        squares = ((raw.float() - target) / self.sigma).square() / 2
        constant = math.log(self.sigma) + math.log(2 * math.pi) / 2
        return (squares + constant).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()


@enforced
class Laplace(Likelihood):
    """Independent pixels around the decoder's output, with the same fixed `scale` b: its deviation is b sqrt(2).

    Example:
        >>> Laplace(scale=0.5).nll(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))  # 1 / b + ln 2b
        tensor([2.])
    """

    def __init__(self, scale: Positive = 0.1) -> None:
        super().__init__()
        self.scale = scale

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        return ((raw.float() - target).abs() / self.scale + math.log(2 * self.scale)).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()
