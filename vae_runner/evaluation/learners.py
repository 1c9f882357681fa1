"""scikit-learn, which makes the trees, SVMs, regressions and mutual informations of scores: extra `evaluate`.

It is imported where a score needs it, so that all else runs without.
"""

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vae_runner.errors import UserError
from vae_runner.evaluation.score import Array

__all__ = ["each_in_parallel", "fitted", "learner"]


def learner(module: str) -> Any:
    """Returns a module of scikit-learn, 'ensemble' say. Raises `UserError` where it is not installed."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise UserError("this score needs scikit-learn: pip install 'vae_runner[evaluate]'") from error


def fitted(model: Any, inputs: Array, targets: Array) -> tuple[Any, bool]:
    """Returns the model, fitted, and whether it came to an end within its iterations, which are the published ones.

    One thread fits it: its products are so small that several wait for each other, for seconds where others are at work
    on the machine; and their number would change the last digits.
    """
    convergence = learner("exceptions").ConvergenceWarning
    threads = importlib.import_module("threadpoolctl").threadpool_limits  # scikit-learn brings it
    with warnings.catch_warnings(record=True) as caught, threads(1):
        warnings.simplefilter("always")
        model.fit(inputs, targets)
    stopped = [one for one in caught if issubclass(one.category, convergence)]
    for one in caught:
        if one not in stopped:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return model, not stopped


def each_in_parallel(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], jobs: int | None = None
) -> Iterator[Any]:
    """Yields what the function makes of each tuple of arguments, in their order, in so many processes; None: as many as
    there are cores.
    """
    learner("ensemble")  # which brings joblib
    joblib = importlib.import_module("joblib")
    workers = min(jobs or joblib.cpu_count(), len(arguments))
    if workers <= 1:
        yield from (function(*each) for each in arguments)
    else:
        work = (joblib.delayed(function)(*each) for each in arguments)
        yield from joblib.Parallel(n_jobs=workers, return_as="generator")(work)
