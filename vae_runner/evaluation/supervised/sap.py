"""SAP, separated attribute predictability (Kumar et al. 2018, arXiv 1711.00848).

    SAP = mean over factors of S_a - S_b,  the two best latents' scores for it

S is the accuracy on other images of a linear SVM that has one latent alone (C = 0.01, classes balanced, as Locatello et
al. 2019, arXiv 1811.12359), or, in `sap_continuous`, the squared correlation of the latent with the factor's class
number,

    S = Cov(z, v)^2 / (Var z Var v),  0 where Var z <= 1e-12

which is another number. Of one latent alone the second is a latent that never moves.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.learners import fitted, learner
from vae_runner.evaluation.score import Array, Score, as_pair, left_out, placed, varying

__all__ = ["sap", "sap_continuous"]

STILL = 1e-12  # variance


def sap(codes: Any, factors: Any, test_codes: Any, test_factors: Any, seed: int = 0) -> Score:
    """Returns the SAP of SVMs fitted on codes (N, D) and factor classes (N, K), and judged on the test's.

    The matrix is their accuracy. Raises `UserError` where no factor has more than one value.
    """
    (z, v), (z_test, v_test) = as_pair(codes, factors), as_pair(test_codes, test_factors)
    places, count, alone = varying(v), v.shape[1], z.shape[1] == 1
    if alone:
        z, z_test = (np.concatenate([part, np.zeros_like(part)], 1) for part in (z, z_test))
    found = [
        [_accuracy(z[:, [d]], v[:, k], z_test[:, [d]], v_test[:, k], seed) for k in places] for d in range(z.shape[1])
    ]
    matrix = np.array([[accuracy for accuracy, _ in row] for row in found])
    stopped = sum(not is_done for row in found for _, is_done in row)
    notes = left_out(v, places)
    notes += [f"{stopped} of {matrix.size} SVMs stopped at the published number of iterations"] if stopped else []
    return _gap(matrix, places, count, notes, alone)


def sap_continuous(codes: Any, factors: Any) -> Score:
    """Returns the SAP of squared correlations of codes (N, D) and factor classes (N, K); the matrix is these."""
    z, v = as_pair(codes, factors)
    places = varying(v)
    centred, known = z - z.mean(0), v[:, places] - v[:, places].mean(0)
    count = max(len(z) - 1, 1)
    covariance, variance = centred.T @ known / count, (centred**2).sum(0) / count
    moves = variance > STILL
    scale = np.where(moves, variance, 1.0)[:, None] * (known**2).sum(0) / count
    matrix = np.where(moves[:, None], covariance**2 / scale, 0.0)
    alone = len(matrix) == 1
    if alone:
        matrix = np.concatenate([matrix, np.zeros_like(matrix)])
    return _gap(matrix, places, v.shape[1], left_out(v, places), alone)


def _gap(matrix: Array, places: Array, count: int, notes: list[str], alone: bool) -> Score:
    ordered = np.sort(matrix, 0)
    each = ordered[-1] - ordered[-2]
    shown = matrix[:1] if alone else matrix
    return Score(float(each.mean()), placed(each, places, count), None, placed(shown, places, count), notes=notes)


def _accuracy(z: Array, v: Array, z_test: Array, v_test: Array, seed: int) -> tuple[float, bool]:
    """Of an SVM of one latent (N, 1) for one factor (N,), and whether it came to an end."""
    model = learner("svm").LinearSVC(C=0.01, class_weight="balanced", random_state=seed % 2**32)
    model, is_done = fitted(model, z, v)
    return float(np.mean(model.predict(z_test) == v_test)), is_done
