"""Which known factor of the images a latent follows, from 0 (not at all) to 1 (it is a function of it).

a factor with values      |Spearman's rank correlation|, ties having their mean rank
a factor with classes     the correlation ratio eta, eta^2 = variance between classes / variance (Fisher 1925,
                          Statistical methods for research workers, Oliver & Boyd)
one that goes in a circle (its coordinates)    the multiple correlation R of the latent with the coordinates
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["WORTH_TELLING", "Follows", "association", "followed"]

WORTH_TELLING = 0.3


class Follows(NamedTuple):
    """The factor that a latent follows, and how closely, in [0, 1].

    Example:
        >>> size = torch.linspace(0, 1, 8)
        >>> followed(torch.stack([-size, 0 * size], 1), {"size": size})
        [Follows(factor='size', strength=1.0), None]
    """

    factor: str
    strength: float

    def __str__(self) -> str:
        return f"{self.factor} {self.strength:.2f}"


def followed(codes: Tensor, factors: Mapping[str, Tensor], least: float = WORTH_TELLING) -> list[Follows | None]:
    """Returns the factor that each dimension of the codes (B, D) follows most closely; None below `least`."""
    known = {name: factor.detach().cpu() for name, factor in factors.items()}
    found = []
    for code in codes.detach().double().cpu().T:
        each = [Follows(name, association(code, factor)) for name, factor in known.items()]
        best = max((one for one in each if one.strength >= least), key=lambda one: one.strength, default=None)
        found.append(best)
    return found


def association(code: Tensor, factor: Tensor) -> float:
    """Returns how closely the code (B,) follows a factor: classes (B,) int, values (B,), or coordinates (B, K). In [0,
    1]; nan where one of them does not vary or is not finite.
    """
    code = code.double()
    if not code.isfinite().all() or not _varies(code) or not _varies(factor):
        return float("nan")
    if factor.dim() == 2:
        return _multiple_correlation(code, factor.double())
    if not factor.is_floating_point():
        return _correlation_ratio(code, factor)
    return _multiple_correlation(_ranks(code), _ranks(factor.double())[:, None])


def _varies(values: Tensor) -> bool:
    return bool((values != values[:1]).any())


def _correlation_ratio(code: Tensor, classes: Tensor) -> float:
    _, which, counts = classes.unique(return_inverse=True, return_counts=True)
    means = torch.zeros(len(counts), dtype=code.dtype).index_add_(0, which, code) / counts
    between = (counts * (means - code.mean()).square()).sum()
    return float((between / (code - code.mean()).square().sum()).clamp(0, 1).sqrt())


def _multiple_correlation(code: Tensor, coordinates: Tensor) -> float:
    """R: the correlation of the code with its best linear prediction from the coordinates (B, K)."""
    centred, basis = code - code.mean(), coordinates - coordinates.mean(0)
    solution = torch.linalg.lstsq(basis, centred[:, None], driver="gelsd").solution
    explained = (basis @ solution).square().sum()
    return float((explained / centred.square().sum()).clamp(0, 1).sqrt())


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 0, equal values having the mean of theirs."""
    _, which, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts + 1) / 2)[which]
