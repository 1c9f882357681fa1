"""The table of a sweep's page: a row for each run, the best one marked, and what is configured differently.

Figures stand first, then what tells the runs apart, then how they were made.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from vae_runner.report.markup import Html, tag
from vae_runner.report.page import folded, marks
from vae_runner.report.scored.score_kinds import HEADS, digits
from vae_runner.report.sweep.colours import colours
from vae_runner.report.sweep.jobs import Job, Sweep
from vae_runner.report.tables.sortable import Column, Row, number_cell, table_of
from vae_runner.runs.names import PAGE
from vae_runner.runs.settings import short_value
from vae_runner.runs.words import count, duration, nats

__all__ = ["MADE", "VALIDATED", "badge", "config_differences", "figure_cell", "figures_table", "mark_cells"]
__all__ += ["mark_columns", "run_link", "score_column", "score_figure", "setting_columns", "state_cell"]

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
    figures, scores = [*VALIDATED], [score_figure(score) for score in _first(sweep.scores, sweep.ranking.score)]
    if sweep.is_ranked and sweep.ranking.score is not None:
        column, value, words = scores[0]
        figures, scores = [(replace(column, fold=0), value, words), *figures], scores[1:]
    made = [*figures, *scores]
    columns = [
        Column("Run"),
        *(column for column, *_ in made),
        *setting_columns(sweep, sweep.keys),
        *mark_columns(sweep),
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


def run_link(job: Job, out: Path, text: str) -> str:
    """Returns the text, as a link to the run's report where there is one, as seen from the folder `out`."""
    report = job.folder / PAGE
    link = quote(os.fsencode(os.path.relpath(report.resolve(), out.resolve())))
    return tag("a", text, href=link, title=job.name) if report.is_file() else text


def state_cell(job: Job) -> Html:
    """Returns what has become of the run."""
    state = tag("span", job.state, class_=f"state {job.state if job.state in STATES else 'odd'}")
    return tag("td", state, data_value=job.state)


def mark_columns(sweep: Sweep) -> list[Column]:
    """Returns the columns of tags and notes, where any run has some."""
    return [Column(head, fold=1) for head, has in zip(("Tags", "Note"), _having(sweep), strict=True) if has]


def _having(sweep: Sweep) -> tuple[bool, bool]:
    """Whether any run has tags, and a note."""
    return any(job.settings.tags for job in sweep.jobs), any(job.settings.note for job in sweep.jobs)


def mark_cells(job: Job, sweep: Sweep) -> list[Html]:
    """Returns the cells of these columns."""
    has_tags, has_note = _having(sweep)
    cells = [tag("td", *marks(job.settings.tags, ""), class_="said")] if has_tags else []
    return [*cells, *([tag("td", job.settings.note, class_="said")] if has_note else [])]


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


def score_figure(score: tuple[str, str]) -> Figure:
    """Returns the column of a score, its value of a run, and how it is written."""
    name, part = score
    return score_column(name, part), lambda job: job.scores.get(score), lambda value: nats(value, digits(name))


def _row(job: Job, sweep: Sweep, out: Path, mark: str, figures: Sequence[Figure]) -> Row:
    name = tag("span", run_link(job, out, job.label), class_="name")
    cells = [
        tag("th", tag("span", class_=f"swatch {mark}"), name, scope="row", data_value=job.label),
        *(figure_cell(job, figure, job.is_best and place == 0) for place, figure in enumerate(figures)),
        *(tag("td", short_value(job.apart.get(key, ""))) for key in sweep.keys),
        *mark_cells(job, sweep),
        state_cell(job),
        *(figure_cell(job, figure) for figure in MADE),
        tag("td", job.name),
    ]
    return Row(cells, job.label, job.is_best)


def figure_cell(job: Job, figure: Figure, is_best: bool = False) -> Html:
    """Returns the cell of a figure."""
    _, get, show = figure
    value = get(job)
    return number_cell(value, "" if value is None else show(value), badge(is_best))
