"""Rows of a large file, read many at a time, for threads that ask for them one by one, about in order."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from numpy.typing import NDArray

__all__ = ["Pieces"]

_KEPT = 2  # pieces, for threads that are not in step


class Pieces:
    """The rows of `read(start, stop)`, which is called for `step` of them, from a multiple of it on.

    Example:
        >>> import numpy as np
        >>> read = []
        >>> pieces = Pieces(lambda start, stop: read.append(start) or np.arange(start, stop), step=4)
        >>> [int(pieces.at(place)) for place in (1, 2, 5, 3)], read
        ([1, 2, 5, 3], [0, 4])
    """

    def __init__(self, read: Callable[[int, int], NDArray], step: int) -> None:
        self.read, self.step = read, step
        self._lock, self._kept = threading.Lock(), OrderedDict[int, NDArray]()

    def at(self, position: int) -> NDArray:
        """Returns one row. Many threads may ask at once."""
        start = position - position % self.step
        with self._lock:
            if start not in self._kept:
                self._kept[start] = self.read(start, start + self.step)
            self._kept.move_to_end(start)
            piece = self._kept[start]
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return piece[position - start]

    def forget(self) -> None:
        """Let go of what was read."""
        self._kept.clear()
