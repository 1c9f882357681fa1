"""The fast step's curves are the plain step's, within what seeds differ by; benchmarks/parity.py has the table."""

import pytest
import torch
from parity import FAST, PLAIN, apart, curve, spread

AT = [300]
SEEDS = (0, 1, 2)


@pytest.mark.exhaustive
def test_the_means_over_seeds_are_no_farther_apart_than_the_seeds() -> None:
    threads = torch.get_num_threads()
    plain, fast = ([curve(settings, seed, AT) for seed in SEEDS] for settings in (PLAIN, FAST))
    for part in (0, 1):
        assert apart(plain, fast, AT[0], part) <= max(spread(plain, AT[0], part), spread(fast, AT[0], part))
    assert torch.get_num_threads() == threads
