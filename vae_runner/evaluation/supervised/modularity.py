"""Modularity (Ridgeway & Mozer 2018, arXiv 1802.05312): whether each latent knows of one factor alone.

    modularity = mean over latents of 1 - sum over v of (I(z; v) - t(v))^2 / [t_a^2 (K - 1)],
    t_a = I(z; v_a) for the factor that z knows most of, t(v) = t_a there and 0 for the K - 1 others

A latent without information is 0 by definition, as in the code of Locatello et al. 2019, arXiv 1811.12359; so that
rounding is not taken for information, what is below 1e-12 nats is none. With one factor alone there are no others: 1
for a latent that knows it.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.information import BINS, binned, information
from vae_runner.evaluation.score import Array, Score, as_pair, left_out, placed, varying

__all__ = ["modularity", "modularity_of"]


def modularity(codes: Any, factors: Any, bins: int = BINS) -> Score:
    """Returns the modularity of codes (N, D) and factor classes (N, K), in [0, 1]; the matrix is I in nats.

    Raises `UserError` where no factor has more than one value.
    """
    z, v = as_pair(codes, factors)
    places = varying(v)
    matrix = information(binned(z, bins), v[:, places])
    each = modularity_of(matrix)
    silent = np.flatnonzero(matrix.max(1) == 0).tolist()
    notes = [f"0 by definition, without information: latent {', '.join(map(str, silent))}"] if silent else []
    table = placed(matrix, places, v.shape[1])
    return Score(float(each.mean()), None, each.tolist(), table, notes=left_out(v, places) + notes)


def modularity_of(matrix: Array) -> Array:
    """Returns the modularity of each latent, (D,), of information (D, V)."""
    squares = matrix**2
    most = squares.max(1)
    others = squares.sum(1) - most
    deviation = others / np.where(most > 0, most * max(matrix.shape[1] - 1, 1), 1.0)
    return np.where(most > 0, 1 - deviation, 0.0)
