"""Codes that are typed, as explore.html gives them to copy: numbers with commas, those of all latent spaces one behind
the other; several codes with semicolons.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from vae_runner.errors import UserError
from vae_runner.text import plain

__all__ = ["is_typed", "typed_codes"]

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+|nan|inf)(?:e[+-]?\d+)?"
TYPED = re.compile(rf"\[?\s*{NUMBER}(?:\s*[,;]\s*{NUMBER})*\s*\]?", re.IGNORECASE)


def is_typed(text: str) -> bool:
    """Returns whether the text is codes themselves, and no file that has some."""
    return TYPED.fullmatch(text.strip()) is not None


def typed_codes(text: str, dims: Sequence[int]) -> tuple[Tensor, ...]:
    """Returns the codes that a text says, (N, D) of each latent space.

    Raises `UserError` where the model has none such.

    Example:
        >>> typed_codes("1,-2.5,3; 0,0,0", dims=[2, 1])
        (tensor([[ 1.0000, -2.5000],
                [ 0.0000,  0.0000]]), tensor([[3.],
                [0.]]))
    """
    rows = [[float(number) for number in row.split(",")] for row in text.strip().strip("[]").split(";")]
    said, wanted = f"codes={plain(text, 60)}", sum(dims)
    if lacking := next((row for row in rows if len(row) != wanted), None):
        raise UserError(f"{said}: {len(lacking)} numbers, and a code of the model has {wanted}")
    codes = torch.tensor(rows)
    if not codes.isfinite().all():
        raise UserError(f"{said}: has numbers that are not finite")
    return codes.split(list(dims), dim=1)
