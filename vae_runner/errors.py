"""Errors that are told to the user in one line, without a traceback."""

import os
import sysconfig
import traceback

__all__ = ["RunError", "UserError", "place"]


class UserError(Exception):
    """A mistake in what the user asked for: it names the setting, the value and what to do.

    `vae-train` prints each line of it behind `vae-train: error:` and exits with 2.
    """


class RunError(Exception):
    """Something that went wrong while a run was under way (disk full, loss not finite); exit code 1."""


def place(error: BaseException) -> str:
    """' (FILE, line N)' of the last line of a user's own that the error came through; nothing where there is none."""
    others = (os.path.dirname(__file__), sysconfig.get_path("stdlib"))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_installed = {"site-packages", "dist-packages"} & set(frame.filename.split(os.sep))
        if os.path.isfile(frame.filename) and not frame.filename.startswith(others) and not is_installed:
            inside = frame.filename.startswith(os.getcwd() + os.sep)
            return f" ({os.path.relpath(frame.filename) if inside else frame.filename}, line {frame.lineno})"
    return ""
