"""What tells runs apart: of all their settings those that differ, without what only follows from another one.

A run's settings are the options chosen of each config group (`divergence`: beta), and every value of its config
(`divergence.beta`: 4). The options are what a person would name: `divergence.beta` is left out where, throughout the
runs, it follows from the option `divergence`, unless it was typed.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_runner.foreign import dig, json_object, leaves, read_text, read_yaml
from vae_runner.runs.names import CONFIG, ENVIRONMENT, NOTED_CONFIG, NOTED_HYDRA, NOTED_SETTINGS, NOTES
from vae_runner.text import plain

__all__ = ["Settings", "differences", "label_keys", "marks_of", "read_settings", "short_names", "short_value"]

# Settings that say where and how closely a run was followed, not what it is.
ASIDE = frozenset(
    [f"engine.{name}" for name in ("device", "threads", "progress", "tensorboard", "resume")]
    + [f"engine.{name}_every" for name in ("log", "validate", "picture", "checkpoint")]
    + ["evaluation", *(f"evaluation.{name}" for name in ("scores", "every", "inception"))]
    + ["dataset.root", "dataset.cache_dir", "resume", "trust", "tags", "note", "logger"]
)
LENGTH = "lr_schedule.steps"  # unless it is typed it repeats the run's length


LONG = 1000  # characters of a value
TAG, MOST_TAGS = 80, 50  # characters of a tag; tags


@dataclass(frozen=True)
class Settings:
    """`values` by dotted name, as text; `groups` are the names of options; `typed` what stood on the command line, as
    `command` too, in its order.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    typed: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    note: str = ""
    command: tuple[tuple[str, str], ...] = ()


def read_settings(folder: Path) -> Settings:
    """Returns the settings of the run in the folder, as far as they are written there."""
    config = read_yaml(folder / CONFIG) or read_yaml(folder / NOTES / NOTED_CONFIG)
    values = {plain(name): plain(_shown(value), LONG) for name, value in leaves(config) if name}
    if values.get("engine.seed") in (values.get("seed"), "${seed}"):
        values.pop("engine.seed", None)  # it repeats the root's
    choices = {
        name: plain(_shown(choice)) for name, choice in _choices(folder).items() if not name.startswith("hydra/")
    }
    typed = dict(_typed(read_yaml(folder / NOTES / NOTED_SETTINGS)))
    own = {name: value for name, value in typed.items() if name not in values | choices}
    groups, command = frozenset(choices | own), tuple(typed.items())
    return Settings(choices | values | own, groups, frozenset(typed), *marks_of(config), command)


def marks_of(config: object) -> tuple[tuple[str, ...], str]:
    """Returns the tags and the note of a run, by which people find it again, as its config has them."""
    tags, note = dig(config, "tags"), dig(config, "note")
    listed = tags if isinstance(tags, list) else [tags] if isinstance(tags, str) else []
    shown = (plain(str(tag), TAG) for tag in listed[:MOST_TAGS])
    return tuple(dict.fromkeys(filter(None, shown))), plain(note, LONG) if isinstance(note, str) else ""


def differences(settings: Sequence[Settings]) -> list[str]:
    """The names of all settings that are not the same in every run, in the order in which they are written."""
    names = dict.fromkeys(name for one in settings for name in one.values)
    return [name for name in names if len({one.values.get(name) for one in settings}) > 1]


def label_keys(settings: Sequence[Settings]) -> list[str]:
    """The names of the settings that the runs are told apart by: choices of groups, then settings, of both the typed
    ones first; the seed last.
    """
    groups = sorted({group for one in settings for group in one.groups}, key=len)
    typed = {name for one in settings for name in one.typed}
    differing = differences(settings)
    own = [name for name in differing if name in typed or not any(_follows(name, group, settings) for group in groups)]
    aside = ASIDE | ({LENGTH} - typed)
    kept = [name for name in own if name not in aside] or [name for name in own if name in typed]
    return sorted(kept, key=lambda name: (name == "seed", name not in groups, name not in typed, "." in name))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Returns of each name as much of its end as tells it from the others: `beta` of divergence.beta, unless another
    one ends in it too.
    """
    parts = {name: re.split(r"[./]", name) for name in names}
    ends = {name: {".".join(own[-count:]) for count in range(1, len(own) + 1)} for name, own in parts.items()}
    short = {}
    for name, own in parts.items():
        taken = {end for other in names if other != name for end in ends[other]}
        short[name] = next((end for at in range(1, len(own)) if (end := ".".join(own[-at:])) not in taken), name)
    return short


def short_value(value: str) -> str:
    """'4' of 4.0, '[256,256]' of [256, 256]."""
    if re.fullmatch(r"-?\d+\.0", value):
        return value[:-2]
    return value.replace(", ", ",") if value.startswith(("[", "{")) else value


def _follows(name: str, group: str, settings: Sequence[Settings]) -> bool:
    """Whether a setting inside the group (all are inside a preset, `experiment`) is settled by the group's option."""
    inside = name.startswith((f"{group}/", f"{group.replace('/', '.')}."))
    if name == group or not (inside or group == "experiment"):
        return False
    pairs = {(one.values.get(group), one.values.get(name)) for one in settings}
    return len(pairs) == len({option for option, _ in pairs}) > 1


def _choices(folder: Path) -> Mapping[str, Any]:
    environment = json_object(read_text(folder / ENVIRONMENT))
    found = dig(environment, "choices")
    if not found:  # a run that has not come so far
        found = dig(read_yaml(folder / NOTES / NOTED_HYDRA), "hydra", "runtime", "choices")
    return {plain(name): choice for name, choice in found.items()} if isinstance(found, Mapping) else {}


def _typed(overrides: Any) -> Iterator[tuple[str, str]]:
    for text in overrides if isinstance(overrides, list) else ():
        name, equals, value = str(text).partition("=")
        if equals:
            yield plain(name.lstrip("+~")), plain(value, LONG)


def _shown(value: Any) -> str:
    """As it would be typed."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, list, Mapping)) or value is None:
        with contextlib.suppress(TypeError, ValueError):  # keys that are no texts, numbers of thousands of digits
            return json.dumps(value, default=str)
    return str(value)
