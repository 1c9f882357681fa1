"""Data sets that several jobs of a sweep read: built by the first of them, and kept for those behind it.

Inside `keeping_sets` a set that nothing of a job changes is given again where the same settings ask for it. Processes
that are forked inside share the memory of what is kept, whatever it takes: each maps the same pages.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vae_runner.datasets.base import ImageData

__all__ = ["keeping_sets", "kept_or_built"]


class _Kept:
    """The sets that were asked for last, at most so many, by their settings."""

    def __init__(self) -> None:
        self.most = 0
        self.sets: list[tuple[Mapping[str, Any], ImageData]] = []

    def forget(self, most: int) -> None:
        del self.sets[: max(len(self.sets) - most, 0)]


_kept = _Kept()


@contextlib.contextmanager
def keeping_sets(most: int) -> Iterator[None]:
    """Inside, keep at most so many sets, those that were asked for last; where that is done already, go on with it."""
    before = _kept.most
    _kept.most = max(most, before)
    try:
        yield
    finally:
        _kept.most = before
        _kept.forget(before)


def kept_or_built(settings: Mapping[str, Any], build: Callable[[], ImageData]) -> ImageData:
    """The set of those settings: one that is kept, or else what `build` returns."""
    for place, (known, data) in enumerate(_kept.sets):
        if known == settings:
            _kept.sets.append(_kept.sets.pop(place))
            return data
    _kept.forget(_kept.most - 1)  # before the next one takes its memory
    data = build()
    if _kept.most > 0 and getattr(data, "stays_as_it_is", False):
        _kept.sets.append((dict(settings), data))
    return data
