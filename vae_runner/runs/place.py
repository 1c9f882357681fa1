"""Where a new run, or a sweep, may go: into a folder of its own, which holds nothing else.

What a start leaves that is killed before it has a config is no more than its lock, its notes and its log: behind these
the folder is taken as if it were empty.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vae_runner.errors import UserError
from vae_runner.files import is_aside, is_full, refusals_told
from vae_runner.runs.folder import LATEST, holds_a_run
from vae_runner.runs.names import CONFIG, LEDGER, LOCK, LOG, NOTES, SWEEP_LOCK
from vae_runner.runs.words import shown
from vae_runner.text import plain

__all__ = ["judge_place", "made_only_for", "make_folder"]

# By the setting that names the folder: its lock, and all that a start which was killed may have left there.
REMAINS = {"hydra.run.dir": (LOCK, NOTES, LOG), "hydra.sweep.dir": (SWEEP_LOCK, LOCK)}


def judge_place(key: str, folder: Path) -> None:
    """Raises `UserError` where the folder that the setting `key` names is no place for a new run, or sweep, alone."""
    if fault := _fault(folder):
        raise UserError(f"{key}={shown(folder)} {fault}; choose a folder of its own, new or empty")
    if not os.path.isdir(folder):  # False for a name that is too long, which is told where it is made
        return
    try:
        names = {entry.name for entry in folder.iterdir() if not is_aside(entry.name)}
    except OSError as error:
        raise UserError(f"cannot read {key}={shown(folder)}: {error.strerror}") from error
    if any((folder / name).exists() for name in (CONFIG, LEDGER)):
        raise UserError(holds_a_run(folder))
    lock, *remains = REMAINS[key]
    if foreign := sorted(names.difference((lock, *remains) if lock in names else ())):
        what = "a run" if lock == LOCK else "a sweep"
        raise UserError(
            f"{key}={shown(folder)} holds other things than {what} ({foreign[0]}); "
            "choose a folder of its own, new or empty"
        )


def make_folder(folder: Path) -> list[Path]:
    """Make the folder and those around it; returns those made, the innermost first.

    Raises `FileExistsError` where it is there, `RunError` where the disk is full, `UserError` where it cannot be had.
    """
    missing = [folder, *(parent for parent in folder.parents if not os.path.lexists(parent))]
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise
    except OSError as error:
        if is_full(error):
            with refusals_told(folder):
                raise
        raise UserError(f"cannot make the folder {plain(shown(folder))}: {error.strerror}") from error
    return missing


@contextlib.contextmanager
def made_only_for(made: Sequence[Path]) -> Iterator[None]:
    """Where what is done inside fails, those of the folders that are empty by then go again, the innermost first."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody has begun something there
            for folder in made:
                folder.rmdir()
        raise


def _fault(folder: Path) -> str | None:
    """What is wrong with the place itself, whatever it holds."""
    real, here = folder.resolve(), Path.cwd().resolve()
    if real == Path(real.anchor):
        return "is the root of the file system"
    with contextlib.suppress(RuntimeError):  # who has no home
        home = Path.home().resolve()
        if home.is_relative_to(real):
            return "is your home folder" if home == real else "holds your home folder"
    if here.is_relative_to(real) and here != real:
        return "holds the working folder"
    if any(folder == Path(latest).absolute() for latest in LATEST) and not folder.is_symlink():
        return "is where the link to the newest one goes"
    return None
