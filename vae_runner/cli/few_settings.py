"""What is told of an argument to a program that has few settings, and all of them without dashes: what may be meant.

`vae-train` knows more of its own: `vae_runner.cli.judging`.
"""

import difflib
from collections.abc import Collection

from vae_runner.text import plain

__all__ = ["about_dashes", "meant", "value_behind"]


def meant(name: str, known: Collection[str]) -> str:
    """' Did you mean X?', or nothing where none of the settings is near."""
    close = _nearest(name, known)
    return f" Did you mean {close}?" if close else ""


def about_dashes(name: str, value: str, known: Collection[str], program: str) -> str:
    """What is wrong with `--name value`, and how a setting is written: the one that is meant, where one is near."""
    name = name.lstrip("-")
    close = _nearest(name, known)
    said = f"{close}={plain(value or 'VALUE')}" if close else f"NAME=VALUE (see {program} --help)"
    return f"no option called '--{plain(name)}'; settings are written without dashes: {said}"


def value_behind(argument: str, rest: list[str], known: Collection[str]) -> str:
    """The value of an argument with dashes: behind its `=`, or else the next argument, which is taken out of the rest
    where a setting is near and it can be the value.
    """
    name, equals, value = argument.partition("=")
    if equals or not _nearest(name.lstrip("-"), known):
        return value
    return rest.pop(0) if rest and not rest[0].startswith("-") and "=" not in rest[0] else ""


def _nearest(name: str, known: Collection[str]) -> str | None:
    """Of names with dots, the last part is enough."""
    wanted = name.lower().replace("-", "_")
    ends = {one.rpartition(".")[2]: one for one in reversed(list(known))} | {one: one for one in known}
    close = difflib.get_close_matches(wanted, ends, 1, 0.7)
    return ends[close[0]] if close else None
