"""The BetaVAE score (Higgins et al. 2017, ICLR, section 3): which factor do two images share?

    feature = mean over `batch` pairs that share the class of one factor of |z_1 - z_2|,  (D,)

The score is the accuracy, for other features, of a logistic regression that tells the factor. The published study
(Locatello et al. 2019, arXiv 1811.12359) has 10,000 features to learn from and 5,000 to be judged by, of 64 pairs.
"""

import numpy as np

from vae_runner.evaluation.draws import Draws
from vae_runner.evaluation.learners import fitted, learner
from vae_runner.evaluation.score import Array, Score, left_out, placed

__all__ = ["beta_vae_score"]

AT_ONCE = 500  # features


def beta_vae_score(draws: Draws, train: int = 10_000, test: int = 5_000, batch: int = 64, seed: int = 0) -> Score:
    """Returns the accuracy on `test` features, in [0, 1], and that on the `train` features in `others`.

    With one factor that varies there is nothing to tell: 1, with a note. `per_factor` is the accuracy among its own.
    """
    if min(train, test, batch) < 1:
        raise ValueError(f"features and pairs must be 1 or more, got {train}, {test}, {batch}")
    count, notes = draws.factors.shape[1], left_out(draws.factors, draws.places)
    if len(draws.places) == 1:
        alone = placed(np.ones(1), draws.places, count)
        return Score(1.0, alone, others={"train": 1.0}, notes=[*notes, "one factor varies: there is none to confuse"])
    features, known = _features(draws, train, batch)
    if len(np.unique(known)) == 1:
        raise ValueError(f"train={train}: all features are of one factor by chance; take more")
    model, is_done = fitted(learner("linear_model").LogisticRegression(random_state=seed % 2**32), features, known)
    if not is_done:
        notes.append("the regression stopped at the published number of iterations")
    told, true = _features(draws, test, batch)
    right = model.predict(told) == true
    each = [float(right[true == place].mean()) if (true == place).any() else None for place in range(count)]
    others = {"train": float(np.mean(model.predict(features) == known))}
    return Score(float(right.mean()), each, others=others, notes=notes)


def _features(draws: Draws, count: int, batch: int) -> tuple[Array, Array]:
    """Features (count, D) and their factors (count,)."""
    places, found = draws.of_places(count), []
    for part in np.array_split(places, max(count // AT_ONCE, 1)):
        one, other = draws.pairs(part, batch)
        found.append(np.abs(one - other).mean(1))
    return np.concatenate(found), places
