"""Means over steps: against NumPy's, and what is saved of them stays what it was."""

import numpy as np
import pytest
import torch

from vae_runner.evaluation import Means


def added(means: Means, values: np.ndarray, weights: np.ndarray) -> Means:
    for row, weight in zip(torch.from_numpy(values).float(), weights.tolist(), strict=True):
        means.add({"one": row[0], "many": row}, weight)
    return means


@pytest.mark.parametrize("weights", [np.ones(9), np.array([64.0, 1, 64, 7, 1, 2, 64, 64, 3])], ids=["equal", "sizes"])
def test_means_are_weighted_and_in_double_precision(weights: np.ndarray) -> None:
    values = np.random.default_rng(0).normal(1e4, 1, (9, 3)).astype(np.float32)
    read = added(Means(), values, weights).read()
    expected = np.average(values.astype(np.float64), axis=0, weights=weights)
    assert read["many"] == pytest.approx(expected.tolist(), rel=1e-14)
    assert read["one"] == pytest.approx(expected[0], rel=1e-14)


def test_what_is_saved_neither_follows_nor_is_followed() -> None:
    values = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)
    first, again = added(Means(), values[:4], np.ones(4)), Means()
    saved = first.state_dict()
    again.load_state_dict(saved)
    for means in (first, again):  # each goes on for itself, from the same place
        added(means, values[4:], np.ones(4))
        assert means.read()["many"] == pytest.approx(values.astype(np.float64).mean(0).tolist(), rel=1e-14)
    third = Means()
    third.load_state_dict(saved)
    assert third.read()["many"] == pytest.approx(values[:4].astype(np.float64).mean(0).tolist(), rel=1e-14)


def test_what_is_loaded_follows_the_metrics_to_their_device() -> None:
    saved = added(Means(), np.ones((4, 2), dtype=np.float32), np.ones(4)).state_dict()
    means = Means()
    means.load_state_dict(saved)  # a checkpoint is read to the CPU, whatever the run is on
    means.add({"one": torch.zeros((), device="meta"), "many": torch.zeros(2, device="meta")})
    assert {total.device.type for total in means.state_dict()["sums"].values()} == {"meta"}


def test_a_step_that_was_left_out_has_no_weight() -> None:
    means = Means()
    means.add({"loss": torch.tensor(3.0)})
    means.add({})
    assert means.read() == {"loss": 3.0}
    means.clear()
    assert means.read() == {}
