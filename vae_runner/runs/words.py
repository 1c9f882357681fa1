"""What people are told of runs: figures as they read them, and what they type to go on with a run, made from its
folder's name alone, whatever characters that has.
"""

import os
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vae_runner.text import plain

__all__ = ["AGAINST_COLLAPSE", "and_more", "count", "duration", "images", "literal", "moment", "nats"]
__all__ += ["natural_order", "plural", "quoted", "resume_command", "shown"]

AGAINST_COLLAPSE = (
    "try a smaller beta (divergence=beta divergence.beta=0.5), or one that rises from 0 "
    "(divergence=beta_annealed divergence.beta.start=0 divergence.beta.end=1)"
)
_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))


def count(value: float) -> str:
    """'737,280'."""
    return f"{value:,.0f}"


def nats(value: float, decimals: int = 1) -> str:
    """'1,234.5', without the unit; 'nan' and 'inf' where it is not finite."""
    return f"{value:,.{decimals}f}"


def duration(seconds: float) -> str:
    """'4.2 s', '52 s', '1.2 min', '3.4 h', '2.1 days'."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def moment(iso: object) -> str:
    """'2026-11-22 06:17 UTC' of an ISO 8601 time; what is none comes back as it is."""
    try:
        return datetime.fromisoformat(str(iso)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return str(iso)


def plural(number: int, noun: str) -> str:
    """'1 record', '3 records'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def and_more(names: list[str], most: int = 12) -> str:
    """'z1, z5, z7'; of long lists the first ones, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def natural_order(name: str) -> list[Any]:
    """A key by which 10 comes behind 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def images(total: float, train: float | None, validation: float | None, test: float | None = None) -> str:
    """'661,552 training + 2,000 validation + 73,728 test images'; '19,500 training + 500 validation of 737,280 images'
    where others are left out; '737,280 images' where no more is known.
    """
    if train is None or validation is None:
        return f"{count(total)} images"
    parts = {"training": train, "validation": validation, **({"test": test} if test else {})}
    left_out = f" of {count(total)}" if sum(parts.values()) < total else ""
    return f"{' + '.join(f'{count(number)} {name}' for name, number in parts.items())}{left_out} images"


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
