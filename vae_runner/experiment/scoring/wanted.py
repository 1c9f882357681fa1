"""Which scores a run makes of itself, the node `evaluation` of its config, and what may be wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from vae_runner.datasets.base import ImageData
from vae_runner.errors import UserError
from vae_runner.experiment.scoring.alike_runs import OF_SEEDS
from vae_runner.experiment.scoring.catalogue import CATALOGUE
from vae_runner.experiment.scoring.cheap import CHEAP
from vae_runner.experiment.scoring.evaluation import known_scores
from vae_runner.signature import enforced, positive

__all__ = ["AUTO", "EvaluationConfig", "evaluation_config", "makeable", "scores_fault", "with_defaults"]

AUTO, NONE = "auto", "none"


@enforced
@dataclass(frozen=True)
class EvaluationConfig:
    """Which scores, and when.

    scores     auto: those of `cheap.CHEAP`, where the data set states factors; none; or one name or several
    every      steps between scores of the validation images, which make a curve; None: at the end alone
    inception  file of a network of features, for those that need one
    """

    scores: str | list[str] = NONE  # as of runs that were saved before there was this setting
    every: Annotated[int, positive] | None = None
    inception: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The scores that are asked for."""
        return () if self.scores == NONE else tuple(CHEAP) if self.scores == AUTO else known_scores(self.scores)


def evaluation_config(config: Mapping[str, Any]) -> EvaluationConfig:
    """That of a checked config."""
    return EvaluationConfig(**config.get("evaluation", {}))


def with_defaults(node: Any) -> dict[str, Any]:
    """The node with all its settings; a preset may write `evaluation: none`."""
    given = dict(node) if isinstance(node, Mapping) else {"scores": node}
    return {"scores": NONE, "every": None, "inception": None, **given}


def scores_fault(node: Mapping[str, Any]) -> str | None:
    """What is wrong with the scores of a node whose values are of their types."""
    scores = node["scores"]
    if scores == NONE:
        return f"evaluation.every={node['every']} has nothing to score with evaluation=none" if node["every"] else None
    if scores == AUTO:
        return None
    try:
        names = known_scores(scores)
    except UserError as error:
        return f"evaluation: {str(error).replace('score=[]', 'evaluation=[]')}, auto, none"
    if alike := [name for name in names if name in OF_SEEDS]:
        return f"evaluation: {alike[0]} compares runs; vae-evaluate SWEEP score={alike[0]} makes it of a sweep"
    return None


def makeable(wanted: EvaluationConfig, data: ImageData) -> tuple[str, ...]:
    """The scores that are asked for and can be made of such data. Raises `UserError` where a curve would have none."""
    has_factors = data.grid is not None and bool(data.grid.varying)
    names = tuple(name for name in wanted.names if has_factors or not CATALOGUE[name].needs_factors)
    if wanted.every and not names:
        raise UserError(
            f"evaluation.every={wanted.every}: the data set states no factors, which "
            f"{'evaluation=auto' if wanted.scores == AUTO else ', '.join(wanted.names)} needs; name scores that need "
            "none, such as evaluation=active_units"
        )
    return names
