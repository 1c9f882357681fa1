"""What lies in a run's folder, as far as it is there: any file may be missing, and a log may still be growing.

What is there and cannot be read is left out, and said: `faults`.
"""

import difflib
import itertools
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_runner.files import is_alive
from vae_runner.foreign import SMALL, json_object, number, read_bytes, whole
from vae_runner.runs.growing.growing_log import Log, read_log
from vae_runner.runs.names import (
    ANIMATIONS,
    CHECKPOINTS,
    CONFIG,
    ENVIRONMENT,
    EVALUATION,
    GRIDS,
    LAST,
    LATEST_RUN,
    METRICS,
    NOTES,
    PREVIOUS,
    STATUS,
)
from vae_runner.runs.picture_files import Picture, read_pictures
from vae_runner.runs.turn_marks import TURN
from vae_runner.runs.words import nats, natural_order, plural, shown
from vae_runner.text import NAME, plain

__all__ = ["Run", "find_runs", "is_run", "read_run", "such_as"]

LOOKED_AT = 2000  # folders, where somebody looks for a run in a place of many others
MARKS = (STATUS, CONFIG, METRICS, NOTES)  # any of them makes a folder a run's


@dataclass(frozen=True)
class Run:
    """The content of a run's folder; what is missing is empty. Records are in the order of their steps."""

    name: str
    folder: Path | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    train: Sequence[dict[str, Any]] = ()
    validation: Sequence[dict[str, Any]] = ()
    test: Sequence[dict[str, Any]] = ()
    scores: Sequence[dict[str, Any]] = ()  # of validation images, while it was trained
    turns: Sequence[dict[str, Any]] = ()
    pictures: list[Picture] = field(default_factory=list)
    animations: list[Picture] = field(default_factory=list)
    has_checkpoint: bool = False
    faults: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """running, done, failed, interrupted, killed (its process is gone without a word), or unknown."""
        state = self.status.get("state")
        return ("killed" if _is_gone(self.status) else plain(state)) if isinstance(state, str) else "unknown"

    @property
    def step(self) -> int:
        """The last step that anything is known of: the log is often ahead of the status."""
        known = [record["step"] for record in (*self.train[-1:], *self.validation[-1:])]
        return max([whole(self.status.get("step")) or 0, *known])

    @property
    def total_steps(self) -> int | None:
        """How many steps it is to make; None where it is not known."""
        return whole(self.status.get("total_steps")) or None

    @property
    def worsened(self) -> str | None:
        """Where it got worse: '-ELBO is 304,000,000.0 nats per image in the last validation, 208.4 in the first'."""
        if len(self.validation) < 2:
            return None
        first, last = (number(record.get("neg_elbo")) for record in (self.validation[0], self.validation[-1]))
        if first is None or last is None or not math.isfinite(first) or last <= first:
            return None
        return f"-ELBO is {nats(last)} nats per image in the last validation, {nats(first)} in the first"


def is_run(folder: Path) -> bool:
    """Whether a run has begun to write there."""
    return any(os.path.exists(folder / name) for name in MARKS)


def find_runs(folder: Path) -> list[Path]:
    """The folders of runs in a folder, at whatever depth, or the folder itself; links are not followed."""
    if is_run(folder):
        return [folder]
    found = []
    for path, names, _ in os.walk(folder):
        here = Path(path)
        names[:] = [name for name in names if not name.startswith(".")]
        runs = [name for name in names if is_run(here / name) and not (here / name).is_symlink()]
        found += [here / name for name in runs]
        names[:] = [name for name in names if name not in runs]
    return sorted(found, key=lambda run: natural_order(run.relative_to(folder).as_posix()))


def such_as(folder: Path) -> str:
    """', such as RUN' of a folder that is no run's: the newest of those in it; where there is no such folder, the one
    beside it that is meant, as a sweep's job is by its number, or the newest; else that of `outputs/latest`, if any.
    """
    beside = [] if _is_there(folder) else _runs_in(folder.parent, "*")
    for runs in (_runs_in(folder, "*", "*/*"), beside, _runs_in(Path(), str(LATEST_RUN))):
        job = [run for run in runs if run.name.startswith(f"{folder.name}-")] if runs is beside else []
        alike = difflib.get_close_matches(folder.name, [run.name for run in runs], 1)
        if runs:
            return f", such as {shown((job or [run for run in runs if run.name in alike] or runs)[0])}"
    return ""


def _is_there(folder: Path) -> bool:
    try:
        return os.path.lexists(folder)
    except ValueError:  # a name that is none
        return False


def _runs_in(place: Path, *patterns: str) -> list[Path]:
    """That of `latest`, and others, the newest names first; of very many folders a part."""
    try:
        found = [one for pattern in patterns for one in itertools.islice(place.glob(pattern), LOOKED_AT)]
        runs = [one for one in found if not one.name.startswith(".") and (one / CONFIG).is_file()]
    except (OSError, ValueError, RuntimeError):  # a name that is none
        return []
    return sorted(runs, key=lambda run: (run.name == LATEST_RUN.name, natural_order(run.as_posix())), reverse=True)


def read_run(folder: Path, with_pictures: bool = True) -> Run:
    """Returns what is in the folder now."""
    faults: list[str] = []
    status, environment = (_json(folder / name, faults) for name in (STATUS, ENVIRONMENT))
    log = _log(folder / METRICS, faults)
    return Run(
        name=plain(environment.get("name") or folder.resolve().name, NAME),
        folder=folder,
        status=status,
        environment=environment,
        evaluation=_json(folder / EVALUATION, faults),
        config=_text(folder / CONFIG, SMALL, faults),
        train=log.of("train"),
        validation=log.of("validation"),
        test=log.of("test"),
        scores=log.of("scores"),
        turns=log.of(TURN),
        pictures=read_pictures(folder / GRIDS) if with_pictures else [],
        animations=read_pictures(folder / ANIMATIONS) if with_pictures else [],
        has_checkpoint=any(os.path.exists(folder / CHECKPOINTS / name) for name in (LAST, PREVIOUS)),
        faults=faults,
    )


def _text(file: Path, most: int, faults: list[str]) -> str:
    """The file's text, empty where there is none; and where it cannot be read, which is a fault."""
    try:
        return read_bytes(file, most).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        faults.append(f"{file.name} cannot be read: {getattr(error, 'strerror', None) or 'its name is none'}")
        return ""


def _json(file: Path, faults: list[str]) -> dict[str, Any]:
    text = _text(file, SMALL, faults)
    content = json_object(text)
    if content is None and text:
        faults.append(f"{file.name} is not what a run writes: no JSON object")
    return content or {}


def _log(file: Path, faults: list[str]) -> Log:
    """The log's records, whose steps are counts; a last line that is not finished is left out without a word."""
    try:
        log = read_log(file)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            faults.append(f"{file.name} cannot be read: {error.strerror}")
        return Log({})
    if log.wrong:
        told, verb = plural(len(log.wrong), "line"), "is" if len(log.wrong) == 1 else "are"
        faults.append(f"{told} of {file.name} cannot be read and {verb} left out, first line {log.wrong[0]:,}")
    return log


def _is_gone(status: Mapping[str, Any]) -> bool:
    """Whether the run says that it is running, but its process on this machine is no more."""
    pid = status.get("pid")
    if status.get("state") != "running" or status.get("host") != platform.node() or type(pid) is not int or pid <= 0:
        return False
    return not is_alive(pid)
