"""Runs that differ in the seed alone, taken together: mean and spread of their figures, for the page and as a CSV file.

The spread is the sample standard deviation, sqrt(sum (x - mean)^2 / (n - 1)), of which there is none for one run.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from vae_runner.report.markup import Html, tag
from vae_runner.report.page import section
from vae_runner.report.scored.score_kinds import HEADS, digits
from vae_runner.report.sweep.jobs import Job, Sweep, csv_text
from vae_runner.runs.words import count, nats

__all__ = ["Group", "groups", "seeds_csv", "seeds_table"]

SEEDS = frozenset(["seed", "engine.seed"])
# name in the CSV file, head, unit, value, as it is written
Figure = tuple[str, str, str, Callable[[Job], float | None], Callable[[float], str]]
FIGURES: tuple[Figure, ...] = (
    ("neg_elbo", "-ELBO", "nats", lambda job: job.validated("neg_elbo"), nats),
    ("bits_per_dim", "Bits", "per dim", lambda job: job.validated("bits_per_dim"), lambda value: nats(value, 3)),
    ("recon", "Recon.", "nats", lambda job: job.validated("recon"), nats),
    ("kl", "KL", "nats", lambda job: job.validated("kl"), lambda value: nats(value, 2)),
    ("active_latents", "Active", "latents", lambda job: (job.active or (None,))[0], nats),
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
            found.setdefault(tuple(job.apart.get(key) for key in _keys(sweep)), []).append(job)
    made = [
        Group({key: value for key, value in zip(_keys(sweep), values, strict=True) if value is not None}, jobs)
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
    heads = [
        *(tag("th", key, scope="col") for key in _keys(sweep)),
        tag("th", "Runs", scope="col", class_="n"),
        *(tag("th", head, tag("small", unit), scope="col", class_="n") for _, head, unit, *_ in _figures(sweep)),
    ]
    rows = [tag("tr", *_cells(group, sweep), class_="best" if group.is_best else None) for group in found]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="sortable runs")
    about = "Mean ± standard deviation over the runs that are done and differ in the seed alone."
    if any(group.is_best for group in found):
        name = sweep.ranking.best.replace(" ", " mean ", 1)
        about += f" Best: the {name} of several runs."
    return section("Over the seeds", tag("div", table, class_="scroll"), tag("p", about, class_="quiet"))


def seeds_csv(sweep: Sweep) -> str:
    """The text of sweep-seeds.csv, a line for each group; empty where there is none."""
    found = groups(sweep)
    if not found:
        return ""
    names = [f"{name}_{part}" for name, *_ in _figures(sweep) for part in ("mean", "sd")]
    rows: list[list[object]] = [[*_keys(sweep), "runs", *names, "best"]]
    for group in found:
        values = [value for *_, get, _ in _figures(sweep) for value in group.figure(get)]
        cells = ["" if value is None else f"{value:.6g}" for value in values]
        settings = [group.apart.get(key, "") for key in _keys(sweep)]
        rows.append([*settings, len(group.jobs), *cells, "best" if group.is_best else ""])
    return csv_text(rows)


def _figures(sweep: Sweep) -> list[Figure]:
    """The figures of every run, and the scores that any of them has."""
    return [*FIGURES, *(_score(name, part) for name, part in sweep.scores)]


def _score(name: str, part: str) -> Figure:
    get, show = lambda job: job.scores.get((name, part)), lambda value: nats(value, digits(name))
    return f"{name}_{part}", HEADS.get(name, name), part, get, show


def _keys(sweep: Sweep) -> list[str]:
    return [key for key in sweep.keys if key not in SEEDS]


def _ranked_by(group: Group, sweep: Sweep) -> float | None:
    return group.figure(lambda job: job.ranked_by(sweep.ranking))[0]


def _best(several: Sequence[Group], sweep: Sweep) -> Group | None:
    known = [group for group in several if _ranked_by(group, sweep) is not None]
    return min(known, key=lambda group: sweep.ranking.key(_ranked_by(group, sweep)), default=None)


def _cells(group: Group, sweep: Sweep) -> Iterator[Html]:
    yield from (tag("td", group.apart.get(key, "")) for key in _keys(sweep))
    yield tag("td", count(len(group.jobs)), class_="n")
    ranked = "neg_elbo" if sweep.ranking.score is None else "_".join(sweep.ranking.score)
    for name, _, _, get, show in _figures(sweep):
        middle, spread = group.figure(get)
        badge = tag("span", "best", class_="badge") if group.is_best and name == ranked else ""
        text = "" if middle is None else show(middle) + ("" if spread is None else f" ± {show(spread)}")
        yield tag("td", badge, text, class_="n", data_value="" if middle is None else f"{middle:.9g}")
