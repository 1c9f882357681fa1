"""InfoMEC (Hsu et al. 2023, arXiv 2305.18378): modularity, explicitness and compactness from normalised information.

    NMI(v, z) = I(v; z) / H(v)
    InfoM = (mean over latents of max_v NMI / sum_v NMI - 1/K) / (1 - 1/K)
    InfoC = (mean over factors of max_z NMI / sum_z NMI - 1/D) / (1 - 1/D)
    InfoE = mean over factors of [H(v) - H(v|z)] / H(v),  H by logistic regression without a penalty, classes balanced

over the K factors and the D active latents, whose range is above a twentieth of the largest (the authors' code). I of
continuous latents is estimated by 10 nearest neighbours (Ross 2014, "Mutual information between discrete and continuous
data sets"), of discrete ones from their counts. A row or a column without information counts as spread evenly; of one
factor, or one latent, InfoM, or InfoC, is 1.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.information import entropies, information
from vae_runner.evaluation.learners import fitted, learner
from vae_runner.evaluation.score import Array, Score, as_pair, left_out, placed, varying
from vae_runner.evaluation.supervised.explicitness import standardised

__all__ = ["concentration", "infomec"]

NEIGHBOURS = 10
SHARE = 1 / 20  # of the largest range, below which a latent is inactive


def infomec(codes: Any, factors: Any, is_discrete: bool = False, seed: int = 0) -> Score:
    """Returns InfoM of codes (N, D) and factor classes (N, K); `others` has `infoc`, `infoe` and the number of `active`
    latents, `per_factor` the InfoE of each, and the matrix is the NMI.

    is_discrete   the codes are classes, and are taken as such
    seed          of the noise by which the estimator of continuous latents breaks ties

    Raises `UserError` where no factor has more than one value.
    """
    z, v = as_pair(codes, factors)
    places, count = varying(v), v.shape[1]
    known, ranges, notes = v[:, places], np.ptp(z, axis=0), left_out(v, places)
    active = np.flatnonzero((ranges > 0) if is_discrete else (ranges > ranges.max() * SHARE))
    if not len(active):
        others = {"infoc": 0.0, "infoe": 0.0, "active": 0.0}
        return Score(0.0, others=others, notes=[*notes, "no latent moves: 0 by definition"])
    shares = _information(z, known, is_discrete, seed) / entropies(known)
    explicit, stopped = _explicitness(z, known, is_discrete)
    if stopped:
        notes.append(f"{stopped} of {2 * len(places)} regressions stopped at the published number of iterations")
    rows = concentration(shares[active])
    others = {
        "infoc": float(concentration(shares[active].T).mean()),
        "infoe": float(explicit.mean()),
        "active": float(len(active)),
    }
    per_latent = placed(rows, active, z.shape[1])
    table = placed(shares, places, count)
    return Score(float(rows.mean()), placed(explicit, places, count), per_latent, table, others, notes)


def concentration(shares: Array) -> Array:
    """Returns (max / sum - 1/n) / (1 - 1/n) of each row of shares (A, n), (A,): 1 where one has all, 0 where all have
    the same, or none has any.
    """
    size, total = shares.shape[1], shares.sum(1)
    if size == 1:
        return np.ones(len(shares))
    most = np.where(total > 0, shares.max(1) / np.where(total > 0, total, 1.0), 1 / size)
    return (most - 1 / size) / (1 - 1 / size)


def _information(codes: Array, factors: Array, is_discrete: bool, seed: int) -> Array:
    """I of each latent with each factor, (D, K), nats."""
    if is_discrete:
        return information(_classes(codes), factors)
    estimate, inputs = learner("feature_selection").mutual_info_classif, standardised(codes, codes)
    options = {"discrete_features": False, "n_neighbors": NEIGHBOURS, "random_state": seed % 2**32}
    return np.stack([estimate(inputs, factor, **options) for factor in factors.T], 1)


def _classes(codes: Array) -> Array:
    return np.stack([np.unique(column, return_inverse=True)[1] for column in codes.T], 1)


def _explicitness(codes: Array, factors: Array, is_discrete: bool) -> tuple[Array, int]:
    """InfoE of each factor, (K,), and how many regressions did not come to an end."""
    inputs = _one_hot(codes) if is_discrete else standardised(codes, codes)
    found, stopped = [], 0
    for factor in factors.T:
        (given, is_done), (alone, is_done_too) = _loss(inputs, factor), _loss(np.zeros_like(inputs), factor)
        found.append((alone - given) / alone)
        stopped += (not is_done) + (not is_done_too)
    return np.array(found), stopped


def _one_hot(codes: Array) -> Array:
    classes = _classes(codes)
    return np.concatenate([np.eye(column.max() + 1)[column] for column in classes.T], 1)


def _loss(inputs: Array, factor: Array) -> tuple[float, bool]:
    """The mean -log p(v|z) of a regression, nats, and whether it came to an end."""
    model = learner("linear_model").LogisticRegression(C=np.inf, class_weight="balanced")
    model, is_done = fitted(model, inputs, factor)
    return float(learner("metrics").log_loss(factor, model.predict_proba(inputs), labels=model.classes_)), is_done
