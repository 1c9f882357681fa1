"""The scores of a trained run, one after the other, and the file that holds their records."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_runner.engine.machine.process_globals import whole_float32
from vae_runner.errors import UserError
from vae_runner.experiment.scoring.alike_runs import OF_SEEDS
from vae_runner.experiment.scoring.catalogue import CATALOGUE, DEFAULT, OF_FEATURES, Watch
from vae_runner.experiment.scoring.records import Record, figures, made
from vae_runner.experiment.scoring.subject import Subject
from vae_runner.experiment.spelling import did_you_mean
from vae_runner.files import read_json, write_json
from vae_runner.runs.names import EVALUATION
from vae_runner.text import plain

__all__ = ["LeftOut", "evaluate", "known_scores", "write_records"]

NEEDS = "needs factors, and the data set states none"
NEEDS_GRID = "needs images of all combinations of the factors, and the data set has {known:,} of {all:,}"


class LeftOut(NamedTuple):
    """A score that could not be made, and why."""

    name: str
    reason: str


def known_scores(names: Sequence[str] | str | None, has_features: bool = False) -> tuple[str, ...]:
    """Returns the scores asked for, one or several, without repetition; None: all but those that take minutes, and
    those that need a network of features, unless there is one.

    Raises `UserError` with a line for each name that is none.
    """
    if names is None:
        return (*DEFAULT, *OF_FEATURES) if has_features else DEFAULT
    names = [names] if isinstance(names, str) else names
    known = [*CATALOGUE, *OF_SEEDS]
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown or not names:
        lines = [f"no score called {plain(name)!r}.{did_you_mean(name, known)}" for name in unknown]
        lines = lines or ["score=[] names no score."]
        raise UserError("\n".join([*lines[:-1], f"{lines[-1]} Choices: {', '.join(known)}"]))
    return tuple(dict.fromkeys(names))


def evaluate(
    subject: Subject, names: Sequence[str], watch: Callable[[str], Watch] | None = None
) -> Iterator[tuple[str, Record] | LeftOut]:
    """Yields each record's name (`Subject.kept_as`) and itself when it is made, and what is left out, with the reason.

    watch    for a score's name, what is told of the steps of its longest loop
    """
    for name in names:
        if name in OF_SEEDS:
            yield LeftOut(name, "compares runs that differ in their seed alone; give their folders")
            continue
        entry, begun = CATALOGUE[name], time.perf_counter()
        if entry.needs_factors and not subject.has_factors:
            yield LeftOut(name, NEEDS)
            continue
        if entry.needs_grid and (lacking := subject.lacking()):
            yield LeftOut(name, NEEDS_GRID.format(**lacking))
            continue
        try:
            with whole_float32():
                score, images, sizes = entry.make(subject, name, watch(name) if watch else _unwatched)
        except (UserError, ValueError) as error:
            yield LeftOut(name, str(error))
            continue
        how = made(subject, images, sizes, time.perf_counter() - begun)
        factors = {"factors": list(subject.factor_names)} if entry.needs_factors else {}
        yield subject.kept_as(name), {**figures(score, subject.factor_names), **factors, **how}


def _unwatched(steps: Iterable[Any]) -> Iterable[Any]:
    return steps


def write_records(folder: Path, records: Mapping[str, Record]) -> None:
    """Put the records into the evaluation.json of a run's folder; those of other scores stay. Raises `RunError`."""
    if records:
        write_json(folder / EVALUATION, {**read_json(folder / EVALUATION), **records})
