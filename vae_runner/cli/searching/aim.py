"""What a search is by: -ELBO of the last validation, or a score that each run makes of itself."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_runner.errors import UserError
from vae_runner.experiment.scoring.evaluation import known_scores
from vae_runner.experiment.scoring.wanted import AUTO, evaluation_config
from vae_runner.report.scored.score_kinds import LOWER_IS_BETTER
from vae_runner.report.sweep import read_sweep

__all__ = ["Aim", "aim_faults"]

NEG_ELBO = "neg_elbo"


@dataclass(frozen=True)
class Aim:
    """`objective` is neg_elbo or the name of a score."""

    objective: str

    @property
    def way(self) -> str:
        """'minimize' or 'maximize', as Optuna says it: the way in which it is better."""
        return "minimize" if self.objective in LOWER_IS_BETTER else "maximize"

    def figure(self, folder: Path) -> float | None:
        """What the run in the folder came to; None where it is not done, or has no such figure that is finite."""
        (job,) = read_sweep([folder], folder).jobs
        if job.state != "done":
            return None
        scores = [value for (name, _), value in job.scores.items() if name == self.objective]
        figure = job.validated(NEG_ELBO) if self.objective == NEG_ELBO else next(iter(scores), None)
        return figure if figure is not None and math.isfinite(figure) else None


def aim_faults(objective: Any, configs: list[dict[str, Any]]) -> list[str]:
    """What is wrong with it, of jobs with these configs."""
    if objective == NEG_ELBO:
        return []
    try:
        (name,) = known_scores([str(objective)])
    except UserError:
        return [f"hydra.sweeper.objective must be {NEG_ELBO} or the name of a score, as mig; got {objective}"]
    return _unmade(name, configs)


def _unmade(name: str, configs: list[dict[str, Any]]) -> list[str]:
    """That a job would not make the score."""
    for config in configs:
        wanted = evaluation_config(config)
        if name not in wanted.names:
            made = "auto makes others" if wanted.scores == AUTO else f"evaluation={wanted.scores} does not make it"
            return [f"hydra.sweeper.objective={name}: {made}; add evaluation=[{name}]"]
    return []
