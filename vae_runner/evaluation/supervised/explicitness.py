"""Explicitness (Ridgeway & Mozer 2018, arXiv 1802.05312): whether the factors can be read off the codes linearly.

    explicitness = mean over factors, and over the classes of each, of the area under the ROC curve of that class
    against the rest, of a logistic regression from all latents

0.5 is chance. Codes are standardised by those that are fitted. A class that is not among both parts is left out.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.learners import fitted, learner
from vae_runner.evaluation.score import Array, Score, as_pair, left_out, placed, varying

__all__ = ["explicitness", "standardised"]


def explicitness(codes: Any, factors: Any, test_codes: Any, test_factors: Any) -> Score:
    """Returns the explicitness on the test of regressions fitted on codes (N, D) and factor classes (N, K), in [0, 1].

    `others` has that of the images that were fitted, `train`. Raises `UserError` where no factor has two values.
    """
    (z, v), (z_test, v_test) = as_pair(codes, factors), as_pair(test_codes, test_factors)
    places, count, notes = varying(v), v.shape[1], []
    inputs, test_inputs = standardised(z, z), standardised(z_test, z)
    train, test, stopped = [], [], 0
    for place in places:
        model, is_done = fitted(learner("linear_model").LogisticRegression(), inputs, v[:, place])
        stopped += not is_done
        train.append(_areas(model, inputs, v[:, place]))
        test.append(_areas(model, test_inputs, v_test[:, place]))
    if stopped:
        notes.append(f"{stopped} of {len(places)} regressions stopped at the published number of iterations")
    each = np.array(test)
    others = {"train": float(np.mean(train))}
    return Score(float(each.mean()), placed(each, places, count), others=others, notes=left_out(v, places) + notes)


def standardised(codes: Array, like: Array) -> Array:
    """Returns codes less the mean of `like`, over its standard deviation; a latent that never moves there is 0."""
    deviation = like.std(0)
    moves = (like != like[:1]).any(0) & (deviation > 0)
    return np.where(moves, (codes - like.mean(0)) / np.where(moves, deviation, 1.0), 0.0)


def _areas(model: Any, inputs: Array, classes: Array) -> float:
    """The mean area of the classes that are here, and not all that is; 0.5 where there is none."""
    area = learner("metrics").roc_auc_score
    chances = model.predict_proba(inputs)
    found = [(classes == one, chances[:, place]) for place, one in enumerate(model.classes_)]
    areas = [area(is_one, chance) for is_one, chance in found if 0 < is_one.sum() < len(is_one)]
    return float(np.mean(areas)) if areas else 0.5
