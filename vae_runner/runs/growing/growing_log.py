"""The log of a run, read on from where it was: a page is made anew while the log grows, and each line is read once.

What was read before is known by its checksum. Where that part of the file is no longer the same, as of a run that was
resumed from an earlier step, or is shorter, all of it is read anew: what is returned is what a first reading finds.
"""

import itertools
import os
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_runner.foreign import LARGE, json_object, read_bytes, whole
from vae_runner.runs.growing.record_table import Records, Table

__all__ = ["Log", "read_log"]

MOST = 8  # logs of which it is remembered what was read


@dataclass(frozen=True)
class Log:
    """The records by their kind (`split`), each kind in the order of the steps, and the numbers of lines that are none.

    Example:
        >>> Log({}).of("train")
        []
    """

    records: dict[Any, Records | list[dict[str, Any]]]
    wrong: list[int] = field(default_factory=list)

    def of(self, kind: str) -> Records | list[dict[str, Any]]:
        """Returns the records of a kind."""
        return self.records.get(kind, [])


class Reading:
    """What was read of a file so far, up to the end of a line."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.wrong: list[int] = []
        self.lines = self.end = self.sum = 0

    def goes_on_in(self, data: memoryview) -> bool:
        """Whether these bytes begin with those that were read."""
        return len(data) >= self.end and zlib.crc32(data[: self.end]) == self.sum

    def read(self, data: memoryview) -> Log:
        """Read on, in the whole content of the file. A last line that is not finished counts, where it is a record."""
        new = bytes(data[self.end :])
        lines, last = new[: new.rfind(b"\n") + 1], new[new.rfind(b"\n") + 1 :]
        for line in lines.decode("utf-8", "replace").split("\n")[:-1]:
            self.lines += 1
            if (record := _record(line)) is not None:
                self._table(record).add(record)
            elif line.strip():
                self.wrong.append(self.lines)
        self.sum = zlib.crc32(lines, self.sum)
        self.end += len(lines)
        found: dict[Any, Any] = {kind: table.records() for kind, table in self.tables.items()}
        if (growing := _record(last.decode("utf-8", "replace"))) is not None:
            kind = _kind(growing)
            found[kind] = [*found.get(kind, ()), growing]
        return Log({kind: _in_order(records) for kind, records in found.items()}, list(self.wrong))

    def _table(self, record: dict[str, Any]) -> Table:
        return self.tables.setdefault(_kind(record), Table())


_readings: OrderedDict[str, Reading] = OrderedDict()  # the last one that was used behind the others
_lock = threading.Lock()


def read_log(file: Path) -> Log:
    """Returns what is in the log now; a line is a record where it is a JSON object with a count of steps. Raises
    `OSError` where it cannot be read.
    """
    with memoryview(read_bytes(file, LARGE)) as data, _lock:
        name = os.path.abspath(file)
        reading = _readings.pop(name, None)
        if reading is None or not reading.goes_on_in(data):
            reading = Reading()
        found = reading.read(data)
        _readings[name] = reading
        if len(_readings) > MOST:
            _readings.popitem(last=False)
        return found


def _in_order(records: Records | list[dict[str, Any]]) -> Records | list[dict[str, Any]]:
    """As they are, nearly always."""
    steps = [step for step, _ in records.points("step")] if isinstance(records, Records) else []
    if isinstance(records, Records) and all(a <= b for a, b in itertools.pairwise(steps)):
        return records
    return sorted(records, key=lambda record: record["step"])


def _kind(record: dict[str, Any]) -> str:
    kind = record.get("split")
    return kind if isinstance(kind, str) else ""


def _record(line: str) -> dict[str, Any] | None:
    """The record of a line, its step an int; None where it is none."""
    record = json_object(line)
    if record is None or (step := whole(record.get("step"))) is None:
        return None
    return {**record, "step": step}
