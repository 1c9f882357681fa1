"""Checkpoints at an interval, at an interrupt and at the end; and the best by the validation's -ELBO."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vae_runner.callbacks.base import Callback, Training
from vae_runner.checkpoint import save_checkpoint, save_latest
from vae_runner.errors import RunError
from vae_runner.runs.names import BEST
from vae_runner.state import State

__all__ = ["Checkpoints"]


class Checkpoints(Callback):
    """Keeps `last.pt`, `previous.pt` and `best.pt` in `folder`; stand last among the callbacks.

    `extra` (the config, say) goes into every file.
    """

    def __init__(self, folder: Path, every: int, extra: Mapping[str, Any]) -> None:
        self.folder, self.every, self.extra = folder, every, dict(extra)
        self.best = math.inf
        self.saved_step: int | None = None

    def on_start(self, engine: Training) -> None:
        if engine.step > 0:  # it was loaded
            self.saved_step = engine.step

    def on_validation(self, engine: Training) -> None:
        neg_elbo = engine.validated["neg_elbo"]
        if engine.step > 0 and neg_elbo < self.best:
            self.best = neg_elbo
            save_checkpoint(self.folder / BEST, self._content(engine))

    def on_step_end(self, engine: Training, state: State) -> None:
        if engine.is_due(self.every):
            self.save(engine)

    def on_interrupt(self, engine: Training) -> None:
        if self.saved_step != engine.step:
            self.save(engine)

    def state_dict(self) -> dict[str, Any]:
        """Returns the best -ELBO so far."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]

    def save(self, engine: Training) -> None:
        """Save this step as the last one."""
        save_latest(self.folder, self._content(engine))
        self.saved_step = engine.step

    def _content(self, engine: Training) -> dict[str, Any]:
        """Raises `RunError` rather than keep weights, sums or moments that are lost."""
        state = engine.state_dict()
        for name, value in [*state["objective"].items(), *_moments(state["optimizer"])]:
            if not value.isfinite().all():
                raise RunError(f"{name} is not finite at step {engine.step:,}")
        return {**self.extra, "image_shape": list(engine.train.data.image_shape), **state}


def _moments(optimizer: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """What the optimiser remembers of each parameter."""
    for number, moments in optimizer["state"].items():
        for name, value in moments.items():
            if isinstance(value, Tensor):
                yield f"the optimiser's {name} of parameter {number}", value
