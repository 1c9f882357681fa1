"""By which figure runs are ranked: -ELBO of the last validation, or a score that they have.

The lowest -ELBO is that of the model that pays least for its images, and of a sweep over beta always that of the
smallest one; what a run has learned is another question, which a score asks.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vae_runner.errors import UserError
from vae_runner.report.scored.score_kinds import LOWER_IS_BETTER
from vae_runner.runs.score_names import parted
from vae_runner.runs.words import and_more
from vae_runner.text import plain

__all__ = ["Ranking", "by_score"]

OF_LIKELIHOODS = frozenset({"log_px", "rate_distortion", "neg_elbo", "bits_per_dim", "recon"})  # where that is the same


@dataclass(frozen=True)
class Ranking:
    """`score` is a name and a part of the data; None: -ELBO."""

    score: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """'-ELBO', or 'mig'."""
        return "-ELBO" if self.score is None else self.score[0]

    @property
    def is_of_a_likelihood(self) -> bool:
        """Whether runs have to have the same one, and the same images, to be compared."""
        return self.score is None or parted(self.score[0])[0] in OF_LIKELIHOODS

    @property
    def is_lowest(self) -> bool:
        """Whether the lowest is the best."""
        return self.score is None or parted(self.score[0])[0] in LOWER_IS_BETTER

    @property
    def best(self) -> str:
        """'lowest -ELBO', 'highest mig (test)'."""
        part = "" if self.score is None else f" ({self.score[1]})"
        return f"{'lowest' if self.is_lowest else 'highest'} {self.name}{part}"

    def value(self, neg_elbo: float | None, scores: Mapping[tuple[str, str], float]) -> float | None:
        """The figure of a run, None where it has none that is finite."""
        found = neg_elbo if self.score is None else scores.get(self.score)
        return found if found is not None and math.isfinite(found) else None

    def key(self, value: float | None) -> tuple[bool, float]:
        """By which the best comes first, and what has no value last."""
        return value is None, 0.0 if value is None else value if self.is_lowest else -value


def by_score(name: str, scores: Iterable[tuple[str, str]]) -> Ranking:
    """Returns the ranking by the score of that name, of those that the runs have, by name and part of the data.

    Raises `UserError` where none has it, or where they have it of several parts.
    """
    known = list(dict.fromkeys(scores))
    parts = [part for one, part in known if one == name]
    if len(parts) == 1:
        return Ranking((name, parts[0]))
    if parts:
        told = ", ".join(parts)
        raise UserError(f"rank={name}: the runs have it of several parts of the data ({told}); score all of them alike")
    names = list(dict.fromkeys(one for one, _ in known))
    has = f"they have {and_more(names, 30)}" if names else "they have none"
    raise UserError(f"rank={plain(name)}: no run has that score, {has}; vae-evaluate FOLDER score=NAME makes it")
