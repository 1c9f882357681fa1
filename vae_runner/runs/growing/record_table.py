"""Records, as a log has them, kept as columns: a fifth of the memory that dicts take, and a figure's way read at once.

Nearly all records of a log have the same names in the same order. Those that do are a table with a column for each
name; of each record it is noted which table, and which row of it, it is. A `Table` only grows, so that `Records`, the
first so many of them, stay what they were.
"""

import itertools
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, overload

from vae_runner.foreign import HUGE, number

__all__ = ["Records", "Table", "names", "points"]

Values = array | list  # of floats, of whole numbers, or of anything
WHOLE = 1 << 63


class Table:
    """Records in the order in which they are added.

    Example:
        >>> table = Table()
        >>> for step in range(3):
        ...     table.add({"step": step, "loss": 1.5 * step})
        >>> records = table.records()
        >>> records[1], records.points("loss")
        ({'step': 1, 'loss': 1.5}, [(0, 0.0), (1, 1.5), (2, 3.0)])
    """

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, ...], Kind] = {}
        self.known: list[Kind] = []
        self.kind, self.row = array("q"), array("q")  # of each record

    def __len__(self) -> int:
        return len(self.row)

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a record, which has a `step`."""
        names = tuple(record)
        kind = self.kinds.get(names)
        if kind is None:
            kind = self.kinds[names] = Kind(len(self.known), names)
            self.known.append(kind)
        kind.add(len(self.row), record)
        self.kind.append(kind.number)
        self.row.append(len(kind.place) - 1)

    def records(self) -> "Records":
        """Returns those that there are now."""
        return Records(self, len(self.row))


class Kind:
    """Records of the same names: a column for each, and the place of each record among all."""

    def __init__(self, number: int, names: tuple[str, ...]) -> None:
        self.number, self.names = number, names
        self.columns: dict[str, Values] = {name: array("d") for name in names}
        self.place = array("q")
        self._wrong: list[int] = []  # rows, of those that have been looked at
        self._seen = 0

    def add(self, place: int, record: Mapping[str, Any]) -> None:
        for name, value in record.items():
            column = self.columns[name]
            if type(value) is list and value and all(type(one) is float for one in value):
                value = array("d", value)
            code = _code(value)
            if isinstance(column, array) and column.typecode != code:
                column = self.columns[name] = array(code) if code and not self.place else list(column)
            column.append(value)
        self.place.append(place)

    def pairs(self, first: str, second: str, count: int) -> Iterator[tuple[Any, Any]]:
        return zip(self.columns[first][:count], self.columns[second][:count], strict=True)

    def wrong_until(self, count: int) -> list[int]:
        """The rows, of so many, with figures that are not finite; each is looked at once."""
        found = set[int]()
        for column in self.columns.values():
            values = column[self._seen : count]
            if not _are_finite(values):
                found.update(self._seen + row for row, value in enumerate(values) if not _is_finite(value))
        if count > self._seen:
            self._wrong, self._seen = [*self._wrong, *sorted(found)], count
        return [row for row in self._wrong if row < count]

    def get(self, row: int) -> dict[str, Any]:
        return {name: _plain(self.columns[name][row]) for name in self.names}


class Records(Sequence[dict[str, Any]]):
    """The first so many records of a table; each is made when it is asked for."""

    def __init__(self, table: Table, count: int) -> None:
        self._table, self._count = table, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        places = range(self._count)[index]
        return [self._get(place) for place in places] if isinstance(places, range) else self._get(places)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._get, range(self._count))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(_is_equal, self, other))

    __hash__ = None  # type: ignore[assignment]

    def points(self, name: str) -> list[tuple[int, float]]:
        """Returns (step, value) of the records that have a number of that name, as `foreign.number` takes it."""
        parts = [(kind, count) for kind, count in self._kinds() if name in kind.columns]
        parts.sort(key=lambda part: part[0].place[0])
        if any(one.place[count - 1] > other.place[0] for (one, count), (other, _) in itertools.pairwise(parts)):
            return _numbered((record["step"], record[name]) for record in self if name in record)
        return [point for kind, count in parts for point in _numbered(kind.pairs("step", name, count))]

    def wrong(self) -> list[dict[str, Any]]:
        """Returns the records with figures that are not finite."""
        places = {kind.place[row] for kind, count in self._kinds() for row in kind.wrong_until(count)}
        return [self._get(place) for place in sorted(places)]

    def kinds(self) -> list[tuple[str, ...]]:
        """Returns the names that records have together, in the order in which such records come."""
        return [kind.names for kind, _ in self._kinds()]

    def _kinds(self) -> Iterator[tuple["Kind", int]]:
        """Each kind, and how many of its records are among these."""
        for kind in list(self._table.known):
            if count := bisect_left(kind.place, self._count):
                yield kind, count

    def _get(self, place: int) -> dict[str, Any]:
        return self._table.known[self._table.kind[place]].get(self._table.row[place])


def points(records: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """Returns (step, value) of the records that have a number of that name, which may be nan or inf.

    Example:
        >>> points([{"step": 1, "kl": 2.0}, {"step": 2, "loss": 3.0}], "kl")
        [(1, 2.0)]
    """
    if isinstance(records, Records):
        return cast(list[tuple[float, float]], records.points(name))
    return [(record["step"], value) for record in records if (value := number(record.get(name))) is not None]


def names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the names of all that the records have, in the order in which they come.

    Example:
        >>> names([{"step": 1, "kl": 2.0}, {"step": 2, "loss": 3.0}])
        ['step', 'kl', 'loss']
    """
    kinds = records.kinds() if isinstance(records, Records) else records
    return list(dict.fromkeys(name for kind in kinds for name in kind))


def _code(value: Any) -> str:
    """Of an array that holds it as it is; '' where there is none."""
    if type(value) is float:
        return "d"
    return "q" if type(value) is int and -WHOLE <= value < WHOLE else ""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, array) else value


def _numbered(pairs: Iterable[tuple[int, Any]]) -> list[tuple[int, float]]:
    return [(step, found) for step, value in pairs if (found := number(value)) is not None]


def _are_finite(values: Values) -> bool:
    if isinstance(values, array):
        return not values or (all(map(math.isfinite, values)) and min(values) >= -HUGE and max(values) <= HUGE)
    if all(type(value) is array for value in values):
        return _are_finite(array("d", itertools.chain(*values)))
    return all(map(_is_finite, values))


def _is_finite(value: Any) -> bool:
    """Whether it is a number, or a list of them, that is finite, or nothing of that kind."""
    if isinstance(value, (array, list)):
        return all(map(_is_finite, value))
    found = number(value)
    return found is None or math.isfinite(found)


def _is_equal(one: Any, other: Any) -> bool:
    return bool(one == other)
