"""Python's search for garbage in cycles, put off while a program starts.

A start makes half a million objects that stay, torch's for the most part, and next to no garbage: to go through them
again and again takes a sixth of its time.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator

__all__ = ["garbage_search_put_off"]


@contextlib.contextmanager
def garbage_search_put_off() -> Iterator[Callable[[], None]]:
    """Inside, there is no search until what is yielded is called; from then on, what was there before is left out of
    it. Afterwards everything is as it was.
    """
    was_enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()

    def wake() -> None:
        gc.freeze()
        if was_enabled:
            gc.enable()

    try:
        yield wake
    finally:
        if not frozen:
            gc.unfreeze()
        if was_enabled:
            gc.enable()
