"""Values computed elsewhere, to 60 digits, and rounded to float64 (oracles.json)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

FORMULAS = json.loads((Path(__file__).parent / "oracles.json").read_text())["formulas"]
TOLERANCES = {torch.float64: (1e-9, 1e-8), torch.float32: (1e-4, 1e-3)}  # of values, of gradients


def cases(name: str) -> pytest.MarkDecorator:
    """Parametrise a test by the oracle's cases, in both precisions."""
    both = [(case, dtype) for dtype in TOLERANCES for case in FORMULAS[name]["cases"]]
    return pytest.mark.parametrize(("case", "dtype"), both)


def all_cases(*names: str) -> pytest.MarkDecorator:
    """Parametrise a test by the cases of several formulas, in both precisions."""
    every = [(name, case, dtype) for name in names for dtype in TOLERANCES for case in FORMULAS[name]["cases"]]
    return pytest.mark.parametrize(("name", "case", "dtype"), every)


def compare(function: Callable[..., Tensor], name: str, case: dict, dtype: torch.dtype) -> None:
    """Check value and gradients of function(*parameters)."""
    arguments = {
        key: torch.tensor(case["params"][key], dtype=dtype, requires_grad=True) for key in FORMULAS[name]["args"]
    }
    value = function(*arguments.values())
    of_value, of_gradient = TOLERANCES[dtype]
    assert value.dtype == dtype
    assert value.item() == pytest.approx(float(case["value"]), rel=of_value, abs=of_value)
    value.backward()
    for key, expected in case.get("grad", {}).items():
        gradient = 0.0 if arguments[key].grad is None else arguments[key].grad.item()
        assert gradient == pytest.approx(expected, rel=of_gradient, abs=of_gradient), key


OBJECTIVES = json.loads((Path(__file__).parent / "objectives.json").read_text())
CLOSENESS = {torch.float64: 1e-9, torch.float32: 1e-5}  # of values, relative


def objective_cases(name: str) -> pytest.MarkDecorator:
    """Parametrise a test by the cases of an objective, in both precisions."""
    both = [(case, dtype) for dtype in CLOSENESS for case in OBJECTIVES[name]["cases"]]
    ids = [f"{number % (len(both) // 2)}-{dtype}" for number, (_, dtype) in enumerate(both)]
    return pytest.mark.parametrize(("case", "dtype"), both, ids=ids)


def close(value: Tensor, expected: float | list, size: float = 1.0) -> None:
    """Check a value against the oracle; of a difference of numbers of some `size`, relative to these."""
    wanted = torch.tensor(expected, dtype=torch.float64)
    closeness = CLOSENESS[value.dtype]
    torch.testing.assert_close(value.detach().double(), wanted, rtol=closeness, atol=closeness * size)
