"""Errors that are told to the user in one line, without a traceback; of one in his own code, with its place there."""

import os
import sysconfig
import traceback
from pathlib import Path

__all__ = ["ImagesError", "RunError", "UserError", "in_words", "place_of"]

OURS = Path(__file__).parent


class UserError(Exception):
    """A mistake in what the user asked for: it names the setting, the value and what to do.

    `vae-train` prints each line of it behind `vae-train: error:` and exits with 2.
    """


class ImagesError(UserError):
    """A mistake in which images are to be had, whatever is to be made of them."""


class RunError(Exception):
    """Something that went wrong while a run was under way (disk full, loss not finite); exit code 1."""


def in_words(error: BaseException) -> str:
    """'KeyError: 'mu' (mine/own.py, line 12)', in one line; of the two errors above their own words alone."""
    words = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    if isinstance(error, (UserError, RunError)):
        return words
    place = place_of(error)
    return f"{type(error).__name__}: {words}".removesuffix(": ") + (f" ({place})" if place else "")


def place_of(error: BaseException) -> str | None:
    """'mine/own.py, line 12': the innermost place of the error in code that is neither ours nor installed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith("<") and not _is_installed(Path(os.path.abspath(frame.filename))):
            return f"{_shown(frame.filename)}, line {frame.lineno}"
    return None


def _is_installed(file: Path) -> bool:
    """Whether it is a file of this package, of Python or of another package."""
    is_python = file.is_relative_to(sysconfig.get_path("stdlib"))
    return is_python or file.is_relative_to(OURS) or bool({"site-packages", "dist-packages"} & set(file.parts))


def _shown(file: str) -> str:
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else relative
