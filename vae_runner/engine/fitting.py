"""Whether what a checkpoint holds fits the model and the optimiser that are to go on with it.

torch compares the weights' names and shapes, but takes whatever moments it is given: they would fail in the middle of
a step. What moments there must be, and of which shape, the optimiser says itself: one of its kind makes a step on
parameters that take no memory.
"""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae_runner.errors import UserError
from vae_runner.text import plain

__all__ = ["load_optimizer", "load_weights"]

WAYS = frozenset({"fused", "foreach", "capturable", "differentiable"})  # to the same figures: those of this machine
ANOTHER = "the checkpoint is of another model than the config"


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Take the weights. Raises `UserError` where they are of another model."""
    try:
        module.load_state_dict(weights)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).strip().split("\n")[-1].strip()
        raise UserError(f"{ANOTHER}: {plain(reason)}") from error


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take the optimiser's state. Raises `UserError` where its settings, or its moments, are those of another one."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    expected = _moments_of_one_step(optimizer)
    nothing: dict[str, Any] = {}
    groups = [
        {**theirs, **{name: mine[name] for name in WAYS & mine.keys()}}
        for mine, theirs in itertools.zip_longest(own, state["param_groups"], fillvalue=nothing)
    ]
    try:
        optimizer.load_state_dict({**state, "param_groups": groups})
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).strip().split("\n")[-1].strip()
        raise UserError(f"{ANOTHER}: {plain(reason)}") from error
    for number, (mine, group) in enumerate(zip(own, optimizer.param_groups, strict=True)):
        for name, value in mine.items():
            if name not in ("lr", "initial_lr") and not _equal(group.get(name), value):
                raise UserError(
                    f"{ANOTHER}: its optimizer has {name}={plain(group.get(name), 40)} in group {number}, not {value}"
                )
    if expected is not None:
        _check_moments(optimizer, expected)


def _equal(theirs: Any, mine: Any) -> bool:
    return not isinstance(theirs, Tensor) and (
        list(theirs) == list(mine)
        if isinstance(mine, (tuple, list)) and isinstance(theirs, (tuple, list))
        else theirs == mine
    )


def _moments_of_one_step(optimizer: torch.optim.Optimizer) -> list[dict[str, torch.Size]] | None:
    """The names and shapes of each parameter's moments; None of an optimiser that does not work without memory."""
    shadows: list[Tensor] = []
    groups = []
    for group in optimizer.param_groups:
        params = [nn.Parameter(torch.empty_like(parameter, device="meta")) for parameter in group["params"]]
        for parameter in params:
            parameter.grad = torch.empty_like(parameter)
        shadows += params
        groups.append({**group, **dict.fromkeys(WAYS & group.keys(), False), "params": params})
    try:
        twin, empty = copy.copy(optimizer), type(optimizer.state)(dict)
        twin.__setstate__({"state": empty, "param_groups": groups, "defaults": optimizer.defaults})
        twin.step()
        return [{name: _shape(value) for name, value in twin.state[one].items()} for one in shadows]
    except Exception:  # an optimiser of the user's own may do anything
        return None


def _check_moments(optimizer: torch.optim.Optimizer, expected: list[dict[str, torch.Size]]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, (parameter, moments) in enumerate(zip(parameters, expected, strict=True)):
        had = {name: _shape(value) for name, value in optimizer.state.get(parameter, {}).items()}
        if had and had != moments:
            wrong = next(name for name in (*moments, *had) if had.get(name) != moments.get(name))
            raise UserError(
                f"{ANOTHER}: its optimizer has {plain(wrong, 40)} {_told(had.get(wrong))} of parameter {number}, "
                f"not {_told(moments.get(wrong))}"
            )
    for moments in optimizer.state.values():
        if "step" in moments and not float(moments["step"]) >= 0:
            raise UserError(f"{ANOTHER}: its optimizer has step={float(moments['step']):g}")


def _shape(value: Any) -> torch.Size | None:
    """Of a tensor; a number has the shape of a tensor that is one."""
    return value.shape if isinstance(value, Tensor) else torch.Size() if isinstance(value, (int, float)) else None


def _told(shape: torch.Size | None) -> str:
    return "nothing" if shape is None else f"{tuple(shape)}"
