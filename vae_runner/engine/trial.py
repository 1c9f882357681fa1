"""Steps of a copy, to learn from: what they take in time and memory. The run is the same to the bit without them."""

import copy
import time

import torch
from torch import Tensor

from vae_runner.datasets.split import Subset
from vae_runner.engine.config import EngineConfig
from vae_runner.engine.step import TrainingStep
from vae_runner.objective import Objective
from vae_runner.randomness import isolated
from vae_runner.state import State

__all__ = ["Trial"]


class Trial:
    """Training steps of a copy of objective and optimiser, not compiled, on the first images of the training set."""

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        config: EngineConfig,
        train: Subset,
        device: torch.device,
        precision: str,
    ) -> None:
        objective, optimizer = copy.deepcopy((objective, optimizer))
        objective.train()
        self.step = TrainingStep(objective, optimizer, config, device, precision)
        self.train, self.device = train, device
        self._batch: Tensor | None = None

    def __call__(self, size: int) -> State:
        """Make a step on so many images."""
        x = self._images(size)
        with isolated(0, self.device):
            pair = (x.flip(0),) * 2 if self.step.objective.pairings() else ()  # any images take as long as partners
            state = self.step.gradients(x, x, *pair)
            self.step.update(state)
        return state

    def seconds(self, size: int) -> float:
        """Make a step on so many images; returns its wall time."""
        self._images(size)
        begun = time.perf_counter()
        self(size)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - begun

    def _images(self, size: int) -> Tensor:
        if self._batch is None or len(self._batch) != size:
            self._batch = self.train.batch(torch.arange(size, device=self.train.indices.device) % len(self.train))
        return self._batch
