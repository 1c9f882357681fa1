"""What latents know of each other: the mean of I(z_i; z_j) over pairs of latents, nats, from 20-bin histograms of both.

Locatello et al. 2019, arXiv 1811.12359. It is 0 of independent latents but for what chance leaves in the histograms,
some (bins - 1)^2 / 2N.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.information import BINS, binned, information
from vae_runner.evaluation.score import Score, as_codes

__all__ = ["shared_information"]


def shared_information(codes: Any, bins: int = BINS) -> Score:
    """Returns the mean over pairs of latents of codes (N, D), nats; the matrix is that of each pair, 0 with itself."""
    classes = binned(as_codes(codes), bins)
    matrix = information(classes, classes)
    np.fill_diagonal(matrix, 0.0)
    dims = len(matrix)
    if dims == 1:
        return Score(0.0, matrix=matrix.tolist(), notes=["one latent has none to share with: 0"])
    return Score(float(matrix.sum() / (dims * (dims - 1))), matrix=matrix.tolist())
