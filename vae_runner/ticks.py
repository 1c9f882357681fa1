"""Where an axis is labelled, and with what: for charts on a page and in pictures alike."""

import math
from collections.abc import Sequence

__all__ = ["log_ticks", "tick_labels", "ticks"]

_ROUNDING = 1e-9  # of the distance between two ticks: so far outside the range one still belongs to it


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values inside the range, about `most`: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next((power * factor for factor in (1, 2, 5) if power * factor * most >= high - low), 10 * power)
    first, last = math.ceil(low / step - _ROUNDING), math.floor(high / step + _ROUNDING)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Powers of ten, every second or third one where there are many, with their 2 and 5 times where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    every = math.ceil((last - first) / (most + 2))
    found = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    return [value for value in found if low <= value <= high]


def tick_labels(values: Sequence[float]) -> list[str]:
    """To six digits, or whole; all of them with a power of ten where the largest is very small or large."""
    largest = max(map(abs, values), default=0)
    if 1e-3 <= largest < 1e7:
        return [f"{value:,.{6 if largest < 1e6 else 7}g}" for value in values]
    return [f"{value:.3g}" for value in values]
