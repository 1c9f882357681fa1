"""What lies in a run's folder, as far as it is there: any file may be missing, and a log may still be growing."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Picture", "Run", "dig", "number", "read_run"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORDER = ("traversal", "reconstruction", "samples", "data")  # of the pictures; others come behind, by name


@dataclass(frozen=True)
class Picture:
    """A PNG file as it is, its size in pixels, and the JSON file beside it."""

    name: str
    data: bytes
    width: int
    height: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The content of a run's folder; what is missing is empty. Records are in the order of their steps."""

    name: str
    status: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    train: list[dict[str, Any]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def state(self) -> str:
        """running, done, failed, interrupted, or unknown."""
        state = self.status.get("state")
        return state if isinstance(state, str) else "unknown"

    @property
    def step(self) -> float:
        """The last step that anything is known of: the log is often ahead of the status."""
        known = [record["step"] for record in (*self.train[-1:], *self.validation[-1:])]
        return max([number(self.status.get("step")) or 0, *known])

    @property
    def total_steps(self) -> float | None:
        return number(self.status.get("total_steps")) or None


def read_run(folder: Path) -> Run:
    """Returns what is in the folder now."""
    environment = _json(folder / "environment.json")
    records = _records(folder / "metrics.jsonl")
    return Run(
        name=str(environment.get("name") or folder.resolve().name),
        status=_json(folder / "status.json"),
        environment=environment,
        config=_text(folder / "config.yaml"),
        train=[record for record in records if record.get("split") == "train"],
        validation=[record for record in records if record.get("split") == "validation"],
        pictures=_pictures(folder / "grids"),
    )


def number(value: object) -> float | None:
    """The value as it is where it is a number, which may be nan or inf; else None."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def dig(content: object, *keys: str) -> Any:
    """The value under one key after the other, None where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _json(file: Path) -> dict[str, Any]:
    return _object(_text(file)) or {}


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object, None where the text is none or not whole."""
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _records(file: Path) -> list[dict[str, Any]]:
    """The log's records that have a step; a line that is not finished is left out."""
    records = filter(None, map(_object, _text(file).splitlines()))
    return sorted((record for record in records if _is_step(record.get("step"))), key=lambda record: record["step"])


def _is_step(value: object) -> bool:
    return number(value) is not None and math.isfinite(value)


def _pictures(folder: Path) -> list[Picture]:
    pictures = [picture for file in folder.glob("*.png") if (picture := _picture(file))]
    rank = {name: index for index, name in enumerate(ORDER)}
    return sorted(pictures, key=lambda picture: (rank.get(picture.name, len(rank)), picture.name))


def _picture(file: Path) -> Picture | None:
    """None where it has just gone, or is no PNG file."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if not data.startswith(PNG_SIGNATURE) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])  # of the header, which always comes first
    return Picture(file.stem, data, width, height, _json(file.with_suffix(".json")))
