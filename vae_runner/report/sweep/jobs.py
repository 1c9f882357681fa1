"""Several runs as their folders say, which of them is the best, and `sweep.csv`."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from vae_runner.foreign import dig
from vae_runner.report.run.figures import images_per_second, wall_seconds
from vae_runner.report.run.findings import latent_kl
from vae_runner.report.scored.score_records import score_records
from vae_runner.report.sweep.ranking import Ranking, by_score
from vae_runner.runs.growing.record_table import points
from vae_runner.runs.ledger import Ledger, job_number, read_ledger
from vae_runner.runs.read import Run, read_run
from vae_runner.runs.settings import Settings, differences, label_keys, read_settings, short_names, short_value
from vae_runner.runs.words import natural_order
from vae_runner.text import cell, plain

__all__ = ["Job", "Sweep", "csv_text", "read_sweep", "table"]

Content = TypeVar("Content")

LONGEST = 1000  # characters of a reason
LONG = 80  # characters of a label that stands in a sentence
MEASURE = ("data.fingerprint", "data.validation", "data.measured")  # of environment.json: what -ELBO is measured on
REASONS = {"missing": "never started", "killed": "its process is gone"}  # of states that nobody was left to explain
LIKELIHOOD = ("likelihood.", "dataset.split_seed")  # of the config
FIGURES = ("neg_elbo", "bits_per_dim", "recon", "kl")


@dataclass(frozen=True)
class Job:
    """A run among others: its folder, its name among them, what tells it apart, that in the fewest words ('divergence=
    beta_tc beta=6 seed=1', the name where nothing does), and its last validation's figures.

    Figures are nats per image, None where there is none.
    """

    folder: Path
    name: str
    run: Run
    settings: Settings
    apart: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    is_best: bool = False
    is_missing: bool = False
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)  # by name and part of the data

    @property
    def short_label(self) -> str:
        """The label, or the name where that is easier to read."""
        return self.label if len(self.label) <= LONG else self.name

    @property
    def state(self) -> str:
        """What has become of it, in a word."""
        if self.is_missing:
            return "missing"
        if self.run.status:
            return self.run.state
        return "unreadable" if self.run.faults else "not begun"

    @property
    def reason(self) -> str:
        """Why it has ended as it has, as far as is known; else an empty text."""
        told = self.run.status.get("reason") or REASONS.get(self.state) or "; ".join(self.run.faults)
        return plain(" ".join(str(told).split()), LONGEST)

    @property
    def active(self) -> tuple[int, int] | None:
        """How many latents carry something, and of how many."""
        kl = latent_kl(self.run)
        return (kl.active, len(kl.nats)) if kl else None

    @property
    def seconds(self) -> float | None:
        """Wall time in training, s; None where it is not known."""
        return wall_seconds(self.run)

    @property
    def images_per_second(self) -> float | None:
        """Of training; None where it is not known."""
        return images_per_second(self.run)

    def ranked_by(self, ranking: Ranking) -> float | None:
        """The figure that it is ranked by, None where it has none that is finite."""
        return ranking.value(self.validated("neg_elbo"), self.scores)

    def validated(self, key: str) -> float | None:
        """Returns a figure of the last validation, by its key; None where there is none."""
        found = points(self.run.validation[-1:], key)
        return found[0][1] if found else None


@dataclass(frozen=True)
class Sweep:
    """The runs in their order; `keys` tell them apart, `differing` are all settings that are not the same in all."""

    name: str
    jobs: Sequence[Job]
    keys: Sequence[str]
    differing: Sequence[str]
    is_comparable: bool = True
    ranking: Ranking = field(default_factory=Ranking)
    is_ranked: bool = False  # the runs stand in the order of the ranking

    @property
    def short(self) -> dict[str, str]:
        """Of each key the shortest name that is no other's."""
        return short_names(self.keys)

    @property
    def scores(self) -> list[tuple[str, str]]:
        """The scores that any of them has, by name and part of the data."""
        return list(dict.fromkeys(score for job in self.jobs for score in job.scores))

    @property
    def best(self) -> Job | None:
        """The job with the lowest figure, where there is one."""
        return next((job for job in self.jobs if job.is_best), None)

    def count(self, state: str) -> int:
        """Returns how many jobs are in that state."""
        return sum(job.state == state for job in self.jobs)


def read_sweep(folders: Iterable[Path], base: Path, rank: str | None = None) -> Sweep:
    """Returns the runs in the folders, named as seen from `base`, with the jobs of the sweep there that never began.

    With the name of a score as `rank`, and of a search by what it is by, the best comes first. Raises `UserError` where
    they cannot be ranked by that name.
    """
    folders = list(folders)
    settings = [_read(folder, read_settings, lambda fault: Settings()) for folder in folders]
    ledger = read_ledger(base)
    missing = _missing(folders, ledger) if ledger else []
    keys = list(dict.fromkeys([*label_keys(settings), *(ledger.swept if missing else ())]))
    runs = [
        _read(folder, _read_figures, lambda fault, name=folder.name: Run(plain(name), faults=[fault]))
        for folder in folders
    ]
    jobs = [
        Job(
            folder,
            _name(folder, base),
            run,
            own,
            {key: own.values[key] for key in keys if key in own.values},
            scores=_tested(run) | {(one.name, one.part): one.value for one in score_records(run.evaluation)},
        )
        for folder, run, own in zip(folders, runs, settings, strict=True)
    ]
    if missing:
        jobs = _in_order([*jobs, *(_never_begun(number, ledger, base) for number in missing)])
    jobs = list(_labelled(jobs, keys))
    ranking, is_ranked = _ranking(ledger, rank, [score for job in jobs for score in job.scores])
    if is_ranked:
        jobs = sorted(jobs, key=lambda job: ranking.key(job.ranked_by(ranking)))
    finished = [job for job in jobs if job.state == "done" and job.ranked_by(ranking) is not None]
    is_comparable = len(set(_measures(finished))) <= 1
    if finished and (is_comparable or not ranking.is_of_a_likelihood) and len(jobs) > 1:
        best = min(finished, key=lambda job: ranking.key(job.ranked_by(ranking)))
        jobs = [replace(job, is_best=job is best) for job in jobs]
    name = base.resolve().name
    return Sweep(name, jobs, keys, differences(settings), is_comparable, ranking, is_ranked)


def _ranking(ledger: Ledger | None, rank: str | None, scores: Sequence[tuple[str, str]]) -> tuple[Ranking, bool]:
    """By which figure, and whether the runs stand in its order: by a score that is asked for, or that a search is by,
    once a job has it; else by -ELBO.
    """
    if rank is not None:
        return by_score(rank, scores), True
    if ledger is None or not ledger.is_search:
        return Ranking(), False
    found = [score for score in scores if score[0] == ledger.objective != "neg_elbo"]
    return Ranking(found[0] if found else None), True


def table(sweep: Sweep) -> str:
    """The text of sweep.csv: a line for each run."""
    figures = FIGURES
    behind = ("active_latents", "latents", "seconds", "images_per_second", "best")
    scores = [*(["rank"] if sweep.is_ranked else []), *("_".join(score) for score in sweep.scores)]
    marked = ["tags", "note"] if any(job.settings.tags or job.settings.note for job in sweep.jobs) else []
    rows: list[list[Any]] = [["name", *sweep.keys, "status", "reason", "step", *figures, *behind, *scores, *marked]]
    for place, job in enumerate(sweep.jobs, 1):
        active = job.active or (None, None)
        values = [*map(job.validated, figures), *active, job.seconds, job.images_per_second]
        settings = [job.apart.get(key, "") for key in sweep.keys]
        best = "best" if job.is_best else ""
        has_rank = job.ranked_by(sweep.ranking) is not None
        rank = [place if has_rank else ""] if sweep.is_ranked else []
        scored = [*rank, *(_cell(job.scores.get(score)) for score in sweep.scores)]
        said = [" ".join(job.settings.tags), job.settings.note][: len(marked)]
        figured = [job.run.step, *map(_cell, values), best, *scored]
        rows.append([job.name, *settings, job.state, job.reason, *figured, *said])
    return csv_text(rows)


def _tested(run: Run) -> dict[tuple[str, str], float]:
    """The figures of the test images, as those of a score: of the weights that the validation chose."""
    return {(name, "test"): found[0][1] for name in FIGURES if (found := points(run.test[-1:], name))}


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """The text of a CSV file, which a spreadsheet may open: no text in it is a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def _read(folder: Path, read: Callable[[Path], Content], otherwise: Callable[[str], Content]) -> Content:
    """What `read` makes of a folder; a run that is not to be read must not end the comparison of all others."""
    try:
        return read(folder)
    except Exception as error:
        return otherwise(f"it cannot be read: {type(error).__name__}: {error}")


def _read_figures(folder: Path) -> Run:
    return read_run(folder, with_pictures=False)


def _missing(folders: Sequence[Path], ledger: Ledger) -> list[int]:
    """The numbers of the jobs that have no folder."""
    begun = {job_number(folder) for folder in folders}
    return [number for number in range(len(ledger.jobs)) if number not in begun]


def _never_begun(number: int, ledger: Ledger, base: Path) -> Job:
    typed = ledger.typed(number)
    apart = {key: typed[key] for key in ledger.swept if key in typed}
    return Job(base / str(number), str(number), Run(str(number)), Settings(typed), apart, is_missing=True)


def _labelled(jobs: Sequence[Job], keys: Sequence[str]) -> Iterator[Job]:
    """With what tells them apart; where that is the same in several, as of a run that was made twice, their names."""
    short = short_names(keys)
    said = [" ".join(f"{short[key]}={short_value(value)}" for key, value in job.apart.items()) for job in jobs]
    for job, label in zip(jobs, said, strict=True):
        named = label if said.count(label) == 1 else f"{label} ({job.name})"
        yield replace(job, label=named if label else job.name)


def _in_order(jobs: Iterable[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: natural_order(job.name))


def _name(folder: Path, base: Path) -> str:
    """As seen from the base, where it lies below it."""
    folder, base = folder.resolve(), base.resolve()
    return plain(folder.relative_to(base).as_posix() if base in folder.parents else folder.name)


def _measures(jobs: Sequence[Job]) -> Iterator[tuple[Any, ...]]:
    """What has to be the same for two -ELBOs to be comparable: the images, as far as all runs have noted them, and the
    likelihood.
    """
    noted = [[dig(job.run.environment, *key.split(".")) for key in MEASURE] for job in jobs]
    known = [None not in column for column in zip(*noted, strict=True)]
    for job, data in zip(jobs, noted, strict=True):
        config = [(name, value) for name, value in job.settings.values.items() if name.startswith(LIKELIHOOD)]
        yield (*(str(value) for value, is_known in zip(data, known, strict=True) if is_known), *sorted(config))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
