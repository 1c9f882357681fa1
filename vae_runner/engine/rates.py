"""The learning rates of an optimiser's groups: the model's follow the schedule, a term's own weights keep their own."""

import torch

from vae_runner.objective import Objective

__all__ = ["Rates"]


class Rates:
    """The rates that the groups have when it is made, each times the schedule's factor where it is not a term's own.

    Raises `ValueError` where weights that have settings of their own are in no group of theirs.
    """

    def __init__(self, objective: Objective, optimizer: torch.optim.Optimizer) -> None:
        self._groups = optimizer
        self.base = [group["lr"] for group in optimizer.param_groups]
        _, *own = objective.parameter_groups()
        apart = {id(weights) for group in own for weights in group["params"]}
        inside = [{id(weights) in apart for weights in group["params"]} for group in optimizer.param_groups]
        if {True, False} in inside:
            raise ValueError("a term has settings of its own: make the optimiser of objective.parameter_groups()")
        self._is_constant = [kinds == {True} for kinds in inside]

    def set(self, factor: float) -> None:
        """Set the rates of a step, of which the schedule's factor is given."""
        groups = zip(self._groups.param_groups, self.base, self._is_constant, strict=True)
        for group, rate, is_constant in groups:
            group["lr"] = rate if is_constant else rate * factor
