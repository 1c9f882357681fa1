"""The hooks, and what a hook sees of the engine."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from vae_runner.corruption import Corruption
from vae_runner.datasets.split import Subset
from vae_runner.objective import Objective
from vae_runner.state import State

__all__ = ["Callback", "Training"]


class Training(Protocol):
    """What a callback sees of the engine. `step` counts the optimiser steps done."""

    config: Any
    device: torch.device
    objective: Objective
    corruption: Corruption
    train: Subset
    validation: Subset
    test: Subset | None
    step: int
    total_steps: int
    validated: dict[str, float | list[float]]

    @property
    def skipped(self) -> int:
        """Steps that were left out since they were not finite."""

    @property
    def epoch(self) -> float:
        """How often the training set has been seen."""

    def is_due(self, every: int) -> bool:
        """Whether something that happens every so many steps, and at the end, happens now."""

    def schedules(self, steps: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns the value of every schedule at these steps (N,), by name: (N,) each."""

    def state_dict(self) -> dict[str, Any]:
        """Returns all that a resumed run needs, in plain containers and tensors."""


class Callback:
    """Base class: every hook does nothing. `name` is under what its state is saved."""

    @property
    def name(self) -> str:
        """Under which its state is kept in a checkpoint."""
        return type(self).__name__

    def on_start(self, engine: Training) -> None:
        """Before the first step of this process."""

    def on_step(self, engine: Training, state: State) -> None:
        """After each optimiser step, with its state."""

    def on_validation(self, engine: Training) -> None:
        """After a validation; its means are in `engine.validated`."""

    def on_step_end(self, engine: Training, state: State) -> None:
        """After each optimiser step, when logs and validation are done."""

    def on_interrupt(self, engine: Training) -> None:
        """The run stops before its end because it was asked to."""

    def on_end(self, engine: Training) -> None:
        """After the last step."""

    def close(self) -> None:
        """The run is over, well or not."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what a resumed run gives back to `load_state_dict`, in plain containers and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was called."""
