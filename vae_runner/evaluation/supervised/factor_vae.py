"""The FactorVAE score (Kim & Mnih 2018, arXiv 1802.05983, section 4).

Of a batch that has one class of a factor v, the latent whose variance, over its variance among all images, is smallest
votes for v. Each latent stands for the factor that most of its votes are for: the score is the share of the votes of
other batches that this is right for. Dead latents, whose standard deviation is below 0.05, do not vote; where all are
dead the score is 0.
"""

import numpy as np

from vae_runner.evaluation.draws import Draws
from vae_runner.evaluation.score import Array, Score, left_out, placed

__all__ = ["factor_vae_score"]

AT_ONCE = 500  # batches


def factor_vae_score(
    draws: Draws, train: int = 10_000, test: int = 5_000, batch: int = 64, variance: int = 10_000, dead: float = 0.05
) -> Score:
    """Returns the score of `test` votes by what `train` votes have shown, in [0, 1]; `others` has the `train` share.

    batch      images of a vote, 2 or more
    variance   images by which a latent's variance among all is estimated
    dead       the standard deviation below which a latent does not vote

    The matrix is the number of the votes that were for each factor, (D, K).
    """
    if min(train, test) < 1 or batch < 2 or variance < 2:
        raise ValueError(f"votes must be 1 or more, images 2 or more, got {train}, {test}, {batch}, {variance}")
    whole = draws.codes[draws.rows(variance)].var(0, ddof=1)
    alive = np.flatnonzero((np.sqrt(whole) >= dead) & (whole > 0))
    count, dims = draws.factors.shape[1], len(whole)
    notes = left_out(draws.factors, draws.places)
    if len(alive) < dims:
        gone = sorted(set(range(dims)) - set(alive.tolist()))
        notes.append(f"dead, without a vote: latent {', '.join(map(str, gone))}")
    others = {"active": float(len(alive)), "train": 0.0}
    if not len(alive):
        return Score(0.0, others=others, notes=[*notes, "all latents are dead: 0 by definition"])
    seen = _votes(draws, train, batch, whole, alive)
    judge, latents = seen.argmax(1), np.arange(dims)
    told = _votes(draws, test, batch, whole, alive)
    others["train"] = float(seen[latents, judge].sum() / seen.sum())
    table = placed(seen[:, draws.places], draws.places, count)
    return Score(float(told[latents, judge].sum() / told.sum()), matrix=table, others=others, notes=notes)


def _votes(draws: Draws, votes: int, batch: int, whole: Array, alive: Array) -> Array:
    """The number of votes of each latent for each factor, (D, K)."""
    found = np.zeros((len(whole), draws.factors.shape[1]), np.int64)
    for start in range(0, votes, AT_ONCE):
        places = draws.of_places(min(AT_ONCE, votes - start))
        within = draws.fixed(places, batch)[:, :, alive].var(1, ddof=1)
        np.add.at(found, (alive[(within / whole[alive]).argmin(1)], places), 1)
    return found
