"""The steps that a page compares: which of those whose weights were kept, and what the page knows of each.

While a run goes on, weights of many steps are kept, and some are given up again (`thinned`), so that those that are
left stay apart. A page takes as many as it has bytes for, as evenly as they come, its own step among them.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_runner.auto_encoder import VAE
from vae_runner.errors import UserError
from vae_runner.visualisation.exploring.page_content import Shown, content, decoder_of
from vae_runner.visualisation.picture import Past

__all__ = ["compared", "evenly", "thinned"]

log = logging.getLogger(__name__)

OWN = ("program", "spaces", "latents", "mixture", "draws")  # what each step has of its own, besides codes of images
MARGIN = 1.05  # of a step's bytes, by which steps differ


def thinned(steps: Sequence[int], most: int) -> list[int]:
    """Returns steps, ascending, without those that are closest to their neighbours; the first and the last stay.

    Example:
        >>> thinned([100, 1000, 2000, 3000, 4000], most=4)
        [100, 2000, 3000, 4000]
    """
    left = list(steps)
    while len(left) > max(most, 2):
        apart = [after - before for before, after in zip(left, left[2:], strict=False)]
        del left[1 + apart.index(min(apart))]
    return left


def evenly(steps: Sequence[int], count: int, own: int) -> list[int]:
    """Returns so many of the steps, ascending, as evenly apart as they come; `own` is one of them.

    Example:
        >>> evenly([100, 1000, 2000, 3000, 4000, 5000], count=3, own=5000)
        [100, 3000, 5000]
    """
    if count >= len(steps):
        return list(steps)
    rest, chosen = list(steps), []
    for wanted in np.linspace(steps[0], steps[-1], count):
        chosen.append(min(rest, key=lambda step: abs(step - wanted)))
        rest.remove(chosen[-1])
    if own not in chosen:
        chosen.remove(min(chosen, key=lambda step: abs(step - own)))
    return sorted({*chosen, own})


def compared(
    model: VAE, known: Mapping[str, Any], step: int, past: Sequence[Past], shown: Shown, room: float
) -> tuple[list[dict[str, Any]], float]:
    """Returns what a page that knows all of `step` has of the others, ascending, of as many as take at most `room`
    bytes together; and the bytes that all would take. One whose weights cannot be read is told in a line.
    """
    by_step = {one.step: one for one in past}
    size = MARGIN * _size(_of_step(step, known))
    steps = evenly(sorted({*by_step, step}), 1 + int(max(room, 0) / size), step)
    found: list[dict[str, Any]] = []
    for one in (by_step[each] for each in steps if each != step):
        try:
            with one.put_in(model):
                found.append(_of_step(one.step, content(model, decoder_of(model), shown)))
        except UserError as error:
            log.warning("the page does not compare step %s: %s", f"{one.step:,}", error)
    while sum(map(_size, found)) > max(room, 0):
        del found[0]
    return found, size * len(past)


def _of_step(step: int, known: Mapping[str, Any]) -> dict[str, Any]:
    codes = {"start": known["start"]["codes"], "map": known["map"]["codes"], "count": known["map"]["count"]}
    return {"step": step, **{name: known[name] for name in OWN}, "codes": codes}


def _size(known: Any) -> int:
    return len(json.dumps(known, separators=(",", ":")))
