"""Fits by scikit-learn: with one thread, whatever the machine has, and a word where one did not come to its end."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

from vae_runner.evaluation.learners import fitted


class Recording:
    """A model that notes with how many threads it is fitted."""

    def __init__(self, *words: Warning) -> None:
        self.words, self.threads = words, list[int]()

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        self.threads = [pool["num_threads"] for pool in threadpool_info()]
        for word in self.words:
            warnings.warn(word, stacklevel=1)


def test_a_model_is_fitted_by_one_thread_and_others_have_theirs_back() -> None:
    with threadpool_limits(2):
        model, is_done = fitted(Recording(), np.zeros((2, 1)), np.zeros(2))
        assert is_done
        assert set(model.threads) == {1}
        assert 2 in {pool["num_threads"] for pool in threadpool_info()}


def test_a_fit_without_an_end_is_told_and_no_other_warning_is_lost() -> None:
    with pytest.warns(UserWarning, match="of another kind"):
        _, is_done = fitted(
            Recording(ConvergenceWarning("x"), UserWarning("of another kind")), np.zeros((2, 1)), np.zeros(2)
        )
    assert not is_done
