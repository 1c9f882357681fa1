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
