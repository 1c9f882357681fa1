"""Pieces that several architectures are made of."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from torch import nn

from vae_runner.signature import Limit

__all__ = ["ImageShape", "Nonlinearity", "Widths", "activation", "fully_connected"]

ImageShape = Sequence[int]  # (channels, height, width)
Widths = Annotated[
    Sequence[int], Limit("must list one positive width or more", lambda v: len(v) > 0 and all(n > 0 for n in v))
]
Nonlinearity = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]

_NONLINEARITIES: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def activation(name: Nonlinearity) -> nn.Module:
    """The activation of that name."""
    return _NONLINEARITIES[name]()


def fully_connected(widths: Sequence[int], nonlinearity: Nonlinearity) -> list[nn.Module]:
    """Linear layers from each width to the next, each with the activation behind it."""
    return [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), activation(nonlinearity))
    ]
