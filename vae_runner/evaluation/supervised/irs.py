"""IRS, the interventional robustness score (Suter et al. 2019, arXiv 1811.00007).

    deviation(z, v) = mean over the classes c of v of the 0.99 quantile of |z - E[z|v = c]| among the images of c
    IRS = weighted mean over latents of 1 - min over v of deviation(z, v) / max |z - E z|

with max |z - E z| as the weights: how little a latent moves while its own factor is held and all others change.
Latents that never move are left out; where none moves the score is 0. As in the published code (Locatello et al. 2019),
factors are cut into 20 bins, which joins classes of a factor that has more than 20.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.information import BINS, binned
from vae_runner.evaluation.score import Array, Score, as_pair, left_out, placed, varying

__all__ = ["irs"]


def irs(codes: Any, factors: Any, quantile: float = 0.99, bins: int = BINS) -> Score:
    """Returns the IRS of codes (N, D) and factor classes (N, K), in [0, 1]; the matrix is 1 - deviation / max.

    Raises `UserError` where no factor has more than one value.
    """
    z, v = as_pair(codes, factors)
    places = varying(v)
    moves = np.flatnonzero((z != z[:1]).any(0))
    notes = left_out(v, places)
    if len(moves) < z.shape[1]:
        still = sorted(set(range(z.shape[1])) - set(moves.tolist()))
        notes.append(f"left out, as it never moves: latent {', '.join(map(str, still))}")
    if not len(moves):
        return Score(0.0, None, [None] * z.shape[1], notes=[*notes, "no latent moves: 0 by definition"])
    moving = z[:, moves]
    largest = np.abs(moving - moving.mean(0)).max(0)
    classes = binned(v[:, places], bins)
    matrix = 1 - np.stack([_deviation(moving, column, quantile) for column in classes.T], 1) / largest[:, None]
    each = matrix.max(1)
    value = float(np.average(each, weights=largest))
    table = [[None] * v.shape[1] for _ in range(z.shape[1])]
    for row, values in zip(moves.tolist(), placed(matrix, places, v.shape[1]), strict=True):
        table[row] = values
    return Score(value, None, placed(each, moves, z.shape[1]), table, notes=notes)


def _deviation(codes: Array, classes: Array, quantile: float) -> Array:
    """The mean over the classes (N,) of the quantile of the distance of codes (N, D) to their class's mean, (D,)."""
    groups = [codes[classes == one] for one in np.unique(classes)]
    return np.mean([np.quantile(np.abs(group - group.mean(0)), quantile, axis=0) for group in groups], axis=0)
