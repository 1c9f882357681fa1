"""Errors that are told to the user in one line, without a traceback."""

__all__ = ["RunError", "UserError"]


class UserError(Exception):
    """A mistake in what the user asked for: it names the setting, the value and what to do.

    `vae-train` prints each line of it behind `vae-train: error:` and exits with 2.
    """


class RunError(Exception):
    """Something that went wrong while a run was under way (disk full, loss not finite); exit code 1."""
