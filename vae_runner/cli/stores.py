"""`vae-data stores`: what the prepared stores take, and their removal."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from vae_runner.datasets.store.inventory import PreparedStore, list_stores, remove_store
from vae_runner.errors import UserError
from vae_runner.output import to_stdout
from vae_runner.paths import cache_dir

__all__ = ["stores"]

_WAYS = "--remove KEY, --older-than DAYS or --all"


def stores(arguments: Sequence[str]) -> int:
    """List the stores, or remove those that are named; returns the exit code: 1 where one of them is in use."""
    way, value, folder = _read(arguments)
    cache = cache_dir(folder)
    found = list_stores(cache)
    if way is None:
        for line in _table(found, cache):
            to_stdout(line)
        return 0
    chosen = _chosen(found, way, value, cache)
    removed = [stored for stored in chosen if remove_store(stored)]
    for stored in chosen:
        to_stdout(f"{'removed' if stored in removed else 'in use, kept'}  {stored.key}  {stored.size / 1e6:,.1f} MB")
    to_stdout(
        f"{len(removed):,} of {len(found):,} stores removed, {sum(s.size for s in removed) / 1e6:,.1f} MB, in {cache}"
    )
    return 0 if len(removed) == len(chosen) else 1


def _read(arguments: Sequence[str]) -> tuple[str | None, str, Path | None]:
    """The way to choose, its value, and the cache folder. Raises `UserError` where they make no sense."""
    way, value, folder, rest = None, "", None, list(arguments)
    while rest:
        name, equals, given = rest.pop(0).partition("=")
        if name == "dataset.cache_dir" and given:
            folder = Path(given)
        elif name not in ("--remove", "--older-than", "--all") or (name == "--all" and equals):
            raise UserError(f"vae-data stores takes {_WAYS}, and dataset.cache_dir=DIR; got {name}{equals}{given}")
        elif way is not None:
            raise UserError(f"{way} and {name}: give one of {_WAYS}")
        else:
            way = name
            if name != "--all":
                value = given if equals else rest.pop(0) if rest else ""
    return way, value, folder


def _chosen(found: list[PreparedStore], way: str, value: str, cache: Path) -> list[PreparedStore]:
    """The stores that the way names."""
    if way == "--older-than":
        days = _days(value)
        return [stored for stored in found if stored.idle_days >= days]
    if way == "--remove":
        chosen = [stored for stored in found if value and stored.key.startswith(value)]
        if len(chosen) != 1:
            number = "no store" if not chosen else f"{len(chosen)} stores"
            raise UserError(f"--remove {value}: {number} in {cache} with that key; vae-data stores lists them")
        return chosen
    return found


def _days(value: str) -> float:
    try:
        days = float(value)
    except ValueError:
        days = math.nan
    if not days >= 0:  # nan too
        raise UserError(f"--older-than takes a number of days, got {value!r}")
    return days


def _table(found: list[PreparedStore], cache: Path) -> Iterator[str]:
    rows = [
        (
            stored.key[:12],
            f"{stored.size / 1e6:,.1f} MB",
            "unfinished" if stored.images is None else f"{stored.images:,}",
            f"{stored.idle_days:,.0f} days ago" if stored.idle_days >= 1 else "today",
            stored.source or "?",
        )
        for stored in found
    ]
    if not rows:
        yield f"no prepared images in {cache}"
        return
    rows.insert(0, ("key", "size", "images", "last used", "source"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
    total = sum(stored.size for stored in found)
    yield f"{len(rows) - 1:,} stores, {total / 1e6:,.1f} MB in {cache}; to remove some: vae-data stores {_WAYS}"
