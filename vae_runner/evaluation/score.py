"""A score of a representation, and what it is computed from: codes (N, D) and factor classes (N, K), a row an image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vae_runner.errors import UserError

__all__ = ["Array", "Score", "as_codes", "as_factors", "as_pair", "left_out", "placed", "varying"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Score:
    """A score and its parts.

    Attributes:
        value: the score itself.
        per_factor: of each factor, None for one that was left out, as it has one value.
        per_latent: of each latent, None for one that was left out, as it never moves.
        matrix: (latents, factors), what the score is read off, None for a factor that was left out.
        others: more figures, by name.
        notes: what a reader has to know of these figures, a line each.

    Example:
        >>> codes, factors = np.repeat(np.eye(2), 50, 0), np.repeat([[0], [1]], 50, 0)
        >>> from vae_runner.evaluation import mig
        >>> round(mig(codes, factors).value, 9)  # both latents say the same of the one factor
        0.0
    """

    value: float
    per_factor: Sequence[float | None] | None = None
    per_latent: Sequence[float | None] | None = None
    matrix: Sequence[Sequence[float | None]] | None = None
    others: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def as_codes(codes: Any) -> Array:
    """Returns codes, an array or a tensor (N, D), as float64.

    Raises `ValueError` where they are none, or not finite.
    """
    found = np.asarray(codes.detach().cpu() if hasattr(codes, "detach") else codes)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "fiu":
        raise ValueError(f"codes are numbers (images, latents), got {found.dtype} {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("codes must be finite; some of these are not")
    return found.astype(np.float64)


def as_factors(factors: Any) -> Array:
    """Returns factor classes, an array or a tensor (N, K) of integers, as int64. Raises `ValueError` for others."""
    found = np.asarray(factors.detach().cpu() if hasattr(factors, "detach") else factors)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "iu":
        raise ValueError(f"factors are classes, integers (images, factors), got {found.dtype} {found.shape}")
    return found.astype(np.int64)


def as_pair(codes: Any, factors: Any) -> tuple[Array, Array]:
    """Returns both as arrays. Raises `ValueError` where they are not of the same images."""
    z, v = as_codes(codes), as_factors(factors)
    if len(z) != len(v):
        raise ValueError(f"codes of {len(z)} images and factors of {len(v)}: give both of the same")
    return z, v


def varying(factors: Array) -> Array:
    """Returns the places of the factors (N, K) that have more than one value. Raises `UserError` where none has."""
    places = np.flatnonzero((factors != factors[:1]).any(0))
    if not len(places):
        raise UserError("no factor has more than one value among these images: there is nothing to tell apart")
    return places


def left_out(factors: Array, places: Array) -> list[str]:
    """A line that names the factors, by their places from 0, that have one value."""
    others = sorted(set(range(factors.shape[1])) - set(places.tolist()))
    if not others:
        return []
    return [f"left out, as it has one value: factor {', '.join(map(str, others))}"]


def placed(values: Array, places: Array, count: int) -> list[Any]:
    """The values (..., len(places)) as lists of `count`, with None between them."""
    if values.ndim > 1:
        return [placed(row, places, count) for row in values]
    found: list[float | None] = [None] * count
    for place, value in zip(places.tolist(), np.asarray(values, np.float64).tolist(), strict=True):
        found[place] = value
    return found
