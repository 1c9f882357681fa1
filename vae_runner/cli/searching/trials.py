"""A search's trials, as Optuna keeps them: values that are proposed, and the figures that came of them.

The sampler is made anew for each trial, with a seed of (seed, trial). So what it proposes follows from the trials that
are told and from nothing that is kept in memory: a search that was stopped goes on as the unbroken one would have.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vae_runner.cli.searching.search_space import SearchSpace
from vae_runner.errors import UserError
from vae_runner.randomness import seed_for
from vae_runner.runs.names import STUDY

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

__all__ = ["SAMPLERS", "Proposed", "Trials"]

TPE, RANDOM = SAMPLERS = ("tpe", "random")
JOB, SWEEP = "job", "sweep"  # notes of a trial: its job's number, and the folder of the sweep that it is of


@dataclass(frozen=True)
class Proposed:
    """A trial: its number in the study, and what was proposed for each setting."""

    trial: "Trial | FrozenTrial"

    @property
    def number(self) -> int:
        """Its number in the study, from 0."""
        return self.trial.number

    @property
    def values(self) -> Mapping[str, Any]:
        """What was proposed, by the names of the settings."""
        return self.trial.params

    def note_job(self, job: int) -> None:
        """Note which job does it."""
        self.trial.set_user_attr(JOB, job)


class Trials:
    """Those of the sweep in `folder`; `settings` are those of Hydra's sweeper, of which the study's file is one.

    Raises `UserError` where the study is one of another kind, or cannot be opened.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], space: SearchSpace, way: str) -> None:
        self.folder, self.settings, self.space = folder.resolve(), settings, space
        self.is_own = settings["storage"] is None
        with _quiet():
            self.study = self._opened(way)

    def _opened(self, way: str) -> Any:
        import optuna

        storage = self.settings["storage"] or f"sqlite:///file:{quote(str(self.folder / STUDY))}?uri=true"
        name = self.settings["study_name"] or self.folder.name
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction=way, load_if_exists=True)
        except Exception as error:  # whatever a database has to say
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"the study {name} in {storage} cannot be opened: {reason}") from error
        if study.direction.name.lower() != way:
            raise UserError(
                f"the study {name} in {storage} is to {study.direction.name.lower()}, and this one to {way}"
            )
        return study

    def propose(self, is_beside_others: bool) -> Proposed:
        """The values of a new trial; `is_beside_others`: others are under way, which it should not be like."""
        with _quiet():
            self.study.sampler = self._sampler(len(self._all()), is_beside_others)
            trial = self.study.ask(self.space.distributions())
            trial.set_user_attr(SWEEP, str(self.folder))
        return Proposed(trial)

    def tell(self, number: int, figure: float | None) -> None:
        """What came of a trial; None: nothing that counts."""
        from optuna.trial import TrialState

        with _quiet():
            if figure is None:
                self.study.tell(number, state=TrialState.FAIL)
            else:
                self.study.tell(number, figure)

    @property
    def begun(self) -> int:
        """How many there are of this sweep, done or not."""
        return len(self._own())

    def open_jobs(self) -> list[tuple[int, Proposed]]:
        """Those that nothing has been told of, with their jobs' numbers, in the order of these."""
        found = [(one.user_attrs[JOB], Proposed(one)) for one in self._open() if JOB in one.user_attrs]
        return sorted(found, key=lambda pair: pair[0])

    def lost(self) -> list[int]:
        """The numbers of those that were proposed, and killed before they had a job."""
        return [one.number for one in self._open() if JOB not in one.user_attrs]

    def best(self) -> "FrozenTrial | None":
        """The best of this sweep's that came to something; None where none has."""
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        sign = 1 if self.study.direction == StudyDirection.MINIMIZE else -1
        told = [one for one in self._own() if one.state == TrialState.COMPLETE]
        return min(told, key=lambda one: sign * (one.value or 0.0), default=None)

    def _sampler(self, number: int, is_beside_others: bool) -> "BaseSampler":
        from optuna import samplers

        seed = seed_for(self.settings["seed"], "trial", number) % 2**32
        if self.settings["sampler"] == RANDOM:
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, constant_liar=is_beside_others)

    def _all(self) -> "list[FrozenTrial]":
        return self.study.get_trials(deepcopy=False)

    def _own(self) -> "list[FrozenTrial]":
        """Of a study that others use too, those that say so."""
        return [one for one in self._all() if self.is_own or one.user_attrs.get(SWEEP) == str(self.folder)]

    def _open(self) -> "list[FrozenTrial]":
        return [one for one in self._own() if not one.state.is_finished()]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside, Optuna tells nothing but what goes wrong."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
