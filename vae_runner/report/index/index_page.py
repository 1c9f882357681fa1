"""Writing the index of a folder's runs, the newest first.

Two runs that are chosen are compared in the page, which has every setting that is not the same in all runs. Pins are
the reader's and no run's: they are kept by the browser, as far as it keeps anything, and those runs stand on top.
"""

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from vae_runner.files import write_atomically
from vae_runner.report.index.thumbnails import thumbnail
from vae_runner.report.markup import Html, tag
from vae_runner.report.page import page
from vae_runner.report.sweep.jobs import Job, Sweep, read_sweep
from vae_runner.report.sweep.table import (
    MADE,
    VALIDATED,
    figure_cell,
    mark_cells,
    mark_columns,
    run_link,
    score_figure,
    state_cell,
)
from vae_runner.report.tables.sortable import Column, Row, script, table_of
from vae_runner.runs.names import INDEX_PAGE, SWEEP_PAGE
from vae_runner.runs.settings import short_value
from vae_runner.runs.words import moment, plural

__all__ = ["write_index"]

SETTINGS = "settings"  # the element that has them, as index.js knows it


def write_index(out: Path, folders: Iterable[Path]) -> Path:
    """Make index.html in `out`, of the runs in the folders; returns its path. Raises `RunError` where it cannot be
    written.
    """
    sweep = read_sweep(folders, out)
    jobs = sorted(sweep.jobs, key=_begun, reverse=True)
    counted = ", ".join(f"{sweep.count(state)} {state}" for state in dict.fromkeys(job.state for job in jobs))
    about = "Figures are nats per image, of each run's last validation. Two runs that are chosen are compared below."
    sections = [
        tag("header", tag("h1", sweep.name), tag("p", f"{plural(len(jobs), 'run')}: {counted}", class_="progress")),
        tag("p", tag("a", "All of these runs side by side", href=SWEEP_PAGE)),
        tag("section", _table(sweep, jobs, out), tag("p", about, class_="quiet")),
        tag("section", id="difference"),
        tag("script", _settings(sweep, jobs), type="application/json", id=SETTINGS),
    ]
    file = out / INDEX_PAGE
    own = resources.files("vae_runner.report.index").joinpath("index.js").read_text(encoding="utf-8")
    write_atomically(file, page(f"{sweep.name}: {plural(len(jobs), 'run')}", sections, own + script(), is_wide=True))
    return file


def _begun(job: Job) -> str:
    return str(job.run.status.get("started") or "")


def _table(sweep: Sweep, jobs: Sequence[Job], out: Path) -> Html:
    figures = [*VALIDATED, *map(score_figure, sweep.scores)]
    columns = [
        Column("Run"),
        *(column for column, *_ in figures),
        *mark_columns(sweep),
        Column("Status", fold=1),
        Column("Settings", about="that were typed and are not the same in all runs", fold=1),
        *(column for column, *_ in MADE),
        Column("Begun", fold=4),
    ]
    rows = []
    for job in jobs:
        cells = [
            tag("th", thumbnail(job.folder), tag("span", run_link(job, out, job.name), class_="name"), scope="row"),
            *(figure_cell(job, figure) for figure in figures),
            *mark_cells(job, sweep),
            state_cell(job),
            tag("td", _typed(job, sweep), class_="said typed"),
            *(figure_cell(job, figure) for figure in MADE),
            tag("td", moment(_begun(job)), data_value=_begun(job)),
        ]
        rows.append(Row(cells, job.name))
    return table_of(columns, rows)


def _typed(job: Job, sweep: Sweep) -> str:
    """What was typed, without what is the same in all runs."""
    told = [(name, value) for name, value in job.settings.command if name in sweep.differing]
    return " ".join(f"{name}={short_value(value)}" for name, value in told)


def _settings(sweep: Sweep, jobs: Sequence[Job]) -> Html:
    """{"runs": [name, ...], "settings": {setting: [value or null, of each run]}} as JSON, in which no markup begins."""
    names = [job.name for job in jobs]
    values = {name: [job.settings.values.get(name) for job in jobs] for name in sweep.differing}
    text = json.dumps({"runs": names, "settings": values}, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c").replace("&", "\\u0026"))
