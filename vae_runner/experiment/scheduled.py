"""What a schedule in a config leads to, judged before anything is built: its arguments together, its whole range."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate

from vae_runner.schedule import Schedule
from vae_runner.signature import fault, locate

__all__ = ["schedule_faults"]


def schedule_faults(node: Any, hint: Any, key: str) -> list[str]:
    """Returns a line where the node is a schedule that cannot be made, or that leaves the range of its setting.

    `hint` is the annotation of the setting, whose limits hold for a number; the node's own arguments are checked.
    """
    target = locate(node["_target_"]) if isinstance(node, Mapping) and "_target_" in node else None
    if not (isinstance(target, type) and issubclass(target, Schedule)):
        return []
    try:
        schedule: Schedule = instantiate(dict(node), _convert_="all")
    except Exception as error:
        reason = str(error.__cause__ or error).removeprefix(f"{target.__name__}: ")
        return [f"{key}: {reason}"]
    for value in schedule.extremes():
        if problem := fault(value, hint):
            return [f"{key} {problem}, but its schedule comes to {value:g}"]
    return []
