"""The scores in a run's evaluation.json, as far as they are what vae-evaluate writes: all else is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vae_runner.foreign import dig, number, whole
from vae_runner.runs.words import count, duration, plural
from vae_runner.text import plain

__all__ = ["ScoreRecord", "score_records"]

NAME = 80  # characters of a name
MOST = 1000  # entries of a list, scores, notes


@dataclass(frozen=True)
class ScoreRecord:
    """A score and its parts, None where one was left out; `part` is that of the data."""

    name: str
    value: float
    part: str
    per_factor: Mapping[str, float | None] = field(default_factory=dict)
    per_latent: Sequence[float | None] = ()
    matrix: Sequence[Sequence[float | None]] = ()
    factors: Sequence[str] = ()
    others: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    how: Sequence[str] = ()

    def columns(self, width: int) -> list[str]:
        """The names of so many factors."""
        known = list(self.factors) or list(self.per_factor)
        return known if len(known) == width else [f"factor {place}" for place in range(width)]


def score_records(content: Mapping[str, Any]) -> list[ScoreRecord]:
    """Returns the scores of an evaluation.json, in its order."""
    found = (_record(plain(name, NAME), one) for name, one in list(content.items())[:MOST])
    return [record for record in found if record is not None]


def _record(name: str, content: Any) -> ScoreRecord | None:
    value, part = number(dig(content, "value")), dig(content, "part")
    if value is None or not isinstance(part, str):
        return None
    per_factor, others = dig(content, "per_factor"), dig(content, "others")
    return ScoreRecord(
        name,
        value,
        plain(part, NAME),
        {plain(key, NAME): number(one) for key, one in _items(per_factor)},
        _row(content.get("per_latent")),
        _matrix(content.get("matrix")),
        [plain(one, NAME) for one in _list(content.get("factors"))],
        {plain(key, NAME): known for key, one in _items(others) if (known := number(one)) is not None},
        [plain(one) for one in _list(content.get("notes"))],
        _how(content),
    )


def _items(content: Any) -> list[tuple[str, Any]]:
    return list(content.items())[:MOST] if isinstance(content, Mapping) else []


def _list(content: Any) -> list[Any]:
    return content[:MOST] if isinstance(content, list) else []


def _row(content: Any) -> list[float | None]:
    return [number(one) for one in _list(content)]


def _matrix(content: Any) -> list[list[float | None]]:
    """Its rows, where all are of one length."""
    rows = [_row(row) for row in _list(content)]
    return rows if rows and rows[0] and len({len(row) for row in rows}) == 1 else []


def _how(content: Mapping[str, Any]) -> list[str]:
    """'validation', '2,000 images', 'best checkpoint, step 4,000', 'codes=mean samples=10,000', 'seed=0', '6.1 s'."""
    images, step, seconds = whole(content.get("images")), whole(content.get("step")), number(content.get("seconds"))
    settings = [f"{plain(key, NAME)}={_shown(one)}" for key, one in _items(content.get("settings"))]
    parts = [
        plain(content["part"], NAME),
        plural(images, "image") if images is not None else "",
        f"{plain(content.get('checkpoint') or 'a', NAME)} checkpoint, step {count(step)}" if step is not None else "",
        " ".join(settings),
        f"seed={_shown(content.get('seed'))}",
        duration(seconds) if seconds is not None and 0 <= seconds < 1e9 else "",
    ]
    return [part for part in parts if part]


def _shown(value: Any) -> str:
    return count(value) if whole(value) is not None else plain(value, NAME)
