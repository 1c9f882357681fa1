"""Widths of noise: what they may be, and how a learned one moves, by its logarithm, between soft limits."""

import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_runner.signature import Limit, positive

__all__ = ["LARGEST", "LogScale", "Positive", "softly_limited"]

Positive = Annotated[float, Limit("must lie between 1e-6 and 1e6", lambda value: 1e-6 <= value <= 1e6, positive)]

LARGEST = 100.0  # of learned scales: a hundred times the range of an image is noise without an image
SPEED = 10.0  # how much faster than a weight the logarithm of a learned scale moves: Adam's steps are as long for both
SHARPNESS = 4.0  # of soft limits: within 1e-4 of the value itself from two e-folds off on


class LogScale(nn.Module):
    """The logarithm of a learned scale, softly limited to [ln `smallest`, ln 100], from `start` on.

    Example:
        >>> scale = LogScale((), start=0.5, smallest=0.001)().exp()
        >>> round(scale.item(), 4), scale.requires_grad
        (0.5, True)
    """

    def __init__(self, shape: tuple[int, ...], start: float, smallest: float) -> None:
        super().__init__()
        if not smallest < start < LARGEST:
            raise ValueError(f"a scale must start between its limits, {smallest:g} and {LARGEST:g}, not at {start:g}")
        self.start, self.smallest = start, smallest
        self.value = nn.Parameter(torch.zeros(shape))

    def forward(self) -> Tensor:
        free = math.log(self.start) + SPEED * self.value
        return softly_limited(free, math.log(self.smallest), math.log(LARGEST))


def softly_limited(value: Tensor, low: float, high: float) -> Tensor:
    """Returns the value itself between `low` and `high`, bent towards them at the ends; increasing everywhere."""
    above = functional.softplus(value - low, SHARPNESS)
    return high - functional.softplus(high - low - above, SHARPNESS)
