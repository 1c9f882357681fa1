"""What a schedule in a config leads to, judged before anything is built: its arguments together, its whole range.

A schedule has to keep, at both its ends and between them, what the number in whose place it stands has to keep.
"""

from collections.abc import Mapping
from typing import Any, get_args

from hydra.utils import instantiate

from vae_runner.schedule import Schedule
from vae_runner.signature import locate, mismatch

__all__ = ["CHOICES", "end_faults", "ends", "how_to_schedule", "is_schedule", "schedule_faults"]

CHOICES = ("linear", "cosine", "sigmoid", "exponential", "cyclic", "steps", "chain")  # options of the group `schedule`
ENDS = ("value", "start", "end")  # the arguments of a schedule between which its values lie


def schedule_faults(node: Any, hint: Any, key: str) -> list[str]:
    """Returns a line where the node is a schedule that cannot be made, or that leaves the range of its setting.

    `hint` is the annotation of the setting, whose limits hold for a number; the node's own arguments are checked.
    """
    if not is_schedule(node):
        return []
    if faults := end_faults(node, hint, key):
        return faults
    try:
        schedule: Schedule = instantiate(dict(node), _convert_="all")
    except Exception as error:
        reason = str(error.__cause__ or error).removeprefix(f"{locate(node['_target_']).__name__}: ")
        return [f"{key}: {reason}"]
    for value in schedule.extremes():
        if problem := mismatch(value, hint):
            return [f"{key} {problem}, but its schedule comes to {value:g}"]
    return []


def how_to_schedule(value: Any, hint: Any, key: str) -> str:
    """'; a schedule is chosen by ...', of a word in the place of a number that may be a schedule; else nothing."""
    if not isinstance(value, str) or Schedule not in get_args(hint):
        return ""
    return f"; a schedule is chosen by its group: schedule@{key}={value if value in CHOICES else 'linear'}"


def end_faults(node: Any, hint: Any, key: str) -> list[str]:
    """Returns a line for each end of a schedule that the number in whose place it stands cannot be."""
    if not is_schedule(node):
        return []
    faults = {name: problem for name in ends(node) if (problem := mismatch(node[name], hint))}
    return [f"{key}.{name} {problem}, got {node[name]!r}" for name, problem in faults.items()]


def is_schedule(node: Any) -> bool:
    """Whether the node makes a schedule."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return False
    try:
        target = locate(node["_target_"])
    except ImportError:
        return False  # told where the node itself is checked
    return isinstance(target, type) and issubclass(target, Schedule)


def ends(schedule: Mapping[str, Any]) -> list[str]:
    """The names of the arguments that are ends of the schedule, and numbers."""
    return [name for name in ENDS if isinstance(schedule.get(name), (int, float))]
