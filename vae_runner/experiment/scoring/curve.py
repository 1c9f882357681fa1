"""Scores of a run while it is trained: of the validation images, so that nothing is chosen by the test."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vae_runner.auto_encoder import VAE
from vae_runner.callbacks import Callback, MetricsLog
from vae_runner.callbacks.base import Training
from vae_runner.datasets.split import Parts, Subset
from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate
from vae_runner.experiment.scoring.subject import Part, Settings, Subject
from vae_runner.randomness import all_isolated
from vae_runner.state import State

__all__ = ["Live", "ScoreCurve", "parts_of"]

SCORED = "scores"  # the split of a record of scores
PART: Part = "validation"


@dataclass
class Live:
    """A run in training, or at its end, as scores see it."""

    folder: Path
    config: dict[str, Any]
    model: VAE
    step: int
    checkpoint: str | None
    device: torch.device
    data: Parts


def parts_of(engine: Training) -> Parts:
    """The images of a run; its test part is empty where there is none."""
    none = Subset(engine.train.data, torch.empty(0, dtype=torch.int64))
    return Parts(engine.train, engine.validation, engine.test or none)


class ScoreCurve(Callback):
    """Makes the scores of those `names` every so many steps, and has them recorded in the log; stand before what looks
    at the log, and before the checkpoints.

    A copy of the model is asked, under generators of its own: the training is the same to the bit.
    """

    def __init__(
        self,
        metrics: MetricsLog,
        names: tuple[str, ...],
        every: int,
        config: Mapping[str, Any],
        inception: str | None = None,
    ) -> None:
        self.metrics, self.names, self.every, self.config = metrics, names, every, dict(config)
        self.inception = inception

    def on_step_end(self, engine: Training, state: State) -> None:
        if engine.step % self.every == 0:
            self.metrics.note(engine, SCORED, {"part": PART, **self._scores(engine)})

    def _scores(self, engine: Training) -> dict[str, float]:
        model, folder = copy.deepcopy(engine.objective.model).eval(), self.metrics.file.parent
        live = Live(folder, self.config, model, engine.step, None, engine.device, parts_of(engine))
        with all_isolated(0, engine.device), torch.no_grad():
            made = list(
                evaluate(Subject(live, Settings(part=PART, inception=self.inception), is_kept=False), self.names)
            )
        return {one[0]: one[1]["value"] for one in made if not isinstance(one, LeftOut)}
