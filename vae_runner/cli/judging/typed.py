"""Settings whose values are texts, taken as they are typed.

Hydra's grammar judges a value by itself: `2024_01_02` is the number 20240102, `1e3` is 1000.0, `007` is 7, `true` and
`null` are no texts, and `photos(1)` is a call of something. Where a setting is a path, or takes a text and not what
Hydra has read, the value is put in quotes, in which Hydra leaves it alone.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from vae_runner.datasets.split import SplitConfig
from vae_runner.engine import EngineConfig
from vae_runner.experiment.checking.check import ROOT
from vae_runner.runs.words import literal, quoted
from vae_runner.signature import locate, mismatch, parameters

__all__ = ["as_typed", "hint_in", "is_path"]

SENTENCE = "note"  # whose commas part no values
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir")
PLAIN = re.compile(r"[^,'\"\\$\x00-\x1f]+")  # what goes into quotes as it is, and is one value
Parse = Callable[[str], Override]


def as_typed(argument: str, hint: Any, parse: Parse) -> str:
    """The argument, with its value in quotes where that makes a text of it, as the annotation `hint` wants it."""
    name, equals, value = argument.partition("=")
    if not equals or hint is Any or not _takes_text(hint):
        return argument
    if name == SENTENCE and value not in ("", "null") and value[0] not in "'\"":
        return f"{name}={quoted(literal(value))}"
    try:
        if parse(argument).is_sweep_override() and not parse(argument).is_choice_sweep():
            return argument
    except HydraException:
        return f"{name}={quoted(value)}" if PLAIN.fullmatch(value) else argument
    if re.match(r"(choice|sort|shuffle|tag)\(", value) or set(value) & set("'\"\\"):
        return argument
    pieces = value.split(",") if parse(argument).is_sweep_override() else [value]
    return f"{name}={','.join(_piece(piece, hint, parse) for piece in pieces)}"


def hint_in(config: Mapping[str, Any], key: str) -> Any:
    """The annotation of what takes the setting in that config; `Any` where nobody knows."""
    key = key.lstrip("+")
    if key in FOLDERS:
        return str | Path
    if key in ROOT:
        return ROOT[key]
    parent, _, name = key.rpartition(".")
    if parent == "engine":
        return _of(EngineConfig, name)
    if parent == "dataset" and name in {field.name for field in fields(SplitConfig)}:
        return _of(SplitConfig, name)
    node: Any = config
    for part in parent.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    try:
        return _of(locate(node["_target_"]), name) if isinstance(node, Mapping) and "_target_" in node else Any
    except Exception:  # what cannot be imported is told by the check of the config
        return Any


def is_path(hint: Any) -> bool:
    """Whether the annotation takes a path."""
    return hint is Path or any(is_path(part) for part in get_args(hint))


def _piece(text: str, hint: Any, parse: Parse) -> str:
    """One value, in quotes where it has to be a text and Hydra would read something else."""
    try:
        value = parse(f"x={text}").value()
    except HydraException:
        return quoted(text) if PLAIN.fullmatch(text) else text
    if isinstance(value, (str, dict)) or not PLAIN.fullmatch(text) or (value is None and not is_path(hint)):
        return text
    return quoted(text) if mismatch(value, hint) and not mismatch(text, hint) else text


def _takes_text(hint: Any) -> bool:
    return not mismatch("text", hint)


def _of(target: Any, name: str) -> Any:
    return parameters(target).get(name, (None, Any))[1]
