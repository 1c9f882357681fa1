"""Mutual information of latents and factors, in nats, as the published scores estimate it: by histograms.

    I(z; v) = sum p(z, v) ln [p(z, v) / (p(z) p(v))],    H(v) = I(v; v)

A latent is cut into `bins` of equal width from its smallest to its largest value, which belongs to the last one
(Locatello et al. 2019, arXiv 1811.12359, appendix). Information below 1e-12 nats is 0: it is rounding.
"""

import numpy as np

from vae_runner.evaluation.learners import learner
from vae_runner.evaluation.score import Array

__all__ = ["BINS", "LEAST", "binned", "entropies", "information"]

BINS = 20
LEAST = 1e-12  # nats


def binned(values: Array, bins: int = BINS) -> Array:
    """Returns the bin of each value (N, D), from 1 to `bins`, int64; each column has bins of its own."""
    if bins < 2:
        raise ValueError(f"bins must be 2 or more, got {bins}")
    columns = [np.digitize(column, _edges(column, bins)[:-1]) for column in values.T]
    return np.stack(columns, 1).astype(np.int64)


def _edges(column: Array, bins: int) -> Array:
    """The edges (bins + 1,) from the smallest value to the largest; of one value alone, around it."""
    low, high = float(column.min()), float(column.max())
    if high - low <= 4 * np.spacing(max(abs(low), abs(high))) * bins:  # too narrow to be cut
        return np.linspace(low - 0.5, high + 0.5, bins + 1)
    return np.histogram_bin_edges(column, bins)


def information(one: Array, other: Array) -> Array:
    """Returns I of each column of `one` (N, A) and each of `other` (N, B), both classes: (A, B), nats."""
    score = learner("metrics").mutual_info_score
    found = np.array([[score(a, b) for b in other.T] for a in one.T])
    return np.where(found < LEAST, 0.0, found)


def entropies(classes: Array) -> Array:
    """Returns H of each column (N, K), (K,), nats."""
    score = learner("metrics").mutual_info_score
    return np.array([score(column, column) for column in classes.T])
