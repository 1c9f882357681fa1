"""What a user types to go on with a run, made from its folder's name alone, whatever characters that has."""

import os
import re
import shlex
from pathlib import Path

from vae_runner.text import plain

__all__ = ["literal", "quoted", "resume_command", "shown"]


def shown(folder: Path) -> str:
    """The folder as a user would type it: relative to where he is, where that is shorter."""
    return plain(_typed(folder), 1000)


def resume_command(folder: Path, length: str = "") -> str:
    """What to type to go on with the run, quoted for Hydra and for the shell where its name needs it; a run that is
    complete needs a new `length`, engine.steps=N, and one with parts of the user's own trust=true.
    """
    name = _typed(folder)
    if re.fullmatch(r"[A-Za-z0-9_./-]+", name):
        command = f"vae-train resume={name}"
    else:
        command = "vae-train " + _for_shell(f"resume={quoted(literal(name))}")
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


def _typed(folder: Path) -> str:
    relative = os.path.relpath(folder)
    return relative if not relative.startswith("..") else str(folder)


def _for_shell(text: str) -> str:
    """Quoted for the shell. Where a text has commands for the terminal in it, or bytes that are no UTF-8, all but ASCII
    is written as $'\\ooo', which can be copied from there.
    """
    if plain(text, len(text)) == text:
        return shlex.quote(text)
    octal = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in "'\\" else f"\\{byte:03o}" for byte in os.fsencode(text)
    )
    return f"$'{''.join(octal)}'"
