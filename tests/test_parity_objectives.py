"""Objectives follow a loop of plain torch written from the papers: benchmarks/parity.py has the table."""

import pytest
from parity import both_curves, largest_difference
from samples import sampled


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective", sampled(["beta_tc", "factor", "dip_ii", "wae", "control"], "beta_tc", "factor", "control")
)
def test_a_step_from_the_same_weights_has_the_figures_of_an_independent_loop(objective: str) -> None:
    ours, theirs = both_curves(objective, seed=0, steps=40, follows=True)
    for name in ("recon", "kl", "loss"):
        assert largest_difference(ours[name], theirs[name]) < 1e-5, name
    assert ours["kl"][-1] > 2  # it has learned something


@pytest.mark.exhaustive
@pytest.mark.parametrize("objective", ["factor", "dip_ii", "wae", "control"])
def test_whole_curves_are_those_of_an_independent_loop(objective: str) -> None:
    ours, theirs = both_curves(objective, seed=1, steps=60)
    for name in ("recon", "kl", "loss"):
        assert largest_difference(ours[name], theirs[name]) < 1e-4, name
