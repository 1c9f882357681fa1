"""The Frechet distance of two sets of features, as if both were Gaussian: FID, of features of an Inception network.

    d^2 = |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^1/2)                    Heusel et al. 2017, arXiv 1706.08500

The root's trace is the sum of the roots of the eigenvalues of S_1^1/2 S_2 S_1^1/2, which is symmetric: no complex
number comes up that would have to be thrown away. Of fewer images than features the covariances are singular, and the
distance is too large, the more so the fewer there are: it compares with such of as many images alone.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.score import Array, Score, as_codes

__all__ = ["frechet_distance"]


def frechet_distance(features: Any, others: Any) -> Score:
    """Returns d^2 of features (N, F) and others (M, F), from 0 up; `others` has its two parts, of the means and of the
    covariances. Raises `ValueError` for fewer than two of either, or for features of other networks.
    """
    one, other = as_codes(features), as_codes(others)
    if min(len(one), len(other)) < 2 or one.shape[1] != other.shape[1]:
        raise ValueError(f"features of two or more images, of one network, got {one.shape} and {other.shape}")
    first, second = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (one, other))
    means = float(((one.mean(0) - other.mean(0)) ** 2).sum())
    root = _root(first)
    roots = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(min=0))
    covariances = max(float(np.trace(first) + np.trace(second) - 2 * roots.sum()), 0.0)
    few = min(len(one), len(other))
    notes = [] if few > one.shape[1] else [f"{few:,} images for {one.shape[1]:,} features are few: it is too large"]
    return Score(means + covariances, others={"means": means, "covariances": covariances}, notes=notes)


def _root(covariance: Array) -> Array:
    """The symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
