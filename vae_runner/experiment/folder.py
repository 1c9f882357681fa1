"""The folder of a run: its status, its config, the newest run's link."""

import contextlib
import os
import platform
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from vae_runner.callbacks import Callback, Training
from vae_runner.errors import RunError, UserError
from vae_runner.files import locked, read_json, remove_leftovers, write_atomically, write_json
from vae_runner.state import State

__all__ = ["RunFolder", "Status", "holds_a_run", "literal", "quoted", "record_failure", "resume_command", "shown"]


def shown(folder: Path) -> str:
    """The folder as a user would type it: relative to where he is, where that is shorter."""
    relative = os.path.relpath(folder)
    return relative if not relative.startswith("..") else str(folder)


def resume_command(folder: Path, length: str = "") -> str:
    """What to type to go on with the run, quoted for Hydra and for the shell where its name needs it; a run that is
    complete needs a new `length`, engine.steps=N, and one with parts of the user's own trust=true.
    """
    name = shown(folder)
    if re.fullmatch(r"[A-Za-z0-9_./-]+", name):
        command = f"vae-train resume={name}"
    else:
        command = "vae-train " + shlex.quote(f"resume={quoted(literal(name))}")
    return f"{command} {length}".rstrip()


def quoted(text: str) -> str:
    """The text as a value that Hydra's grammar takes, whatever characters it holds: what escapes there is a backslash
    before a quote, or before the end, and nothing else.
    """
    escaped = re.sub(r'(\\*)("|\Z)', lambda found: 2 * found[1] + ('\\"' if found[2] else ""), text)
    return f'"{escaped}"'


def literal(text: str) -> str:
    """The text with nothing in it to be looked up."""
    return text.replace("${", "\\${")


def holds_a_run(folder: Path) -> str:
    """The line for a new run, or sweep, that was to go where another one is."""
    what = "a sweep" if (folder / "sweep.json").exists() else "a run"
    return f"{shown(folder)} holds {what} already; go on with it by {resume_command(folder)}, or choose another folder"


class RunFolder:
    """`claim` it before writing: no two processes ever write into the same one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def claim(self, resuming: bool) -> Iterator["RunFolder"]:
        """Hold the folder. Raises `UserError` where another process does, or where it holds a run already."""
        lock = self.path / ".lock"
        with _held(lock) as free:
            if not free:
                raise UserError(f"{shown(self.path)} is being written by {lock.read_text() or 'another process'}")
            remove_leftovers(self.path)
            if not resuming and (self.path / "config.yaml").exists():
                raise UserError(holds_a_run(self.path))
            yield self

    def clear(self) -> None:
        """Remove what a run wrote that has left no checkpoint, but for its log: it begins again."""
        with self.claim(resuming=True):
            for path in self.path.iterdir():
                if path.is_dir() and path.name != ".hydra":
                    shutil.rmtree(path)
                elif path.is_file() and path.name not in (".lock", "train.log"):
                    path.unlink()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.yaml: everything that was set, interpolations resolved."""
        write_atomically(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False).encode())

    def link_as_latest(self, link: Path) -> None:
        """Make `link` point here, whatever it pointed to; where links cannot be made there is none."""
        aside = link.with_name(f".{link.name}.tmp")
        with contextlib.suppress(OSError):
            link.parent.mkdir(parents=True, exist_ok=True)
            aside.unlink(missing_ok=True)
            aside.symlink_to(os.path.relpath(self.path, link.parent), target_is_directory=True)
            os.replace(aside, link)


class Status(Callback):
    """status.json: what has become of the run, for people, batch systems and reports.

    `state` is running, done, failed or interrupted; `reason` says why, for the latter two.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "status.json"
        self.folder = folder
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        before = read_json(self.file)  # of a run that is resumed
        self._step, self._total = before.get("step", 0), before.get("total_steps", 0)
        self._skipped = before.get("skipped", 0)
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
def _held(lock: Path) -> Iterator[bool]:
    """`locked` for a run's folder, the holder's name in the file. Raises `UserError` where it cannot be written."""
    with contextlib.ExitStack() as stack:
        try:
            if free := stack.enter_context(locked(lock, wait=False)):
                lock.write_text(f"process {os.getpid()} on {platform.node()}")
        except OSError as error:
            raise UserError(f"cannot write to {shown(lock.parent)}: {error.strerror}") from error
        yield free


def record_failure(folder: Path, error: Exception) -> None:
    """Leave a status for a run that failed before it had one."""
    if not (folder / "status.json").exists():
        Status(folder).write("failed", f"{type(error).__name__}: {error}")
