"""The table of a sweep's page: a row for each run, the best one marked, and what is configured differently."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from vae_runner.report.markup import Html, tag
from vae_runner.report.page import folded
from vae_runner.report.scored.score_kinds import HEADS, digits
from vae_runner.report.sweep.colours import colours
from vae_runner.report.sweep.jobs import Job, Sweep
from vae_runner.runs.names import PAGE
from vae_runner.runs.words import count, duration, nats

__all__ = ["SCRIPT", "config_differences", "figures_table"]

# Sorts a table's rows by the column whose head is clicked; what has no value stays last.
SCRIPT = """\
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const sort = at => {
    const down = heads[at].getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
    const compare = (a, b) => (a === "") - (b === "") || sign * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
    heads.forEach(head => head.removeAttribute("aria-sort"));
    heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...body.rows].sort((a, b) => compare(value(a, at), value(b, at))));
  };
  heads.forEach((head, at) => {
    head.tabIndex = 0;
    head.onclick = () => sort(at);
    head.onkeydown = event => { if (event.key === "Enter") sort(at); };
  });
  table.classList.add("live");
}
"""
Column = tuple[str, str, Callable[[Job], float | None], Callable[[float], str]]  # head, unit, value, as it is written
FIGURES: tuple[Column, ...] = (
    ("Step", "", lambda job: job.run.step, count),
    ("-ELBO", "nats", lambda job: job.validated("neg_elbo"), nats),
    ("Bits", "per dim", lambda job: job.validated("bits_per_dim"), lambda value: nats(value, 3)),
    ("Recon.", "nats", lambda job: job.validated("recon"), nats),
    ("KL", "nats", lambda job: job.validated("kl"), lambda value: nats(value, 2)),
    ("Active", "latents", lambda job: (job.active or (None,))[0], count),
    ("Time", "", lambda job: job.seconds, duration),
    ("Images/s", "", lambda job: job.images_per_second, count),
)


def figures_table(sweep: Sweep, out: Path) -> Html:
    """All runs with what tells them apart and their figures; names are links to their reports."""
    heads = [
        tag("th", "Run", scope="col"),
        *(tag("th", key, scope="col") for key in sweep.keys),
        tag("th", "Status", scope="col"),
        *(tag("th", head, tag("small", unit) if unit else "", scope="col", class_="n") for head, unit, *_ in FIGURES),
        *(tag("th", HEADS.get(name, name), tag("small", part), scope="col", class_="n") for name, part in sweep.scores),
    ]
    marks = colours(sweep)
    rows = [_row(job, sweep, out, mark) for job, mark in zip(sweep.jobs, marks, strict=True)]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="sortable runs")
    about = "-ELBO, reconstruction and KL: nats per image, in each run's last validation."
    if sweep.best:
        about += f" Best: the {sweep.ranking.best} of the runs that are done."
    if sweep.is_ranked:
        about += " The runs stand in that order."
    if sweep.scores:
        about += " Behind them: of the part of the data that is named, and of weights that the validation chose."
    return tag("section", tag("div", table, class_="scroll"), tag("p", about, class_="quiet"))


def config_differences(sweep: Sweep) -> Html:
    """Every setting that is not the same in all runs, a column for each run."""
    if not sweep.differing:
        return Html()
    heads = [tag("th", ""), *(tag("th", job.label, scope="col") for job in sweep.jobs)]
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", job.settings.values.get(name, "-")) for job in sweep.jobs),
        )
        for name in sweep.differing
    ]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="settings")
    return folded("Config differences", tag("div", table, class_="scroll"))


def _row(job: Job, sweep: Sweep, out: Path, mark: str) -> Html:
    report = job.folder / PAGE
    link = quote(os.fsencode(os.path.relpath(report.resolve(), out.resolve())))
    name = tag("a", job.name, href=link) if report.is_file() else job.name
    state = job.state if job.state in ("done", "running", "failed", "interrupted", "killed") else "odd"
    return tag(
        "tr",
        tag("th", tag("span", class_=f"swatch {mark}"), name, scope="row", data_value=job.name),
        *(tag("td", job.apart.get(key, "")) for key in sweep.keys),
        tag("td", tag("span", job.state, class_=f"state {state}"), data_value=job.state),
        *_figures(job, sweep),
        *_scores(job, sweep),
        class_="best" if job.is_best else None,
    )


def _figures(job: Job, sweep: Sweep) -> Sequence[Html]:
    cells = []
    for head, _, get, show in FIGURES:
        value = get(job)
        badge = _badge(job.is_best and head == sweep.ranking.name)
        text = "" if value is None else show(value)
        cells.append(tag("td", badge, text, class_="n", data_value="" if value is None else f"{value:.9g}"))
    return cells


def _scores(job: Job, sweep: Sweep) -> Sequence[Html]:
    cells = []
    for score in sweep.scores:
        value, badge = job.scores.get(score), _badge(job.is_best and score == sweep.ranking.score)
        text, data = ("", "") if value is None else (nats(value, digits(score[0])), f"{value:.9g}")
        cells.append(tag("td", badge, text, class_="n", data_value=data))
    return cells


def _badge(is_best: bool) -> str:
    return tag("span", "best", class_="badge") if is_best else ""
