"""The folder of a run: its status, its config, the newest run's link."""

import contextlib
import logging
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from vae_runner.callbacks import Callback, Training
from vae_runner.errors import RunError, UserError
from vae_runner.files import (
    aside,
    is_full,
    locked,
    read_json,
    refusals_told,
    remove_leftovers,
    write_atomically,
    write_json,
)
from vae_runner.foreign import whole
from vae_runner.runs.words import literal, quoted, resume_command, shown
from vae_runner.state import State

__all__ = ["LATEST", "LOCK", "LOG", "NOTES", "RunFolder", "Status", "held", "holds_a_run", "is_real_latest"]
__all__ += ["literal", "quoted", "record_failure", "remove", "resume_command", "shown"]

log = logging.getLogger(__name__)

LOCK = ".lock"
LOG = "train.log"
NOTES = ".hydra"  # what was typed, and what Hydra made of it
FOLDERS = ("checkpoints", "grids", "animations", "tensorboard")
# All that a run writes, besides its lock. What else is in its folder is the user's.
CONTENT = (NOTES, LOG, "config.yaml", "status.json", "environment.json", "metrics.jsonl", "epochs.csv", "report.html")
CONTENT += FOLDERS
LATEST = (Path("outputs", "latest"), Path("multirun", "latest"))  # links to the newest run, and to the newest sweep


def holds_a_run(folder: Path) -> str:
    """The line for a new run, or sweep, that was to go where another one is."""
    what = "a sweep" if (folder / "sweep.json").exists() else "a run"
    return f"{shown(folder)} holds {what} already; go on with it by {resume_command(folder)}, or choose another folder"


def is_real_latest(path: Path) -> bool:
    """Whether the path is one of the links to the newest run or sweep, and is none: a copy has made a folder of it."""
    return path.parts[-2:] in [latest.parts for latest in LATEST] and os.path.lexists(path) and not path.is_symlink()


class RunFolder:
    """`claim` it before writing: no two processes ever write into the same one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_held = False

    @contextlib.contextmanager
    def claim(self, resuming: bool) -> Iterator["RunFolder"]:
        """Hold the folder; once more by who holds it is the same. Raises `UserError` where another process holds it, or
        where it has a run already, and `RunError` where it cannot be written to.
        """
        if self._is_held:
            yield self
            return
        lock = self.path / LOCK
        with held(lock) as free:
            if not free:
                raise UserError(f"{shown(self.path)} is being written by {_holder(lock) or 'another process'}")
            remove_leftovers(self.path, (NOTES, *FOLDERS, "grids/history"))
            if not resuming and (self.path / "config.yaml").exists():
                raise UserError(holds_a_run(self.path))
            self._is_held = True
            try:
                yield self
            finally:
                self._is_held = False

    def clear(self) -> None:
        """Remove what a run wrote that has left no checkpoint, but for its log and its notes: it begins again."""
        with self.claim(resuming=True):
            for name in CONTENT:
                if name not in (NOTES, LOG):
                    remove(self.path / name)

    def discard(self, is_made: bool) -> None:
        """Empty the claimed folder, in which nothing was begun: of all, where it was made for the run, else of what a
        run writes. The lock goes last: who opens it from then on makes a new one.
        """
        for path in [*self.path.iterdir()] if is_made else [self.path / name for name in CONTENT]:
            if path.name != LOCK:
                remove(path)
        remove(self.path / LOCK)

    def write_notes(self, notes: Mapping[str, str]) -> None:
        """Write the files of NOTES: name and text."""
        for name, text in notes.items():
            write_atomically(self.path / NOTES / name, text.encode())

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.yaml: everything that was set, interpolations resolved."""
        write_atomically(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False).encode())

    def link_as_latest(self, link: Path, what: str = "run") -> None:
        """Make `link` point here, whatever it pointed to. A file or a folder of that name stays, and a line says so."""
        if os.path.lexists(link) and not link.is_symlink():
            kind = "a folder" if link.is_dir() else "a file"
            log.warning("%s is %s of that name, not a link: it does not lead to this %s; rename it", link, kind, what)
            return
        other = aside(link)
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(link.parent)
            other.symlink_to(os.path.relpath(self.path, link.parent), target_is_directory=True)
            os.replace(other, link)
        except OSError as error:
            log.warning("%s does not lead to this %s: %s", link, what, error.strerror)
            with contextlib.suppress(OSError):
                other.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove the file, the link or the whole folder, as far as it goes."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


class Status(Callback):
    """status.json: what has become of the run, for people, batch systems and reports.

    `state` is running, done, failed or interrupted; `reason` says why, for the latter two.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "status.json"
        self.folder = folder
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        before = read_json(self.file)  # of a run that is resumed
        self._step, self._total, self._skipped = (
            whole(before.get(name)) or 0 for name in ("step", "total_steps", "skipped")
        )
        self._longer = ""

    @property
    def seconds(self) -> float:
        """Since this process took the run up."""
        return time.monotonic() - self._clock

    def write(self, state: str, reason: str | None = None) -> None:
        """Replace status.json."""
        write_json(
            self.file,
            {
                "state": state,
                "step": self._step,
                "total_steps": self._total,
                "skipped": self._skipped,
                "reason": reason,
                "started": self._started.isoformat(timespec="seconds"),
                "updated": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(self.seconds, 1),
                "resume": resume_command(self.folder, self._longer if state == "done" else ""),
                "pid": os.getpid(),
                "host": platform.node(),
            },
        )

    def on_start(self, engine: Training) -> None:
        self._follow(engine)

    def on_step(self, engine: Training, state: State) -> None:
        """Raises `RunError` where the folder is gone, before anyone makes another of that name."""
        if not self.file.exists():
            raise RunError(f"{shown(self.folder)} is gone: stopped at step {engine.step:,}")

    def on_validation(self, engine: Training) -> None:
        self._follow(engine)

    def on_step_end(self, engine: Training, state: State) -> None:
        self._step, self._skipped = engine.step, engine.skipped

    def _follow(self, engine: Training) -> None:
        self._step, self._total, self._skipped = engine.step, engine.total_steps, engine.skipped
        epochs = engine.config.epochs  # a run is made longer in the unit that it was given in
        self._longer = f"engine.epochs={2 * epochs}" if epochs else f"engine.steps={2 * engine.total_steps}"
        self.write("running")


@contextlib.contextmanager
def held(lock: Path) -> Iterator[bool]:
    """`locked`, with the holder's name in the file where there is room for it. Raises `UserError` where it cannot be
    had, and `RunError` where the disk is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            free = stack.enter_context(locked(lock, wait=False))
        except OSError as error:
            if is_full(error):
                with refusals_told(lock):
                    raise
            raise UserError(f"cannot write to {shown(lock.parent)}: {error.strerror}") from error
        if free:
            with contextlib.suppress(OSError):  # what has to be written comes next
                lock.write_text(f"process {os.getpid()} on {platform.node()}")
        yield free


def _holder(lock: Path) -> str:
    """Who holds it, as he has said."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return lock.read_text()[:200]
    return ""


def record_failure(folder: Path, error: Exception) -> None:
    """Leave a status for a run that failed before it had one, as far as it can still be written."""
    if not (folder / "status.json").exists():
        with contextlib.suppress(RunError):
            Status(folder).write("failed", f"{type(error).__name__}: {error}")
