"""UDR, the unsupervised disentanglement ranking (Duan et al. 2020, arXiv 1905.12614): do models of one setting, that
differ in their seeds, find the same latents?

With R (A, B) the relatedness of the latents of two models, and 0 / 0 = 0,

    similarity = [mean over a of max_b R^2 / sum_b R + mean over b of max_a R^2 / sum_a R] / 2
    UDR of a model = median over the others of their similarity

`lasso`: R is |weight| of a lasso (alpha = 0.1) from the standardised codes of one to those of the other; `spearman`:
|rank correlation|. Only latents with a KL above 0.01 nats take part; where a model has none, similarities are 0. It
needs no factors; five seeds are better than two.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from vae_runner.evaluation.learners import fitted, learner
from vae_runner.evaluation.score import Array, Score, as_codes
from vae_runner.evaluation.supervised.explicitness import standardised

__all__ = ["similarity", "udr"]

Method = Literal["lasso", "spearman"]
LEAST_KL = 0.01  # nats
ALPHA = 0.1


def udr(codes: Sequence[Any], kls: Sequence[Any], method: Method = "lasso", least: float = LEAST_KL) -> list[Score]:
    """Returns the UDR of each model, from the codes (N, D) that they have for the same images and the KL (D,) of each
    latent. `matrix` (1, models) is its similarity to each other model, None for itself.

    Raises `ValueError` for fewer than two models, or codes of other images.
    """
    if method not in ("lasso", "spearman"):
        raise ValueError(f"method must be lasso or spearman, got {method!r}")
    parts = [as_codes(one) for one in codes]
    if len(parts) < 2 or len({len(part) for part in parts}) > 1 or len(kls) != len(parts):
        raise ValueError("UDR compares the codes of two or more models for the same images, with the KL of each latent")
    active = [part[:, np.asarray(kl, np.float64) > least] for part, kl in zip(parts, kls, strict=True)]
    ready = [standardised(part, part) if part.shape[1] else part for part in active]
    pairs = np.zeros((len(ready), len(ready)))
    for one in range(len(ready)):
        for other in range(len(ready)):
            if one != other and ready[one].shape[1] and ready[other].shape[1]:
                pairs[one, other] = similarity(_relatedness(ready[one], ready[other], method))
    return [_score(pairs[:, place], place, ready[place].shape[1]) for place in range(len(ready))]


def similarity(relatedness: Array) -> float:
    """Returns how far each latent of one model has one of its own in the other, in [0, 1], of R (A, B) >= 0."""
    return float((_strength(relatedness).mean() + _strength(relatedness.T).mean()) / 2)


def _score(others: Array, place: int, active: int) -> Score:
    row: list[float | None] = [None if other == place else float(value) for other, value in enumerate(others)]
    notes = [] if active else ["no latent has a KL above the threshold: 0 by definition"]
    return Score(float(np.median(np.delete(others, place))), None, None, [row], {"active": float(active)}, notes)


def _strength(relatedness: Array) -> Array:
    """max^2 / sum of each row."""
    total = relatedness.sum(1)
    return np.where(total > 0, relatedness.max(1) ** 2 / np.where(total > 0, total, 1.0), 0.0)


def _relatedness(one: Array, other: Array, method: Method) -> Array:
    """R (A, B) of standardised codes (N, A) and (N, B)."""
    if method == "lasso":
        model, _ = fitted(learner("linear_model").Lasso(alpha=ALPHA), one, other)
        return np.abs(np.atleast_2d(model.coef_)).T
    first, second = _ranks(one), _ranks(other)
    return np.abs(first.T @ second) / len(one)


def _ranks(codes: Array) -> Array:
    """Ranks of each column, equal values having the mean of theirs, standardised."""
    found = np.empty_like(codes)
    for place, column in enumerate(codes.T):
        _, which, counts = np.unique(column, return_inverse=True, return_counts=True)
        found[:, place] = (np.cumsum(counts) - (counts + 1) / 2)[which]
    return standardised(found, found)
