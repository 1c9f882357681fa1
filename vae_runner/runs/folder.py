"""The folder of a run: who may write there, its config, the newest run's link."""

import contextlib
import logging
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from vae_runner.errors import UserError
from vae_runner.files import (
    aside,
    is_full,
    locked,
    refusals_told,
    remove_leftovers,
    write_atomically,
)
from vae_runner.runs.names import (
    CHECKPOINTS,
    CONFIG,
    CONTENT,
    FOLDERS,
    GRIDS,
    HISTORY,
    LATEST_RUN,
    LATEST_SWEEP,
    LEDGER,
    LOCK,
    LOG,
    NOTES,
)
from vae_runner.runs.words import resume_command, shown

__all__ = ["LATEST", "RunFolder", "held", "holds_a_run", "is_real_latest", "remove", "warn_of_real_latest"]

log = logging.getLogger(__name__)

LATEST = (LATEST_RUN, LATEST_SWEEP)


def holds_a_run(folder: Path) -> str:
    """The line for a new run, or sweep, that was to go where another one is."""
    what = "a sweep" if (folder / LEDGER).exists() else "a run"
    return f"{shown(folder)} holds {what} already; go on with it by {resume_command(folder)}, or choose another folder"


def is_real_latest(path: Path) -> bool:
    """Whether the path is one of the links to the newest run or sweep, and is none: a copy has made a folder of it."""
    return path.parts[-2:] in [latest.parts for latest in LATEST] and os.path.lexists(path) and not path.is_symlink()


def warn_of_real_latest(path: Path) -> None:
    """Log that it says 'the newest', and is some older one, where that is so."""
    if is_real_latest(Path(os.path.abspath(path))):
        log.warning("%s is a folder of its own, not the link to the newest one: a copy has put it there", shown(path))


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
            remove_leftovers(self.path, (NOTES, *FOLDERS, *(f"{name}/{HISTORY}" for name in (GRIDS, CHECKPOINTS))))
            if not resuming and (self.path / CONFIG).exists():
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
        write_atomically(self.path / CONFIG, yaml.safe_dump(dict(config), sort_keys=False).encode())

    def link_as_latest(self, link: Path, what: str = "run") -> None:
        """Make `link` point here, whatever it pointed to. A file or a folder of that name stays, and a line says so."""
        if os.path.lexists(link) and not link.is_symlink():
            kind = "a folder" if link.is_dir() else "a file"
            log.warning("%s is %s of that name, not a link: it does not lead to this %s; rename it", link, kind, what)
            return
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(link.parent)
            with aside(link) as other:
                other.unlink(missing_ok=True)
                other.symlink_to(os.path.relpath(self.path, link.parent), target_is_directory=True)
                other.replace(link)
        except OSError as error:
            log.warning("%s does not lead to this %s: %s", link, what, error.strerror)


def remove(path: Path) -> None:
    """Remove the file, the link or the whole folder, as far as it goes."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


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
