"""Latent frames that a run has turned and latents that it has opened, as its log records them: where curves are marked,
and what is said of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vae_runner.foreign import number, whole
from vae_runner.runs.words import and_more, count
from vae_runner.text import plain

__all__ = ["TURN", "TurnMark", "turn_marks"]

TURN = "turn"  # the `split` of such a record
LATENTS, OPENED = "latents", "opened"


@dataclass(frozen=True)
class TurnMark:
    """Behind which step something was turned or opened, and in words what.

    Example:
        >>> record = {"step": 250, "split": "turn", "latents": [1, 4], "degrees": [12.3, 46.9]}
        >>> next(turn_marks([record])).words
        'step 250: latents 1, 4 turned by up to 47 degrees'
    """

    step: int
    words: str


def turn_marks(records: Iterable[Mapping[str, Any]]) -> Iterator[TurnMark]:
    """The turns and openings among a log's records, in their order; turns at which nothing was turned are none."""
    for record in records:
        step = whole(record.get("step"))
        if record.get("split") == TURN and step is not None and (told := list(_told(record))):
            yield TurnMark(step, f"step {count(step)}: {'; '.join(told)}")


def _told(record: Mapping[str, Any]) -> Iterator[str]:
    """Of each space, 'latents 1, 4 turned by up to 47 degrees', or 'latents 3, 4 opened'."""
    for key, value in record.items():
        space, _, name = key.rpartition("/")
        if name not in (LATENTS, OPENED) or not isinstance(value, list):
            continue
        latents = [str(found) for one in value if (found := whole(one)) is not None]
        degrees = record.get(f"{space}/degrees" if space else "degrees")
        numbers = map(number, degrees if isinstance(degrees, list) else [])
        angles = [angle for angle in numbers if angle is not None]
        by = f" by up to {max(angles):.0f} degrees" if angles else ""
        where = f"{plain(space)}: " if space else ""
        if latents:
            noun = "latent" if len(latents) == 1 else "latents"
            yield f"{where}{noun} {and_more(latents)} {f'turned{by}' if name == LATENTS else 'opened'}"
