"""Pieces that several architectures are made of."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from torch import nn

from vae_runner.signature import Limit

__all__ = ["ImageShape", "Nonlinearity", "Widths", "activation", "fully_connected", "halved_sizes", "halvings"]

ImageShape = Sequence[int]  # (channels, height, width)
Widths = Annotated[
    Sequence[int],
    Limit("must list one positive width or more", lambda v: len(v) > 0 and all(n > 0 for n in v)),
    Limit(
        "must list widths of at most 100,000, and 100 of them", lambda v: len(v) <= 100 and max(v, default=0) <= 100_000
    ),
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
    """Returns the activation of that name."""
    return _NONLINEARITIES[name]()


def fully_connected(widths: Sequence[int], nonlinearity: Nonlinearity) -> list[nn.Module]:
    """Returns linear layers from each width to the next, each with the activation behind it."""
    return [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), activation(nonlinearity))
    ]


def halved_sizes(image_shape: ImageShape, num_layers: int) -> list[tuple[int, int]]:
    """Returns (height, width) of the image and behind each layer.

    Raises:
        ValueError: where nothing would be left of it.
    """
    _, height, width = image_shape
    sizes = [(height >> layer, width >> layer) for layer in range(num_layers + 1)]
    if 0 in sizes[-1]:
        raise ValueError(
            f"images of {height}x{width} pixels are too small for {num_layers} layers of stride 2: "
            f"they need {2**num_layers} pixels or more"
        )
    return sizes


def halvings(image_shape: ImageShape) -> int:
    """Returns how often images of that shape are halved until their smaller side is 4 to 7 pixels, at least once."""
    _, height, width = image_shape
    return max(min(height, width).bit_length() - 3, 1)
