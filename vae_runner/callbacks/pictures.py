"""Pictures at an interval: each walker's grid as PNG, a copy in the history, and a JSON file beside it."""

from collections.abc import Mapping
from pathlib import Path

import torch

from vae_runner.callbacks.base import Callback, Training
from vae_runner.datasets.split import Subset
from vae_runner.files import write_atomically, write_json
from vae_runner.randomness import isolated, permutation, seed_for
from vae_runner.state import DEVICE, MODEL, STEP, State, X
from vae_runner.visualisation import Grid, LatentWalker
from vae_runner.visualisation.grid import png

__all__ = ["Pictures"]

FIRST = 100  # steps after which the first pictures come at the latest
BATCH = 256  # images that a walker sees


class Pictures(Callback):
    """Writes `NAME.png` (newest) and `history/NAME-STEP.png` into `folder`, for each of the named walkers.

    Every picture is made of the same images: the data set's own choice first, then some of the split. They are made
    in evaluation mode and under generators of their own, so they change nothing of the training. Walkers of one split
    share a state, that of the model's forward pass: what one puts there (`to_key`), those behind it find.
    """

    def __init__(self, folder: str | Path, walkers: Mapping[str, LatentWalker], every: int) -> None:
        self.folder, self.walkers, self.every = Path(folder), dict(walkers), every

    def on_step_end(self, engine: Training, state: State) -> None:
        if engine.is_due(self.every) or engine.step == min(FIRST, self.every):
            self.write(engine)

    @torch.no_grad()
    def write(self, engine: Training) -> None:
        """Write all pictures of this step."""
        model = engine.objective.model
        was_training = model.training
        model.eval()
        try:
            states = {phase: _state(engine, phase) for phase in {walker.phase for walker in self.walkers.values()}}
            for name, walker in self.walkers.items():
                with isolated(0, engine.device):
                    grid = walker(states[walker.phase])
                self._save(name, grid, engine)
        finally:
            model.train(was_training)

    def _save(self, name: str, grid: Grid, engine: Training) -> None:
        details = {"picture": name, "step": engine.step, "seed": engine.config.seed, "range": [0, 1], **grid.details}
        data = png(grid)
        for file in (self.folder / "history" / f"{name}-{engine.step:07d}", self.folder / name):
            write_atomically(file.with_suffix(".png"), data)
            write_json(file.with_suffix(".json"), details)


def _state(engine: Training, phase: str) -> State:
    """What the model makes of the images that pictures of that split are made of."""
    model = engine.objective.model
    images = picture_images(engine.train if phase == "train" else engine.validation, BATCH)
    state: State = {X: images, MODEL: model, STEP: engine.step, DEVICE: engine.device}
    with isolated(0, engine.device):
        model(images, state)
    return state


def picture_images(subset: Subset, count: int) -> torch.Tensor:
    """The images that pictures are made of, (count or fewer, C, H, W): the showcase, then a choice of the subset that
    is always the same.
    """
    showcase = torch.tensor(subset.data.showcase(), dtype=torch.int64, device=subset.indices.device)
    chosen = permutation(len(subset), seed_for(0, "pictures"))[: max(count - len(showcase), 0)]
    return torch.cat([subset.data.gather(showcase), subset.batch(chosen.to(subset.indices.device))])
