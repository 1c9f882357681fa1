"""Runs that differ in the seed alone, taken together: mean and spread of their figures, for the page and as a CSV file.

The spread is the sample standard deviation, sqrt(sum (x - mean)^2 / (n - 1)), of which there is none for one run.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from vae_runner.report.markup import Html, tag
from vae_runner.report.page import section
from vae_runner.report.scored.score_kinds import digits
from vae_runner.report.sweep.jobs import Job, Sweep, csv_text
from vae_runner.report.sweep.table import badge, score_column, setting_columns
from vae_runner.report.tables.sortable import Column, Row, number_cell, table_of
from vae_runner.runs.settings import short_value
from vae_runner.runs.words import count, nats

__all__ = ["Figure", "Group", "groups", "seed_figures", "seeds_csv", "seeds_table", "setting_keys"]

SEEDS = frozenset(["seed", "engine.seed"])
# name in the CSV file, head, unit, how soon its column is hidden, value, as it is written
Figure = tuple[str, str, str, int, Callable[[Job], float | None], Callable[[float], str]]
FIGURES: tuple[Figure, ...] = (
    ("neg_elbo", "-ELBO", "nats", 0, lambda job: job.validated("neg_elbo"), nats),
    ("bits_per_dim", "Bits", "per dim", 7, lambda job: job.validated("bits_per_dim"), lambda value: nats(value, 3)),
    ("recon", "Recon.", "nats", 1, lambda job: job.validated("recon"), nats),
    ("kl", "KL", "nats", 1, lambda job: job.validated("kl"), lambda value: nats(value, 2)),
    ("active_latents", "Active", "latents", 6, lambda job: (job.active or (None,))[0], nats),
)


@dataclass(frozen=True)
class Group:
    """Runs that are done, and what they have in common of what tells the sweep's runs apart."""

    apart: Mapping[str, str]
    jobs: Sequence[Job]
    is_best: bool = False

    def figure(self, get: Callable[[Job], float | None]) -> tuple[float | None, float | None]:
        """Mean and standard deviation, None where there is none; a run without the figure makes it unknown."""
        values = [get(job) for job in self.jobs]
        if any(value is None or not math.isfinite(value) for value in values):
            return None, None
        return mean(values), stdev(values) if len(values) > 1 else None


def groups(sweep: Sweep) -> list[Group]:
    """In the order of their first runs, or by their means where the sweep is ranked; the best has the best mean of
    those with several runs. Empty where the seed is not varied, or no two runs that differ in it alone are done.
    """
    if not SEEDS & set(sweep.keys):
        return []
    found: dict[tuple[str | None, ...], list[Job]] = {}
    for job in sweep.jobs:
        if job.state == "done":
            found.setdefault(tuple(job.apart.get(key) for key in setting_keys(sweep)), []).append(job)
    made = [
        Group({key: value for key, value in zip(setting_keys(sweep), values, strict=True) if value is not None}, jobs)
        for values, jobs in found.items()
    ]
    several = [group for group in made if len(group.jobs) > 1]
    if not several:
        return []
    is_comparable = sweep.is_comparable or not sweep.ranking.is_of_a_likelihood
    best = _best(several, sweep) if is_comparable and len(made) > 1 else None
    if sweep.is_ranked:
        made.sort(key=lambda group: sweep.ranking.key(_ranked_by(group, sweep)))
    return [Group(group.apart, group.jobs, group is best) for group in made]


def seeds_table(sweep: Sweep) -> Html:
    """A row for each group."""
    found = groups(sweep)
    if not found:
        return Html()
    columns = [
        Column("Settings"),
        Column("Runs", is_number=True),
        *(Column(head, unit, is_number=True, fold=fold) for _, head, unit, fold, *_ in seed_figures(sweep)),
        *setting_columns(sweep, setting_keys(sweep)),
    ]
    rows = [Row(list(_cells(group, sweep)), is_best=group.is_best) for group in found]
    about = "Mean ± standard deviation over the runs that are done and differ in the seed alone."
    if any(group.is_best for group in found):
        name = sweep.ranking.best.replace(" ", " mean ", 1)
        about += f" Best: the {name} of several runs."
    return section("Over the seeds", table_of(columns, rows), tag("p", about, class_="quiet"))


def seeds_csv(sweep: Sweep) -> str:
    """The text of sweep-seeds.csv, a line for each group; empty where there is none."""
    found = groups(sweep)
    if not found:
        return ""
    names = [f"{name}_{part}" for name, *_ in seed_figures(sweep) for part in ("mean", "sd")]
    rows: list[list[object]] = [[*setting_keys(sweep), "runs", *names, "best"]]
    for group in found:
        values = [value for *_, get, _ in seed_figures(sweep) for value in group.figure(get)]
        cells = ["" if value is None else f"{value:.6g}" for value in values]
        settings = [group.apart.get(key, "") for key in setting_keys(sweep)]
        rows.append([*settings, len(group.jobs), *cells, "best" if group.is_best else ""])
    return csv_text(rows)


def seed_figures(sweep: Sweep) -> list[Figure]:
    """The figures of every run, and the scores that any of them has; the one that they are ranked by first."""
    found = [*FIGURES, *(_score(name, part) for name, part in sweep.scores)]
    return sorted(found, key=lambda figure: sweep.is_ranked and figure[0] != "_".join(sweep.ranking.score or ()))


def _score(name: str, part: str) -> Figure:
    column = score_column(name, part)
    get, show = lambda job: job.scores.get((name, part)), lambda value: nats(value, digits(name))
    return f"{name}_{part}", column.head, part, column.fold, get, show


def setting_keys(sweep: Sweep) -> list[str]:
    """Returns what tells the groups apart."""
    return [key for key in sweep.keys if key not in SEEDS]


def _ranked_by(group: Group, sweep: Sweep) -> float | None:
    return group.figure(lambda job: job.ranked_by(sweep.ranking))[0]


def _best(several: Sequence[Group], sweep: Sweep) -> Group | None:
    known = [group for group in several if _ranked_by(group, sweep) is not None]
    return min(known, key=lambda group: sweep.ranking.key(_ranked_by(group, sweep)), default=None)


def _cells(group: Group, sweep: Sweep) -> Iterator[Html]:
    short = sweep.short
    label = " ".join(f"{short[key]}={short_value(value)}" for key, value in group.apart.items())
    yield tag("th", tag("span", label or "all", class_="name"), scope="row")
    yield number_cell(len(group.jobs), count(len(group.jobs)))
    ranked = "neg_elbo" if sweep.ranking.score is None else "_".join(sweep.ranking.score)
    for name, *_, get, show in seed_figures(sweep):
        middle, spread = group.figure(get)
        text = "" if middle is None else show(middle) + ("" if spread is None else f" ± {show(spread)}")
        yield number_cell(middle, text, badge(group.is_best and name == ranked))
    yield from (tag("td", short_value(group.apart.get(key, ""))) for key in setting_keys(sweep))
