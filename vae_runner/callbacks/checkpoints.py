"""Checkpoints at an interval, at an interrupt and at the end; and the best by the validation's -ELBO.

Beside them, where a page compares steps, the model's weights alone at the times of pictures: of a long run those of so
many steps, evenly, as take no more than `MEMORY` bytes.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vae_runner.callbacks.base import Callback, Training
from vae_runner.checkpoint import save_checkpoint, save_latest
from vae_runner.errors import RunError
from vae_runner.runs.names import BEST, checkpoint_file, of_step
from vae_runner.state import State
from vae_runner.visualisation.exploring.compared_steps import thinned

__all__ = ["MODELS", "Checkpoints", "KeptWeights", "kept_steps"]

MODELS = "model."  # before the names of an objective's weights that are its model's
WEIGHTS = "weights"
KEPT = re.compile(rf"{WEIGHTS}-(\d{{7,15}})\.pt")
MOST, MEMORY = 32, 256_000_000  # steps that are kept, and bytes


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


class KeptWeights(Callback):
    """Keeps the model's weights in `folder` whenever `is_due`."""

    def __init__(self, folder: Path, is_due: Callable[[Training], bool]) -> None:
        self.folder, self.is_due = folder, is_due

    def on_start(self, engine: Training) -> None:
        """Take away what a run that goes on from an earlier step makes anew."""
        for step, file in kept_steps(self.folder).items():
            if step > engine.step:
                file.unlink(missing_ok=True)

    def on_step_end(self, engine: Training, state: State) -> None:
        if self.is_due(engine):
            self.keep(engine)

    def keep(self, engine: Training) -> None:
        """Keep the weights of this step, and give those up that are too many by now."""
        weights = engine.objective.state_dict().items()
        own = {name: value for name, value in weights if name.startswith(MODELS)}
        file = self.folder / checkpoint_file(of_step(WEIGHTS, engine.step))
        save_checkpoint(file, {"step": engine.step, "objective": own})
        kept = kept_steps(self.folder)
        left = thinned(list(kept), min(MOST, MEMORY // file.stat().st_size))
        for step in kept.keys() - set(left):
            kept[step].unlink(missing_ok=True)


def kept_steps(folder: Path) -> dict[int, Path]:
    """Returns the files of the weights that are kept in a folder, by their steps, ascending."""
    found = {int(match[1]): file for file in folder.glob("*") if (match := KEPT.fullmatch(file.name))}
    return dict(sorted(found.items()))


def _moments(optimizer: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """What the optimiser remembers of each parameter."""
    for number, moments in optimizer["state"].items():
        for name, value in moments.items():
            if isinstance(value, Tensor):
                yield f"the optimiser's {name} of parameter {number}", value
