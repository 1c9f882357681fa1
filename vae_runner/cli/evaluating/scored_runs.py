"""Runs scored one after the other, each into its evaluation.json and to standard output, then those of one setting."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vae_runner.cli.evaluating.score_lines import score_line
from vae_runner.errors import RunError, UserError
from vae_runner.experiment.saved_run.loading import load
from vae_runner.experiment.scoring.alike_runs import OF_SEEDS, Portrait, alike, compared, portrait
from vae_runner.experiment.scoring.evaluation import LeftOut, Record, evaluate, write_records
from vae_runner.experiment.scoring.other_data import OtherData
from vae_runner.experiment.scoring.subject import Settings, Subject
from vae_runner.output import to_stderr, to_stdout
from vae_runner.report import write_report
from vae_runner.runs.words import shown

__all__ = ["Loading", "score_runs"]


@dataclass(frozen=True)
class Loading:
    """How runs are loaded: see `vae_runner.load`."""

    checkpoint: Any = None
    device: str = "auto"
    trust: bool = False
    root: str | None = None
    other: OtherData | None = None  # scored instead of the run's own images


def score_runs(runs: Sequence[Path], names: Sequence[str], settings: Settings, loading: Loading) -> int:
    """Score the runs; returns the exit code, 1 where one of them has no score that was asked for: lines say why.

    Raises `UserError` where there is one run, and it cannot be scored.
    """
    several = len(runs) > 1
    alone = [name for name in names if not several or name not in OF_SEEDS]
    together = [name for name in names if name not in alone]
    portraits: dict[Path, Portrait] = {}
    code = 0
    for folder in runs:
        try:
            subject = _subject(folder, settings, loading)
            if not _score(folder, subject, alone):
                code = 1
            write_report(folder)
            if together:
                portraits[folder] = portrait(subject)
        except (UserError, RunError) as error:
            if not several:
                raise
            code = 1
            for line in str(error).split("\n"):
                to_stderr(f"vae-evaluate: error: {shown(folder)}: {line}")
    if together:
        _compare(portraits, together)
    return code


def _subject(folder: Path, settings: Settings, loading: Loading) -> Subject:
    run = load(folder, loading.checkpoint, loading.device, loading.trust, loading.root)
    if loading.other is not None:
        loading.other.check(run.image_shape)
    return Subject(run, settings, loading.other)


def _score(folder: Path, subject: Subject, names: Sequence[str]) -> bool:
    """Make the scores, print a line for each, and write it at once, so that nothing is lost; whether there is any."""
    run, settings = subject.run, subject.settings
    of = "" if subject.other is None else f" of {subject.other.name}"
    without = "" if subject.part == "test" or settings.part else ", for there is no test part"
    part = f"{subject.part} part{of}, {len(subject):,} images{without}"
    how = f"codes={settings.codes}, seed={settings.seed}"
    to_stdout(f"{shown(folder)}: {run.checkpoint} checkpoint, step {run.step:,}; {part}; {how}")
    left_out: dict[str, list[str]] = {}
    is_scored = not names
    for one in evaluate(subject, names, _watching):
        if isinstance(one, LeftOut):
            left_out.setdefault(one.reason, []).append(one.name)
            continue
        name, record = one
        _tell(name, record)
        write_records(folder, {name: record})
        subject.keep()
        is_scored = True
    for reason, those in left_out.items():
        to_stdout(f"  left out: {', '.join(those)}: {reason}")
    return is_scored


def _compare(portraits: dict[Path, Portrait], names: Sequence[str]) -> None:
    """Make and print the scores of runs that differ in their seed alone."""
    folders = list(portraits)
    groups = alike(list(portraits.values()))
    if not groups:
        to_stdout(f"left out: {', '.join(names)}: no two of the runs differ in their seed alone")
    for name in names if groups else ():
        to_stdout(f"{name}, of runs that differ in their seed alone:")
        for places in groups:
            for place, record in zip(places, compared([portraits[folders[one]] for one in places], name), strict=True):
                _tell(shown(folders[place]), record)
                write_records(folders[place], {portraits[folders[place]].kept_as(name): record})
    for places in groups:
        for place in places:
            write_report(folders[place])


def _tell(name: str, record: Record) -> None:
    to_stdout(score_line(name, record))
    for note in record.get("notes", ()):
        to_stdout(f"    {note}")


def _watching(name: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Shows how far a score is, where somebody looks on."""
    return lambda steps: tqdm(steps, desc=name, leave=False, file=sys.stderr, disable=not sys.stderr.isatty())
