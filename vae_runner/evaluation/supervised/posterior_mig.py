"""The mutual information gap with the encoder's own noise, as Chen et al. 2018 (arXiv 1802.04942) define it.

    q(z|v) = mean over the images x of v of N(z; mu(x), sigma(x)^2),    I(z; v) = H(z) - sum_v p(v) H(z|v)

in nats, where H is the differential entropy, by the trapezoidal rule on a grid. Unlike the histogram of means it does
not know more of a factor than a sample does: a latent whose noise covers the steps of a factor has little of it.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.information import LEAST, entropies
from vae_runner.evaluation.score import Array, Score, as_codes, as_pair, left_out, placed, varying
from vae_runner.evaluation.supervised.mig import gaps

__all__ = ["posterior_mig"]

REACH = 8.0  # standard deviations beyond the outermost means
STEP = 0.25  # of the smallest standard deviation: the rule's error is then below 1e-9
MOST = 40_000  # points of the grid
AT_ONCE = 1 << 22  # values of densities


def posterior_mig(means: Any, scales: Any, factors: Any) -> Score:
    """Returns the gap of normal posteriors with `means` and `scales` (N, D) and factor classes (N, K), in [0, 1].

    The matrix is I in nats. Where a scale is so small that the grid cannot follow it, it is taken wider, with a note.
    Raises `UserError` where no factor has more than one value.
    """
    mu, v = as_pair(means, factors)
    sigma = as_codes(scales)
    if sigma.shape != mu.shape or (sigma <= 0).any():
        raise ValueError(f"scales are positive numbers {mu.shape}, one for each mean, got {sigma.shape}")
    places = varying(v)
    found = [_information(mean, scale, v[:, places]) for mean, scale in zip(mu.T, sigma.T, strict=True)]
    matrix = np.stack([row for row, _ in found])
    each = gaps(matrix) / entropies(v[:, places])
    widened = [str(place) for place, (_, is_wider) in enumerate(found) if is_wider]
    notes = [f"noise too narrow for the grid was widened: latent {', '.join(widened)}"] if widened else []
    count, said = v.shape[1], left_out(v, places) + notes
    return Score(float(each.mean()), placed(each, places, count), None, placed(matrix, places, count), notes=said)


def _information(mean: Array, scale: Array, factors: Array) -> tuple[Array, bool]:
    """I of one latent with each factor (V,), and whether its noise had to be widened."""
    low, high = (mean - REACH * scale).min(), (mean + REACH * scale).max()
    least = (high - low) / MOST / STEP
    narrow = bool((scale < least).any())
    scale = np.maximum(scale, least)
    points = np.linspace(low, high, int(np.ceil((high - low) / (STEP * scale.min()))) + 1)
    members, weights = _memberships(factors)
    density = _densities(points, mean, scale, members)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(density > 0, -density * np.log(density), 0.0)
    entropy = np.trapezoid(inner, points, axis=0)  # of all, then of each class of each factor
    found = np.array([entropy[0] - (share * entropy[columns]).sum() for columns, share in weights])
    return np.where(found < LEAST, 0.0, found), narrow


def _memberships(factors: Array) -> tuple[Array, list[tuple[slice, Array]]]:
    """Weights of the images (N, 1 + classes) by which a column is a mean, and of each factor its columns and p(v)."""
    columns, weights = [np.full((len(factors), 1), 1 / len(factors))], []
    start = 1
    for factor in factors.T:
        _, which, counts = np.unique(factor, return_inverse=True, return_counts=True)
        columns.append(np.eye(len(counts))[which] / counts)
        weights.append((slice(start, start + len(counts)), counts / len(factor)))
        start += len(counts)
    return np.concatenate(columns, 1), weights


def _densities(points: Array, mean: Array, scale: Array, members: Array) -> Array:
    """The densities (points, 1 + classes)."""
    found = []
    for part in np.array_split(points, max(len(points) * len(mean) // AT_ONCE, 1)):
        squares = ((part[:, None] - mean) / scale) ** 2
        found.append(np.exp(-squares / 2) / (scale * np.sqrt(2 * np.pi)) @ members)
    return np.concatenate(found)
