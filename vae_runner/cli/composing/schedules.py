"""Schedules that are chosen on the command line for any setting that may change with the step.

    schedule@NODE=OPTION      puts the option of `schedule` where the setting NODE was, whatever stood there

Hydra would have it appended (`+schedule@...`), and merged with what stood there, so that a Linear that becomes a Cosine
would keep what only a Linear has. Here what stands at NODE is taken out of all files that are read before the option;
what the command line sets inside of it comes after it, as everywhere.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override, OverrideType

__all__ = ["GROUP", "append_schedules", "judge_schedule", "replaced_by_schedules", "takes_schedule"]

GROUP = "schedule"


def append_schedules(overrides: Iterable[Override]) -> list[Override]:
    """The overrides, with those that choose a schedule as Hydra's appending ones, a chain before its parts."""
    chosen = [override for override in overrides if override.key_or_group == GROUP and override.package]
    for override in chosen:
        if override.type == OverrideType.CHANGE:
            override.type = OverrideType.ADD
    chosen.sort(key=lambda override: str(override.package).count("."))
    parts = iter(chosen)
    return [next(parts) if override.key_or_group == GROUP and override.package else override for override in overrides]


def replaced_by_schedules(defaults: Sequence[ResultDefault]) -> dict[int, list[str]]:
    """The nodes that are to be left out of each config file, by its place, as schedules that come later stand there."""
    nodes: list[str] = []
    left_out = {}
    for place in reversed(range(len(defaults))):
        left_out[place] = list(nodes)
        if (defaults[place].config_path or "").startswith(f"{GROUP}/"):
            nodes.append(str(defaults[place].package))
    return left_out


def judge_schedule(override: Override) -> str | None:
    """What is wrong with where a schedule is put, as far as its name tells."""
    if override.key_or_group != GROUP or override.is_delete():
        return None
    if not override.package:
        return (
            f"{override.input_line}: say what it is for, such as {GROUP}@divergence.beta={override.get_value_string()}"
        )
    if isinstance(override.value(), list):
        return f"{override.input_line}: one schedule for a setting; {GROUP}@{override.package}=chain joins two"
    return None


def takes_schedule(value: Any) -> bool:
    """Whether what stands at a node is a number that may be a schedule, or a schedule already."""
    return isinstance(value, float) or str(getattr(value, "_target_", "")).startswith("vae_runner.schedule.")
