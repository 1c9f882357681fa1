"""The mutual information gap (Chen et al. 2018, arXiv 1802.04942) and its variants.

    MIG       mean over factors of [I(z_a; v) - I(z_b; v)] / H(v),  a and b the latents that know most of v
    RMIG      the same gaps in nats, without / H(v)                 Do & Tran 2020, arXiv 1908.09961
    MIG-sup   mean over latents of I(z; v_a) / H(v_a) - I(z; v_b) / H(v_b),  a and b the factors of which z knows
              most of these                                          Li et al. 2020, arXiv 2002.10549

MIG asks whether one latent has all of a factor, MIG-sup whether one factor is all of a latent. I from histograms, see
`information`. Of one latent alone the second knows nothing, and so does, of one factor alone, the second factor.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.information import BINS, binned, entropies, information
from vae_runner.evaluation.score import Array, Score, as_pair, left_out, placed, varying

__all__ = ["gaps", "mig", "mig_sup", "rmig"]


def mig(codes: Any, factors: Any, bins: int = BINS) -> Score:
    """Returns the MIG of codes (N, D) and factor classes (N, K), in [0, 1]; the matrix is I in nats.

    Raises `UserError` where no factor has more than one value.
    """
    matrix, entropy, places, count, notes = _read(codes, factors, bins)
    each = gaps(matrix) / entropy
    return Score(float(each.mean()), placed(each, places, count), matrix=placed(matrix, places, count), notes=notes)


def rmig(codes: Any, factors: Any, bins: int = BINS) -> Score:
    """Returns the mean gap in nats; else as `mig`."""
    matrix, _, places, count, notes = _read(codes, factors, bins)
    each = gaps(matrix)
    return Score(float(each.mean()), placed(each, places, count), matrix=placed(matrix, places, count), notes=notes)


def mig_sup(codes: Any, factors: Any, bins: int = BINS) -> Score:
    """Returns the MIG-sup, in [0, 1]; the matrix is I / H(v). A latent that knows nothing has a gap of 0."""
    matrix, entropy, places, count, notes = _read(codes, factors, bins)
    shares = matrix / entropy
    each = gaps(shares.T)
    return Score(float(each.mean()), None, each.tolist(), placed(shares, places, count), notes=notes)


def gaps(matrix: Array) -> Array:
    """Returns the largest less the second largest of each column (A, B), (B,); of one row alone, less 0."""
    ordered = np.sort(np.concatenate([np.zeros((1, matrix.shape[1])), matrix]), 0)
    return ordered[-1] - ordered[-2]


def _read(codes: Any, factors: Any, bins: int) -> tuple[Array, Array, Array, int, list[str]]:
    """I (D, V) and H (V,) of the factors that vary, their places, the number of all, and what to say."""
    z, v = as_pair(codes, factors)
    places = varying(v)
    known = v[:, places]
    return information(binned(z, bins), known), entropies(known), places, v.shape[1], left_out(v, places)
