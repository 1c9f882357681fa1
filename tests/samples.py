"""Samples of long sets, so that the suite stays short; the whole of a set runs with `-m exhaustive`."""

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["every", "sampled"]


def sampled(values: Iterable[Any], *kept: Any) -> list[Any]:
    """The values of a parameter; those that are not `kept` are exhaustive."""
    found = list(values)
    assert set(kept) <= set(found), f"{set(kept) - set(found)} are none of the values"
    return [value if value in kept else pytest.param(value, marks=pytest.mark.exhaustive) for value in found]


def every(number: int, values: Iterable[Any]) -> list[Any]:
    """The values of a parameter, or tuples of several; but for the first of each `number`, they are exhaustive."""
    return [
        value
        if place % number == 0
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.exhaustive)
        for place, value in enumerate(values)
    ]
