"""Does the aggregate posterior q(z) = mean over images of q(z|x) cover the prior that samples are drawn from?

    MMD^2 = mean k(z_i, z_j) + mean k(p_i, p_j) - 2 mean k(z_i, p_j),  i != j in the first two: it may be below 0

with one draw z_i of q(z|x_i) for each image and as many of the prior, and the kernels of `divergence.discrepancy`:
inverse multiquadrics of seven widths (Tolstikhin et al. 2018, arXiv 1711.01558). Beside it the mean and the variance of
each latent, which a prior N(0, 1) has at 0 and 1.
"""

from typing import Any

import torch
from torch import Tensor

from vae_runner.divergence.discrepancy import SCALES, imq
from vae_runner.evaluation.score import Score, as_codes

__all__ = ["prior_match"]

ROWS = 25  # of the codes, at once: what then is in memory stays in a cache


def prior_match(codes: Any, draws: Any) -> Score:
    """Returns the MMD^2 of codes (N, D), one draw of each posterior, from draws of the prior (M, D).

    `per_latent` is the variance of each latent; `others` has the `mean` and the `variance` of each, `latent3/mean`, and
    those of the prior's draws over all, `prior_variance`. Raises `ValueError` for fewer than two of either.
    """
    z, p = as_codes(codes), as_codes(draws)
    if min(len(z), len(p)) < 2 or z.shape[1] != p.shape[1]:
        raise ValueError(f"codes and draws are two or more, of as many latents, got {z.shape} and {p.shape}")
    width = 2 * p.shape[1] * float(p.var(0).mean())
    one, other = torch.from_numpy(z), torch.from_numpy(p)
    within, of_prior, between = _total(one, one, width), _total(other, other, width), _total(one, other, width)
    itself = len(SCALES["imq"])  # the kernel's value of a point with itself
    first = (within - len(z) * itself) / (len(z) * (len(z) - 1))
    second = (of_prior - len(p) * itself) / (len(p) * (len(p) - 1))
    value = first + second - 2 * between / (len(z) * len(p))
    others = {f"latent{place}/mean": float(mean) for place, mean in enumerate(z.mean(0))}
    return Score(value, per_latent=z.var(0, ddof=1).tolist(), others=others | {"prior_variance": float(p.var())})


def _total(one: Tensor, other: Tensor, width: float) -> float:
    """The sum of the kernel over all pairs of rows."""
    squares, total = other.square().sum(1), 0.0
    for part in one.split(ROWS):
        distances = (part.square().sum(1, keepdim=True) + squares - 2 * part @ other.T).clamp(min=0)
        total += sum(float(imq(distances, scale * width).sum()) for scale in SCALES["imq"])
    return total
