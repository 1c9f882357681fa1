"""What lies in a run's folder, as far as it is there: any file may be missing, and a log may still be growing."""

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_runner.files import is_alive, json_object
from vae_runner.report.picture import Picture, read_pictures, read_text

__all__ = ["Run", "dig", "is_run", "number", "read_run"]

MARKS = ("status.json", "config.yaml", "metrics.jsonl", ".hydra")  # any of them makes a folder a run's


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
    animations: list[Picture] = field(default_factory=list)
    has_checkpoint: bool = False

    @property
    def state(self) -> str:
        """running, done, failed, interrupted, killed (its process is gone without a word), or unknown."""
        state = self.status.get("state")
        return ("killed" if _is_gone(self.status) else state) if isinstance(state, str) else "unknown"

    @property
    def step(self) -> float:
        """The last step that anything is known of: the log is often ahead of the status."""
        known = [record["step"] for record in (*self.train[-1:], *self.validation[-1:])]
        return max([number(self.status.get("step")) or 0, *known])

    @property
    def total_steps(self) -> float | None:
        return number(self.status.get("total_steps")) or None


def is_run(folder: Path) -> bool:
    """Whether a run has begun to write there."""
    return any((folder / name).exists() for name in MARKS)


def read_run(folder: Path, with_pictures: bool = True) -> Run:
    """Returns what is in the folder now."""
    environment = _json(folder / "environment.json")
    records = _records(folder / "metrics.jsonl")
    return Run(
        name=str(environment.get("name") or folder.resolve().name),
        status=_json(folder / "status.json"),
        environment=environment,
        config=read_text(folder / "config.yaml"),
        train=[record for record in records if record.get("split") == "train"],
        validation=[record for record in records if record.get("split") == "validation"],
        pictures=read_pictures(folder / "grids") if with_pictures else [],
        animations=read_pictures(folder / "animations") if with_pictures else [],
        has_checkpoint=any((folder / "checkpoints" / name).exists() for name in ("last.pt", "previous.pt")),
    )


def number(value: object) -> float | None:
    """The value as it is where it is a number, which may be nan or inf; else None."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def dig(content: object, *keys: str) -> Any:
    """The value under one key after the other, None where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _json(file: Path) -> dict[str, Any]:
    return json_object(read_text(file)) or {}


def _records(file: Path) -> list[dict[str, Any]]:
    """The log's records that have a step; a line that is not finished is left out."""
    records = filter(None, map(json_object, read_text(file).splitlines()))
    return sorted((record for record in records if _is_step(record.get("step"))), key=lambda record: record["step"])


def _is_step(value: object) -> bool:
    return number(value) is not None and math.isfinite(value)


def _is_gone(status: Mapping[str, Any]) -> bool:
    """Whether the run says that it is running, but its process on this machine is no more."""
    pid = status.get("pid")
    if status.get("state") != "running" or status.get("host") != platform.node() or type(pid) is not int or pid <= 0:
        return False
    return not is_alive(pid)
