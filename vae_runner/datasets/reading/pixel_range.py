"""Pixels are numbers in [0, 1]: what to do with those that are not, in words."""

__all__ = ["SLACK", "remedy"]

SLACK = 1e-3  # beyond [0, 1], by rounding: a quarter of one of 256 levels


def remedy(low: float, high: float) -> str:
    """Returns what brings values that go from `low` to `high` into [0, 1]."""
    if low >= -0.1 and high <= 1.1:
        return "they overshoot, as a bicubic resize does: clamp(0, 1)"
    if low >= -1 - SLACK and high <= 1 + SLACK:
        return "x / 2 + 0.5 takes [-1, 1] there; leave Normalize((0.5,), (0.5,)) out"
    if low < 0:
        return "they look standardised: leave Normalize out"
    largest = next((most for most in (255, 4095, 65535) if high <= most), None)
    return f"divide them by {largest}" if largest else "divide them by the largest value that there can be"
