"""What somebody may have meant, with the value that he gave: a name of another program's, of an option that is not
chosen, or one that is misspelt.
"""

import difflib
from collections.abc import Callable, Collection, Sequence

from vae_runner.cli.judging.other_names import OFF, option_here, typed_here
from vae_runner.cli.screens.topics import homes_of
from vae_runner.experiment.spelling import nearest

__all__ = ["bare_hint", "hint", "option_hint"]

LISTED = "visualisation"  # the group of which any number is chosen, none by an empty list
Options = Callable[[str], Sequence[str]]  # of a group


def hint(key: str, value: str, known: Collection[str], groups: Collection[str], options: Options) -> str:
    """' Did you mean X=VALUE?', or nothing where nothing is near; `known` are the settings that there are as chosen."""
    value = _unquoted(value)
    meant = typed_here(key, value, options)
    if meant is None:
        meant = nearest(key, known)
        if meant is not None and meant.rpartition(".")[2] == key and meant not in groups:
            meant += f"={value}"
        elif homes := homes_of(key) if "." not in key else {}:
            meant = f"{next(iter(homes))}={value}"
    if meant is None:
        return ""
    setting = meant.partition("=")[0]
    home = "" if setting in known or setting in groups else homes_of(setting).get(setting, "")
    return f" Did you mean {meant}, a setting of {home}?" if home else f" Did you mean {meant}?"


def option_hint(group: str, name: str, option: str, options: Sequence[str]) -> str:
    """The same of an option of the group, which is typed as `name`."""
    here = "[]" if group == LISTED and option.lower() in OFF else option_here(group, option)
    close = [here] if here else difflib.get_close_matches(option, options, 1)
    return f" Did you mean {name}={close[0]}?" if close else ""


def bare_hint(word: str, groups: Collection[str], options: Options) -> str:
    """The same of a word without a value: an option of ours or of another program's, or the name of a setting."""
    ours = [f"{group}={word}" for group in sorted(groups) if word in options(group)]
    theirs = [f"{group}={here}" for group in sorted(groups) if (here := option_here(group, word))]
    said = [*ours, *theirs, *filter(None, [typed_here(word, "", options)])]
    return f" Did you mean {said[0]}?" if said else ""


def _unquoted(value: str) -> str:
    """As it was typed, without the quotes in which the program has put a value that the shell had left as it is."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
