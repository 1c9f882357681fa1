"""DCI: disentanglement, completeness, informativeness (Eastwood & Williams 2018, ICLR).

R (D, K) says how much each latent matters to a predictor of each factor from all latents. With the shares of a row,
and of a column, as chances,

    disentanglement   sum over latents of w_d (1 - H_K(R_d / sum R_d)),  w_d = sum R_d / sum R,  H_K with base K
    completeness      sum over factors of w_k (1 - H_D(R_k / sum R_k)),  w_k likewise
    informativeness   mean accuracy of the predictors, on other images

`dci` predicts with gradient boosted trees, as the published study (Locatello et al. 2019, arXiv 1811.12359). With
random forests, or linear models, R is another one: up to 0.4 away in both, so these have names of their own.

Where no latent matters, all matter alike. Of one factor that varies disentanglement is 1, and of one latent
completeness: there is nothing to share with.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from vae_runner.evaluation.learners import each_in_parallel, fitted, learner
from vae_runner.evaluation.score import Array, Score, as_pair, left_out, placed, varying
from vae_runner.evaluation.supervised.explicitness import standardised

__all__ = ["completeness", "dci", "dci_forest", "dci_linear", "disentanglement"]

TINY = 1e-11  # added to chances, as in the published code
Watch = Callable[[Iterable[Any]], Iterable[Any]]  # told of each factor that is done


def dci(
    codes: Any,
    factors: Any,
    test_codes: Any,
    test_factors: Any,
    seed: int = 0,
    jobs: int | None = None,
    watch: Watch = iter,
) -> Score:
    """Returns the disentanglement by boosted trees fitted on codes (N, D) and factor classes (N, K).

    `others` has `completeness`, `informativeness` and `informativeness_train`, `per_factor` the informativeness of
    each, `per_latent` the disentanglement of each, and the matrix is R.

    jobs    factors at once, each in a process; None: as many as there are cores
    watch   is given the iterable of results, to show how far it is

    Raises `UserError` where no factor has more than one value.
    """
    return _dci("boosted", (codes, factors, test_codes, test_factors), seed, jobs, watch)


def dci_forest(
    codes: Any,
    factors: Any,
    test_codes: Any,
    test_factors: Any,
    seed: int = 0,
    jobs: int | None = None,
    watch: Watch = iter,
) -> Score:
    """The same with random forests of 100 trees: fast, and another number."""
    return _dci("forest", (codes, factors, test_codes, test_factors), seed, jobs, watch)


def dci_linear(
    codes: Any,
    factors: Any,
    test_codes: Any,
    test_factors: Any,
    seed: int = 0,
    jobs: int | None = None,
    watch: Watch = iter,
) -> Score:
    """The same with logistic regressions of standardised codes, whose |weights|, summed over classes, are R."""
    return _dci("linear", (codes, factors, test_codes, test_factors), seed, jobs, watch)


def disentanglement(importance: Array) -> Array:
    """Returns 1 - H_K of each row of R (D, K), (D,)."""
    if importance.shape[1] == 1:
        return np.ones(len(importance))
    chances = importance + TINY
    chances = chances / chances.sum(1, keepdims=True)
    return 1 + (chances * np.log(chances)).sum(1) / np.log(importance.shape[1])


def completeness(importance: Array) -> Array:
    """Returns 1 - H_D of each column of R (D, K), (K,)."""
    return disentanglement(importance.T)


def _dci(kind: str, parts: tuple[Any, Any, Any, Any], seed: int, jobs: int | None, watch: Watch) -> Score:
    (z, v), (z_test, v_test) = as_pair(*parts[:2]), as_pair(*parts[2:])
    places, count = varying(v), v.shape[1]
    if kind == "linear":
        z, z_test = standardised(z, z), standardised(z_test, z)
    work = [(kind, z, v[:, place], z_test, v_test[:, place], seed) for place in places]
    found = list(watch(each_in_parallel(_fit, work, jobs)))
    raw = np.stack([row for row, _, _, _ in found], 1)
    importance = np.ones_like(raw) if raw.sum() == 0 else raw
    rows, columns, total = disentanglement(importance), completeness(importance), importance.sum()
    accuracy = np.array([test for _, _, test, _ in found])
    others = {
        "completeness": float((columns * importance.sum(0)).sum() / total),
        "informativeness": float(accuracy.mean()),
        "informativeness_train": float(np.mean([train for _, train, _, _ in found])),
    }
    notes = left_out(v, places)
    if stopped := sum(not is_done for _, _, _, is_done in found):
        notes.append(f"{stopped} of {len(places)} regressions stopped before their end")
    if raw.sum() == 0:
        notes.append("no latent matters to any factor: all count alike")
    value = float((rows * importance.sum(1)).sum() / total)
    table = placed(raw, places, count)
    return Score(value, placed(accuracy, places, count), rows.tolist(), table, others, notes)


def _fit(kind: str, z: Array, v: Array, z_test: Array, v_test: Array, seed: int) -> tuple[Array, float, float, bool]:
    """Of one factor (N,): the importance of each latent (D,), the accuracy on both parts, whether it came to an end."""
    model, is_done = fitted(_predictor(kind, seed), z, v)
    importance = np.abs(model.coef_).sum(0) if kind == "linear" else np.abs(model.feature_importances_)
    accuracies = [float(np.mean(model.predict(part) == known)) for part, known in ((z, v), (z_test, v_test))]
    return importance, accuracies[0], accuracies[1], is_done


def _predictor(kind: str, seed: int) -> Any:
    if kind == "boosted":
        return learner("ensemble").GradientBoostingClassifier(random_state=state_of(seed))
    if kind == "forest":
        return learner("ensemble").RandomForestClassifier(random_state=state_of(seed))
    return learner("linear_model").LogisticRegression(max_iter=1000)


def state_of(seed: int) -> int | None:
    """The seed as scikit-learn takes it, of 32 bits."""
    return seed % 2**32
