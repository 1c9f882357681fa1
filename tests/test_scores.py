"""Scores of codes: equal to those of the published implementation, on its whole grid and draw by draw."""

import importlib

import numpy as np
import pytest
from published import CODES, FACTORS, NAMES, RESULTS, PublishedDraws, codes_of, drawn, drawn_by

from vae_runner.evaluation import (
    Draws,
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

DRAWN = [(name, number % 3) for number, name in enumerate(NAMES)]
ALL_DRAWN = [(name, seed) for name in NAMES for seed in range(3)]
SOME = pytest.mark.parametrize(("name", "seed"), DRAWN)
ALL = pytest.mark.parametrize(("name", "seed"), ALL_DRAWN)
exact = {"rel": 1e-9, "abs": 1e-9}
boosted = {
    "rel": 1e-7,
    "abs": 1e-7,
}  # exponentials with AVX-512 and without differ in the last digit: 1e-8 of 1,000 trees


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_the_whole_grid_are_those_of_the_published_code(name: str) -> None:
    expected, codes = RESULTS["reps"][name], codes_of(name)
    found = mig(codes, FACTORS)
    assert found.value == pytest.approx(expected["mig_grid"], **exact)
    assert found.per_factor == pytest.approx(expected["mig_per_factor_grid"], **exact)
    np.testing.assert_allclose(found.matrix, expected["mi_matrix_grid"], rtol=1e-9, atol=1e-9)
    assert modularity(codes, FACTORS).value == pytest.approx(expected["modularity_grid"], **exact)
    assert irs(codes, FACTORS).value == pytest.approx(expected["irs_grid"], **exact)
    assert sap_continuous(codes, FACTORS).value == pytest.approx(expected["sap_continuous_grid"], **exact)
    assert gaussian_total_correlation(codes).value == pytest.approx(
        expected["gaussian_total_correlation_grid"], **exact
    )
    normalised = wasserstein_correlation(codes).others["normalised"]
    assert normalised == pytest.approx(expected["gaussian_wasserstein_correlation_norm_grid"], **exact)


def check_drawn(name: str, seed: int) -> None:
    random = np.random.RandomState(seed)
    (codes, factors), (test_codes, test_factors) = drawn(name, random, 2000), drawn(name, random, 1000)
    parts = (codes, factors, test_codes, test_factors)
    assert mig(codes, factors).value == pytest.approx(drawn_by(name, "mig.discrete_mig", seed), **exact)
    assert sap(*parts).value == pytest.approx(drawn_by(name, "sap.SAP_score", seed), **exact)
    modular, module = modularity(codes, factors).value, "modularity_explicitness"
    assert modular == pytest.approx(drawn_by(name, f"{module}.modularity_score", seed), **exact)
    explicit = explicitness(*parts)
    assert explicit.value == pytest.approx(drawn_by(name, f"{module}.explicitness_score_test", seed), **exact)
    assert explicit.others["train"] == pytest.approx(
        drawn_by(name, f"{module}.explicitness_score_train", seed), **exact
    )
    robust = irs(*drawn(name, np.random.RandomState(seed), 2000, batch=64)).value
    assert robust == pytest.approx(drawn_by(name, "irs.IRS", seed), **exact)


@SOME
def test_scores_of_its_draws_are_those_of_the_published_code(name: str, seed: int) -> None:
    check_drawn(name, seed)


@pytest.mark.exhaustive
@ALL
def test_all_scores_of_its_draws_are_those_of_the_published_code(name: str, seed: int) -> None:
    check_drawn(name, seed)
    check_batches(name, seed)
    check_trees(name, seed, pytest.MonkeyPatch())


def check_batches(name: str, seed: int) -> None:
    votes = factor_vae_score(PublishedDraws(name, seed, pairs=False), 2000, 1000, variance=5000)
    assert votes.value == pytest.approx(drawn_by(name, "factor_vae.eval_accuracy", seed), **exact)
    assert votes.others["train"] == pytest.approx(drawn_by(name, "factor_vae.train_accuracy", seed), **exact)
    assert votes.others["active"] == drawn_by(name, "factor_vae.num_active_dims", seed)
    pairs = beta_vae_score(PublishedDraws(name, seed, pairs=True), 2000, 1000)
    assert pairs.value == pytest.approx(drawn_by(name, "beta_vae.eval_accuracy", seed), **exact)
    assert pairs.others["train"] == pytest.approx(drawn_by(name, "beta_vae.train_accuracy", seed), **exact)


@pytest.mark.parametrize(("name", "seed"), [("rot45_xy", 0), ("two_in_one", 1), ("random10", 2)])
def test_scores_of_its_batches_are_those_of_the_published_code(name: str, seed: int) -> None:
    check_batches(name, seed)


def check_trees(name: str, seed: int, patch: pytest.MonkeyPatch) -> None:
    """The published trees draw from NumPy's own generator, one factor after the other."""
    module, random = importlib.import_module("vae_runner.evaluation.supervised.dci"), np.random.RandomState(seed)
    patch.setattr(module, "state_of", lambda _: None)
    parts = (*drawn(name, random, 2000), *drawn(name, random, 1000))
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    found = dci(*parts, jobs=1)
    np.random.set_state(before)  # noqa: NPY002
    assert found.value == pytest.approx(drawn_by(name, "dci.disentanglement", seed), **boosted)
    others = {"completeness": "completeness", "informativeness": "informativeness_test"}
    for key, named in {**others, "informativeness_train": "informativeness_train"}.items():
        assert found.others[key] == pytest.approx(drawn_by(name, f"dci.{named}", seed), **boosted)


@pytest.mark.slow
def test_the_importance_of_boosted_trees_is_that_of_the_published_code(monkeypatch: pytest.MonkeyPatch) -> None:
    check_trees("rot45_xy", 0, monkeypatch)


@pytest.mark.parametrize("case", RESULTS["udr"]["cases"])
def test_udr_is_that_of_the_published_code(case: str) -> None:
    *names, method = case.split("|")
    parts = [drawn(name, np.random.RandomState(0), 2000, batch=100)[0] for name in names]
    found = [one.value for one in udr(parts, [np.ones(part.shape[1]) for part in parts], method)]
    assert found == pytest.approx(RESULTS["udr"]["cases"][case], **exact)


@pytest.mark.parametrize("case", RESULTS["mig_gaussian_encoder"]["cases"])
def test_the_gap_of_noisy_posteriors_is_that_of_a_quadrature(case: str) -> None:
    name, _, sigma = case.partition("|sigma=")
    expected, codes = RESULTS["mig_gaussian_encoder"]["cases"][case], codes_of(name)
    found = posterior_mig(codes, np.full(codes.shape, float(sigma)), FACTORS)
    near = {"rel": 3e-8, "abs": 3e-8}  # the oracle's own grid; a finer and wider one of ours changes ours by 1e-12
    assert found.value == pytest.approx(expected["mig"], **near)
    assert found.per_factor == pytest.approx(expected["per_factor"], **near)
    np.testing.assert_allclose(found.matrix, expected["mi"], rtol=3e-8, atol=3e-8)


def test_draws_of_our_own_have_the_scores_of_the_published_ones() -> None:
    seeds = range(3)
    votes = [factor_vae_score(Draws(codes_of("rot45_xy"), FACTORS, seed), 2000, 1000).value for seed in seeds]
    pairs = [beta_vae_score(Draws(codes_of("rot45_xy"), FACTORS, seed), 2000, 1000).value for seed in seeds]
    error = 4 * np.sqrt(0.8 * 0.2 / 3000) * np.sqrt(2)  # four standard errors of the difference of two means
    expected = [np.mean([drawn_by("rot45_xy", score, seed) for seed in seeds]) for score in BATCHES]
    assert np.mean(votes) == pytest.approx(expected[0], abs=error)
    assert np.mean(pairs) == pytest.approx(expected[1], abs=error)


BATCHES = ("factor_vae.eval_accuracy", "beta_vae.eval_accuracy")


def test_a_batch_has_one_class_of_its_factor_and_all_of_the_others() -> None:
    draws = Draws(FACTORS, FACTORS, 0)
    for place in range(5):
        batch = draws.fixed(np.full(40, place), 64)
        assert (batch[:, :, place] == batch[:, :1, place]).all()
        assert (np.ptp(np.delete(batch, place, 2), axis=1) > 0).all()
        one, other = draws.pairs(np.full(40, place), 64)
        assert (one[:, :, place] == other[:, :, place]).all()
        assert (one != other).any((0, 1)).sum() == 4


def test_batches_hold_no_other_images_than_those_of_the_table() -> None:
    some = np.random.default_rng(0).choice(len(FACTORS), 300, replace=False)
    rows = FACTORS[some]
    batch = Draws(rows, rows, 0).fixed(np.arange(5), 64).reshape(-1, 5)
    assert {tuple(row) for row in batch.astype(int)} <= {tuple(row) for row in rows}


def test_variants_of_the_gap_follow_from_its_matrix() -> None:
    codes = CODES["rep_two_in_one"]
    matrix = np.array(mig(codes, FACTORS).matrix)
    ordered = np.sort(matrix, 0)
    assert rmig(codes, FACTORS).value == pytest.approx((ordered[-1] - ordered[-2]).mean(), **exact)
    shares = np.sort(matrix / np.log([3, 6, 10, 8, 8]), 1)
    found = mig_sup(codes, FACTORS)
    assert found.per_latent == pytest.approx(shares[:, -1] - shares[:, -2], **exact)
    assert found.per_latent[0] == pytest.approx(0, abs=1e-9)  # one latent for two factors is none for either


@pytest.mark.slow
def test_the_fast_kinds_of_dci_find_what_is_plain_and_have_names_of_their_own() -> None:
    plain, mixed = [np.random.default_rng(0).choice(len(FACTORS), 1500) for _ in range(2)]
    for score in (dci_forest, dci_linear):
        order = [score(codes_of(name)[plain], FACTORS[plain], codes_of(name)[mixed], FACTORS[mixed], jobs=1) for name in
                 ("perfect5", "rot45_xy", "random10")]  # fmt: skip
        assert order[0].value > order[1].value > order[2].value + 0.3
        assert order[0].others["informativeness"] > 0.98


def test_infomec_is_one_where_each_factor_has_a_latent_and_nought_where_none_has() -> None:
    plain = infomec(FACTORS, FACTORS, is_discrete=True)
    assert [plain.value, plain.others["infoc"]] == pytest.approx([1, 1], **exact)
    assert plain.others["infoe"] == pytest.approx(1, abs=0.01)  # a regression without a penalty never ends
    some = np.random.default_rng(0).choice(len(FACTORS), 2000)
    assert infomec(codes_of("perfect5")[some], FACTORS[some]).value == pytest.approx(1, abs=0.02)
    noise = infomec(codes_of("random10")[some], FACTORS[some])
    assert noise.others["infoe"] < 0.02
    mixed = infomec(codes_of("rot45_xy")[some], FACTORS[some])
    assert mixed.value == pytest.approx((3 + 2 * (0.5 - 0.2) / 0.8) / 5, abs=0.02)  # two of five latents know two


def test_latents_that_copy_each_other_share_all_they_know() -> None:
    codes = codes_of("perfect5")
    copied = np.concatenate([codes[:, :1], codes[:, :1], codes[:, 1:2]], 1)
    assert shared_information(codes).value == pytest.approx(0, abs=1e-9)
    assert shared_information(copied).value == pytest.approx(np.log(3) / 3, **exact)  # one pair of three
    assert gaussian_total_correlation(copied).value == np.inf
