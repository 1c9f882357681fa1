"""The page's language: what a word for an operation of torch is, and what it has at hand to write steps.

A word is a function of the operation's own arguments that writes steps and returns the register of its result, or a
list of them. The words stand in `shape_words`, `layer_words` and `number_words`; what steps mean in
`drawing/explorer/decode.js`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vae_runner.visualisation.exploring.program import Program

__all__ = ["WORDS", "Says", "Unknown", "broadcast", "place_and_shape", "word"]

WORDS: dict[str, Callable[..., Any]] = {}


class Unknown(Exception):
    """The page's language has no word for it.

    Example:
        >>> str(Unknown("draws at random"))
        'draws at random'
    """


class Says:
    """What a word needs: the program, how steps name tensors, the operation itself and what it has made.

    Example:
        >>> says = Says(Program([2]), lambda tensor: 0, torch.relu, torch.zeros(1, 2))
        >>> says.pair("mul", torch.zeros(1, 2), torch.zeros(1, 2)), says.program.steps[0]["name"]
        (1, 'mul')
    """

    def __init__(self, program: Program, place: Callable[[Tensor | None], int | None], func: Any, made: Any) -> None:
        self.program, self.place, self.func, self.made = program, place, func, made

    def step(self, op: str, inputs: Sequence[int | None], shape: Sequence[int], **given: Any) -> int:
        """Write a step; returns its register."""
        return self.program.emit(op, inputs, shape, **given)

    def pair(self, name: str, a: Any, b: Any, shapes: Sequence[Sequence[int]] | None = None) -> int:
        """Write what is made of two arrays, tensors or numbers; the shapes are theirs, where they are places."""
        (left, first), (right, second) = (
            place_and_shape(self, one, shapes[index] if shapes else None) for index, one in enumerate((a, b))
        )
        shape = torch.broadcast_shapes(first, second)
        over = [broadcast(one, shape) for one in (first, second)]
        return self.step("pair", [left, right], shape, name=name, over=over)


def word(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The word for the operations of those names."""

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        WORDS.update(dict.fromkeys(names, function))
        return function

    return keep


def place_and_shape(says: Says, one: Any, shape: Sequence[int] | None) -> tuple[int | None, Sequence[int]]:
    """Returns how steps name what may be a tensor, a number, or a register of that shape, and its shape."""
    if shape is not None and isinstance(one, int):
        return one, shape
    tensor = one if isinstance(one, Tensor) else torch.tensor(float(one))
    return says.place(tensor), tensor.shape


def broadcast(shape: Sequence[int], whole: Sequence[int]) -> list[int]:
    """Returns the strides with which an array of that shape is read as one of the whole shape."""
    return list(torch.empty(list(shape)).expand(list(whole)).stride())
