"""Ranges that no annotation of ours can say: those of torch's optimisers, and of the schedule of their rate.

A learning rate above 10 throws the weights about, one below 1e-9 leaves most of them where they are in single
precision.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from hydra.utils import instantiate

from vae_runner.experiment.checking.scheduled import end_faults, ends, is_schedule
from vae_runner.signature import Limit, between, mismatch, non_negative

__all__ = ["OPTIMIZER", "check_rates"]

RATE = between(1e-9, 10)
OPTIMIZER: dict[str, Any] = {
    "lr": Annotated[float, RATE],
    "eps": Annotated[float, between(1e-30, 1)],
    "weight_decay": Annotated[float, between(0, 100)],
    "lr_decay": Annotated[float, between(0, 1)],
    "initial_accumulator_value": Annotated[float, between(0, 1000)],
    "maximize": Annotated[bool, Limit("must be false: the loss is to become small", lambda value: not value)],
}
FACTOR = Annotated[float, non_negative]


def check_rates(config: Mapping[str, Any], in_trial: bool = True) -> list[str]:
    """What is wrong with the optimiser and the schedule of its learning rate, which have fitting types already.

    `in_trial` the optimiser makes a step, for which torch loads its compiler, for seconds.
    """
    node, schedule = config["optimizer"], config["lr_schedule"]
    problems = end_faults(schedule, FACTOR, "lr_schedule")
    if str(node["_target_"]).startswith("torch.optim."):
        hints = {name: hint for name, hint in OPTIMIZER.items() if name in node}
        problems += [
            f"optimizer.{name} {problem}, got {str(node[name]).lower()}"
            for name, hint in hints.items()
            if (problem := mismatch(node[name], hint))
        ]
        problems = problems or _check_highest(node.get("lr"), schedule)
    return problems or (_check_step(node) if in_trial else [])


def _check_highest(rate: Any, schedule: Mapping[str, Any]) -> list[str]:
    """Whether the schedule takes the learning rate out of its range."""
    if not is_schedule(schedule) or not isinstance(rate, (int, float)) or not ends(schedule):
        return []
    highest = rate * max(schedule[name] for name in ends(schedule))
    problem = RATE.broken_by(highest)
    return [f"optimizer.lr times the largest factor of lr_schedule {problem}, got {highest:g}"] if problem else []


def _check_step(node: Mapping[str, Any]) -> list[str]:
    """torch's optimisers judge their arguments only when they are made, or in a step: have one step a single number."""
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    try:
        instantiate(dict(node), params=[weight], _convert_="all").step()
    except Exception as error:
        return [f"optimizer: {' '.join(str(error.__cause__ or error).split())}"]
    return []
