"""The table of a sweep's page: a row for each run, the best one marked, and what is configured differently.

Figures stand first, then what tells the runs apart, then how they were made.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from vae_runner.report.markup import Html, tag
from vae_runner.report.page import folded
from vae_runner.report.scored.score_kinds import HEADS, digits
from vae_runner.report.sweep.colours import colours
from vae_runner.report.sweep.jobs import Job, Sweep
from vae_runner.report.tables.sortable import Column, Row, number_cell, table_of
from vae_runner.runs.names import PAGE
from vae_runner.runs.settings import short_value
from vae_runner.runs.words import count, duration, nats

__all__ = ["badge", "config_differences", "figures_table", "score_column", "setting_columns"]

Figure = tuple[Column, Callable[[Job], float | None], Callable[[float], str]]
STATES = ("done", "running", "failed", "interrupted", "killed")
SCORE_FOLDS = {"bits_per_dim": 8, "recon": 5, "kl": 5, "neg_elbo": 1}  # of test figures that validation has too


def _column(head: str, unit: str, fold: int, about: str = "") -> Column:
    return Column(head, unit, about, is_number=True, fold=fold)


VALIDATED: tuple[Figure, ...] = (
    (_column("-ELBO", "nats", 0, "of the last validation"), lambda job: job.validated("neg_elbo"), nats),
    (_column("Bits", "per dim", 7), lambda job: job.validated("bits_per_dim"), lambda value: nats(value, 3)),
    (_column("Recon.", "nats", 1), lambda job: job.validated("recon"), nats),
    (_column("KL", "nats", 1), lambda job: job.validated("kl"), lambda value: nats(value, 2)),
    (_column("Active", "latents", 6), lambda job: (job.active or (None,))[0], count),
)
MADE: tuple[Figure, ...] = (
    (_column("Step", "", 6), lambda job: job.run.step, count),
    (_column("Time", "", 8), lambda job: job.seconds, duration),
    (_column("Images/s", "", 8), lambda job: job.images_per_second, count),
)


def figures_table(sweep: Sweep, out: Path) -> Html:
    """All runs with their figures and what tells them apart; names are links to their reports."""
    figures, scores = [*VALIDATED], [_score(score) for score in _first(sweep.scores, sweep.ranking.score)]
    if sweep.is_ranked:
        column, value, words = scores[0]
        figures, scores = [(replace(column, fold=0), value, words), *figures], scores[1:]
    made = [*figures, *scores]
    columns = [
        Column("Run"),
        *(column for column, *_ in made),
        *setting_columns(sweep, sweep.keys),
        Column("Status", fold=2),
        *(column for column, *_ in MADE),
        Column("Folder", fold=9),
    ]
    marks = colours(sweep)
    rows = [_row(job, sweep, out, mark, made) for job, mark in zip(sweep.jobs, marks, strict=True)]
    return tag("section", table_of(columns, rows), tag("p", _about(sweep), class_="quiet"))


def setting_columns(sweep: Sweep, keys: Sequence[str]) -> list[Column]:
    """Returns a column for each setting, under its shortest name."""
    return [Column(sweep.short[key], about=key, fold=3) for key in keys]


def score_column(name: str, part: str) -> Column:
    """Returns the column of a score: those that validation has too are the first to be hidden."""
    return _column(HEADS.get(name, name), part, SCORE_FOLDS.get(name, 2), f"{name} of the {part} part")


def badge(is_best: bool) -> str:
    """Returns the mark of the best one."""
    return tag("span", "best", class_="badge") if is_best else ""


def config_differences(sweep: Sweep) -> Html:
    """Every setting that is not the same in all runs, choices of groups first, a column for each run."""
    if not sweep.differing:
        return Html()
    groups = {group for job in sweep.jobs for group in job.settings.groups}
    heads = [tag("th", ""), *(tag("th", job.label, scope="col", data_run=job.label) for job in sweep.jobs)]
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", job.settings.values.get(name, "-"), data_run=job.label) for job in sweep.jobs),
        )
        for name in sorted(sweep.differing, key=lambda name: name not in groups)
    ]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="settings")
    return folded("Config differences", tag("div", table, class_="scroll"))


def _about(sweep: Sweep) -> str:
    about = "-ELBO, reconstruction and KL: nats per image, in each run's last validation."
    if sweep.best:
        about += f" Best: the {sweep.ranking.best} of the runs that are done."
    if sweep.is_ranked:
        about += " The runs stand in that order."
    if sweep.scores:
        about += " Behind them: of the part of the data that is named, and of weights that the validation chose."
    return about


def _first(scores: Sequence[tuple[str, str]], score: tuple[str, str] | None) -> list[tuple[str, str]]:
    return sorted(scores, key=lambda one: one != score)


def _score(score: tuple[str, str]) -> Figure:
    name, part = score
    return score_column(name, part), lambda job: job.scores.get(score), lambda value: nats(value, digits(name))


def _row(job: Job, sweep: Sweep, out: Path, mark: str, figures: Sequence[Figure]) -> Row:
    report = job.folder / PAGE
    link = quote(os.fsencode(os.path.relpath(report.resolve(), out.resolve())))
    named = tag("a", job.label, href=link, title=job.name) if report.is_file() else job.label
    name = tag("span", named, class_="name")
    state = tag("span", job.state, class_=f"state {job.state if job.state in STATES else 'odd'}")
    cells = [
        tag("th", tag("span", class_=f"swatch {mark}"), name, scope="row", data_value=job.label),
        *(_figure(job, figure, job.is_best and place == 0) for place, figure in enumerate(figures)),
        *(tag("td", short_value(job.apart.get(key, ""))) for key in sweep.keys),
        tag("td", state, data_value=job.state),
        *(_figure(job, figure) for figure in MADE),
        tag("td", job.name),
    ]
    return Row(cells, job.label, job.is_best)


def _figure(job: Job, figure: Figure, is_best: bool = False) -> Html:
    _, get, show = figure
    value = get(job)
    return number_cell(value, "" if value is None else show(value), badge(is_best))
