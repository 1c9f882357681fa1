"""How a process becomes one of several: it meets the others where torchrun says, and leaves them in the end."""

import contextlib
from collections.abc import Iterator

from vae_runner.ranks.group import ALONE, Ranks, being
from vae_runner.ranks.several import Several
from vae_runner.ranks.torchrun import Place

__all__ = ["joined"]


@contextlib.contextmanager
def joined(place: Place | None) -> Iterator[Ranks]:
    """Inside, this process is one of the group that it has a place in, if any, and has met the others."""
    if place is None:
        yield ALONE
        return
    several = Several(place)
    try:
        with being(several):
            yield several
    finally:
        several.leave()
