"""The values that a setting has: one, or, in a sweep, several."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from hydra.core.override_parser.types import Override, ValueType

__all__ = ["JOBS", "count", "first_values", "texts", "values"]

JOBS = 10_000  # of a sweep


def values(override: Override) -> Iterator[Any]:
    """What Hydra has read."""
    return override.sweep_iterator() if override.is_discrete_sweep() else iter([override.value()])


def count(override: Override) -> int:
    """How many values there are, as far as JOBS + 1; an interval, from which sweepers draw, counts as one."""
    if override.value_type == ValueType.INTERVAL_SWEEP:
        return 1
    return sum(1 for _ in itertools.islice(values(override), JOBS + 1))


def texts(override: Override, in_sweep: bool = False) -> Iterator[str]:
    """The setting as an argument, once for each of the values that a sweep would give it, of an interval for both of
    its ends; `in_sweep` as the sweeper of all combinations writes it.
    """
    key = override.get_key_element()
    if override.is_discrete_sweep():
        return (f"{key}={value}" for value in override.sweep_string_iterator())
    if override.value_type == ValueType.INTERVAL_SWEEP:
        interval: Any = override.value()
        return iter([f"{key}={interval.start}", f"{key}={interval.end}"])
    return iter([f"{key}={override.get_value_element_as_str()}" if in_sweep else override.input_line])


def first_values(overrides: Iterable[Override]) -> list[str]:
    """The settings as arguments, with the first of the values of each."""
    return [next(texts(override)) for override in overrides]
