"""How far latents are from independent, if they were jointly Gaussian (Locatello et al. 2019, arXiv 1811.12359).

With the covariance S of the codes and its diagonal part S_0,

    total correlation        KL(N(m, S) || N(m, S_0)) = (ln det S_0 - ln det S) / 2,  nats
    Wasserstein correlation  W2(N(m, S), N(m, S_0))^2 = 2 tr S - 2 tr (S_0^1/2 S S_0^1/2)^1/2, as tr S_0 = tr S
    normalised               that over tr S, so that codes of another scale have the same

Latents that never move are left out of the total correlation, to which they add nothing. Where one latent is a linear
function of others it is infinite, and said so.
"""

import math
from typing import Any

import numpy as np

from vae_runner.evaluation.score import Array, Score, as_codes

__all__ = ["gaussian_total_correlation", "wasserstein_correlation"]

SINGULAR = 1e-12  # the smallest eigenvalue of a correlation matrix that is not taken for rounding


def gaussian_total_correlation(codes: Any) -> Score:
    """Returns the total correlation of codes (N, D), nats, from 0 to infinity; the matrix is their correlations."""
    z = as_codes(codes)
    moves = np.flatnonzero((z != z[:1]).any(0))
    still = sorted(set(range(z.shape[1])) - set(moves.tolist()))
    notes = [f"left out, as it never moves: latent {', '.join(map(str, still))}"] if still else []
    table = np.eye(z.shape[1])
    if len(moves) < 2:
        return Score(0.0, matrix=table.tolist(), notes=notes)
    covariance = _covariance(z[:, moves])
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / deviation / deviation[:, None]
    table[np.ix_(moves, moves)] = correlation
    values = np.linalg.eigvalsh(correlation)
    if values[0] < SINGULAR:
        return Score(math.inf, matrix=table.tolist(), notes=[*notes, "infinite: a latent is a function of others"])
    return Score(max(float(-np.log(values).sum() / 2), 0.0), matrix=table.tolist(), notes=notes)


def wasserstein_correlation(codes: Any) -> Score:
    """Returns the squared distance of codes (N, D) from independence, and in `others` the `normalised` one."""
    covariance = _covariance(as_codes(codes))
    deviation = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvalsh(deviation[:, None] * covariance * deviation)
    total = float(np.trace(covariance))
    value = 2 * total - 2 * float(np.sqrt(values.clip(min=0)).sum())
    notes = [] if total > 0 else ["no latent moves: 0 by definition"]
    return Score(value, others={"normalised": value / total if total > 0 else 0.0}, notes=notes)


def _covariance(codes: Array) -> Array:
    if len(codes) < 2:
        raise ValueError("a covariance needs codes of 2 images or more")
    return np.atleast_2d(np.cov(codes, rowvar=False))
