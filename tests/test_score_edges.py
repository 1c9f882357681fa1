"""Scores of odd codes and factors: a number that is defined, with a line that says why, or an error in one line."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from vae_runner.errors import UserError
from vae_runner.evaluation import (
    Draws,
    Score,
    beta_vae_score,
    dci,
    dci_forest,
    dci_linear,
    explicitness,
    factor_vae_score,
    gaussian_total_correlation,
    infomec,
    irs,
    mig,
    mig_sup,
    modularity,
    posterior_mig,
    rmig,
    sap,
    sap_continuous,
    shared_information,
    udr,
    wasserstein_correlation,
)
from vae_runner.evaluation.supervised.dci import completeness, disentanglement
from vae_runner.experiment.scoring.records import figures
from vae_runner.report.scored.score_kinds import MAPS
from vae_runner.report.scored.score_sections import scores
from vae_runner.runs.read import Run

Scoring = Callable[[np.ndarray, np.ndarray], Score]
SUPERVISED: dict[str, Scoring] = {
    "mig": mig,
    "mig_sup": mig_sup,
    "rmig": rmig,
    "modularity": modularity,
    "irs": irs,
    "infomec": infomec,
    "sap_continuous": sap_continuous,
    "posterior_mig": lambda z, v: posterior_mig(z, np.full(z.shape, 0.5), v),
    "sap": lambda z, v: sap(z, v, z, v),
    "explicitness": lambda z, v: explicitness(z, v, z, v),
    "dci": lambda z, v: dci(z, v, z, v, jobs=1),
    "dci_forest": lambda z, v: dci_forest(z, v, z, v, jobs=1),
    "dci_linear": lambda z, v: dci_linear(z, v, z, v, jobs=1),
    "factor_vae": lambda z, v: factor_vae_score(Draws(z, v, 0), 100, 50, 8, 200),
    "beta_vae": lambda z, v: beta_vae_score(Draws(z, v, 0), 100, 50, 8),
}
UNSUPERVISED: dict[str, Scoring] = {
    "total_correlation": lambda z, v: gaussian_total_correlation(z),
    "wasserstein": lambda z, v: wasserstein_correlation(z),
    "shared_information": lambda z, v: shared_information(z),
    "udr": lambda z, v: udr([z, z], [np.ones(z.shape[1])] * 2)[0],
    "udr_spearman": lambda z, v: udr([z, z], [np.ones(z.shape[1])] * 2, "spearman")[0],
    "udr_dead": lambda z, v: udr([z, z], [np.zeros(z.shape[1])] * 2)[0],
}
FACTORS = np.stack(np.meshgrid(range(3), range(4), range(6)), -1).reshape(-1, 3)
NOISE = np.random.default_rng(0).normal(size=(len(FACTORS), 3))
STILL = np.full((len(FACTORS), 1), 0.1)
ODD_CODES = {
    "one latent": FACTORS[:, :1] + 0.01 * NOISE[:, :1],
    "one dead latent": STILL,
    "a dead latent": np.concatenate([FACTORS + 0.01 * NOISE, STILL], 1),
    "constant codes": np.repeat(STILL, 4, 1),
    "constant but for rounding": np.repeat(STILL, 4, 1) * (1 + 1e-16 * (NOISE[:, :1] > 0)) + 1e-17 * NOISE[:, :1],
    "tiny codes": 1e-30 * NOISE,
    "huge codes": 1e30 * NOISE,
    "copies": np.repeat(NOISE[:, :1], 3, 1),
    "classes": FACTORS,
}


def numbers_of(score: Score) -> list[float]:
    """All numbers of a score, but those that are None."""
    lists = [score.per_factor or [], score.per_latent or [], *(score.matrix or []), score.others.values()]
    return [score.value, *(number for one in lists for number in one if number is not None)]


@pytest.mark.parametrize("codes", ODD_CODES.values(), ids=ODD_CODES)
@pytest.mark.parametrize("score", (SUPERVISED | UNSUPERVISED).values(), ids=SUPERVISED | UNSUPERVISED)
def test_odd_codes_have_defined_scores(score: Scoring, codes: np.ndarray) -> None:
    found = score(codes, FACTORS)
    infinite = [number for number in numbers_of(found) if not math.isfinite(number)]
    assert not infinite or (infinite == [math.inf] and "infinite: a latent is a function of others" in found.notes)


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_factor_with_one_value_changes_no_score_and_is_named(name: str) -> None:
    codes, score = FACTORS + 0.3 * NOISE, SUPERVISED[name]
    still = np.insert(FACTORS, 1, 7, axis=1)
    found, without = score(codes, still), score(codes, FACTORS)
    if name in ("factor_vae", "beta_vae"):  # its batches are drawn by the places of factors
        assert abs(found.value - without.value) < 0.3
    else:
        assert found.value == pytest.approx(without.value, rel=1e-12)
    assert "left out, as it has one value: factor 1" in found.notes
    assert found.per_factor is None or found.per_factor[1] is None
    assert found.matrix is None or all(row[1] is None for row in found.matrix)


@pytest.mark.parametrize("name", SUPERVISED)
def test_factors_that_never_vary_are_told_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match="no factor has more than one value"):
        SUPERVISED[name](NOISE, np.zeros((len(NOISE), 2), np.int64))


@pytest.mark.parametrize("name", SUPERVISED)
def test_one_factor_alone_has_a_score(name: str) -> None:
    found = SUPERVISED[name](FACTORS + 0.1 * NOISE, FACTORS[:, :1])
    assert all(map(math.isfinite, numbers_of(found)))


def test_what_one_latent_alone_is_compared_with_knows_nothing() -> None:
    codes = FACTORS[:, :1].astype(float)
    assert mig(codes, FACTORS).per_factor == pytest.approx([1, 0, 0], abs=1e-12)
    assert sap_continuous(codes, FACTORS).per_factor == pytest.approx([1, 0, 0], abs=1e-12)
    beside = np.concatenate([codes, np.zeros_like(codes)], 1)
    assert sap(codes, FACTORS, codes, FACTORS).value == sap(beside, FACTORS, beside, FACTORS).value


def test_a_dead_latent_has_modularity_nought_whatever_its_rounding() -> None:
    codes = np.concatenate([FACTORS, STILL, STILL + 1e-17 * NOISE[:, :1]], 1)
    found = modularity(codes, FACTORS)
    assert found.per_latent == pytest.approx([1, 1, 1, 0, 0], abs=1e-9)
    assert found.notes == ["0 by definition, without information: latent 3, 4"]


def test_dead_latents_have_no_vote_and_where_all_are_dead_the_score_is_nought() -> None:
    codes = np.concatenate([FACTORS, 0.04 * NOISE / NOISE.std()], 1)
    found = factor_vae_score(Draws(codes, FACTORS, 0), 100, 50, 8, 200)
    assert (found.value, found.others["active"]) == (1, 3)
    assert "dead, without a vote: latent 3, 4, 5" in found.notes
    none = factor_vae_score(Draws(0.01 * NOISE, FACTORS, 0), 100, 50, 8, 200)
    assert none.value == 0
    assert "all latents are dead: 0 by definition" in none.notes


def test_importance_that_one_has_alone_is_1_and_that_all_share_is_0() -> None:
    matrix = np.array([[3.0, 0, 0], [1, 1, 1], [0, 0, 0]])
    assert disentanglement(matrix) == pytest.approx([1, 0, 0], abs=1e-9)
    share = np.array([0.75, 0.25])
    assert completeness(matrix)[0] == pytest.approx(1 + (share * np.log(share)).sum() / np.log(3), abs=1e-9)


@pytest.mark.parametrize(
    ("codes", "factors", "line"),
    [
        (np.array([[np.nan, 1.0]]), np.array([[1]]), "codes must be finite; some of these are not"),
        (np.zeros(3), np.zeros((3, 1), int), r"codes are numbers \(images, latents\), got float64 \(3,\)"),
        (np.zeros((3, 0)), np.zeros((3, 1), int), r"codes are numbers \(images, latents\), got float64 \(3, 0\)"),
        (np.zeros((3, 2)), np.zeros((3, 1)), r"factors are classes, integers \(images, factors\), got float64"),
        (np.zeros((3, 2)), np.zeros((4, 1), int), "codes of 3 images and factors of 4: give both of the same"),
    ],
)
def test_what_are_no_codes_or_factors_is_said(codes: np.ndarray, factors: np.ndarray, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        mig(codes, factors)


def test_tensors_are_taken_as_arrays_are() -> None:
    codes = (FACTORS + 0.3 * NOISE).astype(np.float32)
    tensor = torch.from_numpy(codes).requires_grad_()
    assert mig(tensor, torch.from_numpy(FACTORS)) == mig(codes, FACTORS)


def test_without_scikit_learn_a_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.metrics", None)
    with pytest.raises(UserError, match=r"needs scikit-learn: pip install 'vae_runner\[evaluate\]'"):
        mig(NOISE, FACTORS)


@pytest.mark.parametrize("codes", ["one dead latent", "a dead latent", "huge codes"])
def test_every_odd_score_has_its_place_on_a_page(codes: str) -> None:
    slow = {"sap", "explicitness", "beta_vae", "dci", "dci_forest", "dci_linear"}
    cheap = {name: score for name, score in (SUPERVISED | UNSUPERVISED).items() if name not in slow}
    made = {name: score(ODD_CODES[codes], FACTORS) for name, score in cheap.items()}
    how = {"part": "test", "images": len(FACTORS), "factors": ["a", "b", "c"]}
    records = {name: {**figures(one, ("a", "b", "c")), **how} for name, one in made.items()}
    shown = scores(Run("x", evaluation=json.loads(json.dumps(records))))
    maps = [kind.title for kind in MAPS if any(made[name].matrix for name in kind.scores if name in made)]
    assert len(maps) >= 5
    assert all(f"<h3>{title}</h3>" in shown for title in maps)
    assert ">nan<" not in shown
