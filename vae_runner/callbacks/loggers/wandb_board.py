"""Weights & Biases by its own package. WANDB_MODE=offline writes to RUN/wandb alone, for `wandb sync`; WANDB_PROJECT is
the project.
"""

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from vae_runner.callbacks.loggers.board import Board

__all__ = ["WandbBoard"]


class WandbBoard(Board):
    """A run there. Each row has its step of the training: pictures come later than the figures of their step."""

    kind: ClassVar[str] = "wandb"

    def open(self, noted: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        self.run = self.package.init(
            project=os.environ.get("WANDB_PROJECT", "vae_runner"),
            name=self.folder.resolve().name,
            id=noted.get("id"),
            resume="allow",
            dir=str(self.folder),
            config=dict(settings),
            settings=self.package.Settings(console="off", silent=True),
        )
        self.run.define_metric("step", hidden=True)
        self.run.define_metric("*", step_metric="step")
        return {"id": self.run.id}

    def figures(self, values: Mapping[str, float], step: int) -> None:
        self.run.log({**values, "step": step})

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        self.run.log({name: self.package.Image(pixels), "step": step})

    def finish(self) -> None:
        self.run.finish()
