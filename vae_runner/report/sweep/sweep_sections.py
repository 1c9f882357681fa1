"""The sections of a sweep's page."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from vae_runner.foreign import dig
from vae_runner.report.chart import Point, Series, chart, thinned
from vae_runner.report.explorers import explorer_link
from vae_runner.report.markup import Html, tag
from vae_runner.report.page import notes, section
from vae_runner.report.run.gallery import embedded
from vae_runner.report.run.run_curves import NATS, further_curves, title_of
from vae_runner.report.sweep.colours import colours
from vae_runner.report.sweep.jobs import Job, Sweep
from vae_runner.report.sweep.multiples import codes_of_runs, kl_of_runs
from vae_runner.report.sweep.over_seeds import curves_over_seeds
from vae_runner.report.sweep.seeds import seeds_table
from vae_runner.report.sweep.table import config_differences, figures_table
from vae_runner.runs.growing.record_table import points
from vae_runner.runs.names import contact_sheet_file
from vae_runner.runs.picture_files import Picture
from vae_runner.runs.words import count, plural
from vae_runner.text import plain

__all__ = ["sections"]

LONG = 1000  # characters of a command
MOST_NOTES = 12
MOST_SCHEDULES = 12
MOST_POINTS = 200  # of a curve
JOB = re.compile(r"(\d+)(?:-(?!\d\d-)|$)")  # a job's number begins its name; of a run by itself, its time of day does
ABOUT = {
    "traversal": "the latents of each run that carry most, each moved alone",
    "reconstruction": "the same images in each run",
    "samples": "the same codes in each run",
    "data": "images of the data set",
}


def sections(sweep: Sweep, sheets: Sequence[Picture], out: Path) -> list[Html]:
    """Returns the sections that have something to show; `sheets` are the contact sheets, `out` is the page's folder."""
    made = [
        _title(sweep, out),
        _notes(sweep),
        figures_table(sweep, out),
        seeds_table(sweep),
        curves_over_seeds(sweep),
        _curves(sweep),
        kl_of_runs(sweep),
        _contact_sheets(sheets),
        codes_of_runs(sweep, colours(sweep)),
        config_differences(sweep),
    ]
    return [one for one in made if one]


def _title(sweep: Sweep, out: Path) -> Html:
    states = dict.fromkeys(job.state for job in sweep.jobs)
    told = ", ".join(f"{sweep.count(state)} {state}" for state in states)
    commands = dict.fromkeys(_command(job) for job in sweep.jobs if _command(job))
    return tag(
        "header",
        tag("h1", sweep.name),
        tag("p", tag("span", f"{plural(len(sweep.jobs), 'run')}: {told}"), class_="progress"),
        tag("p", "Started by ", tag("code", next(iter(commands))), class_="quiet") if len(commands) == 1 else "",
        explorer_link(out, "a page on which the decoders of up to six runs are moved by the same image"),
    )


def _command(job: Job) -> str:
    """What the run says that it was started with: told, and not offered as a command to copy."""
    commands = dig(job.run.environment, "commands")
    return plain(commands[0], LONG) if isinstance(commands, list) and commands else ""


def _notes(sweep: Sweep) -> Html:
    """Runs that are not done, with the reason; and where -ELBO cannot be compared."""
    found = []
    if not sweep.is_comparable:
        text = "The runs differ in their images or their likelihood: -ELBO cannot be compared, and no run is the best."
        found.append(("warning", text))
    for job in sweep.jobs:
        if job.state not in ("done", "running", "missing"):  # those are counted in the title
            level = "error" if job.state in ("failed", "killed", "unreadable") else "warning"
            where = f" at step {count(job.run.step)}" if job.run.step else ""
            found.append((level, f"{job.short_label}: {job.state}{where}" + (f": {job.reason}" if job.reason else "")))
        elif job.run.faults:
            found.append(("warning", f"{job.short_label}: {'; '.join(job.run.faults)}"))
    rest = len(found) - MOST_NOTES
    more = [("note", f"{plural(rest, 'more run')} not done.")] if rest > 0 else []
    return notes([*found[:MOST_NOTES], *more])


def _contact_sheets(sheets: Sequence[Picture]) -> Html:
    """Each is a link to its file, which is larger than it is shown."""
    figures = [
        tag(
            "figure",
            tag("h3", sheet.title),
            tag("a", embedded(sheet, f"{sheet.name} of each run"), href=quote(contact_sheet_file(sheet.name))),
            tag("figcaption", ABOUT[sheet.words[0]]) if sheet.words[0] in ABOUT else "",
            class_="wide",
        )
        for sheet in sheets
    ]
    return section("Side by side", tag("div", *figures, class_="pictures")) if figures else Html()


def _curves(sweep: Sweep) -> Html:
    """The runs' curves on common axes, and what each run pays for what it keeps: reconstruction over KL."""
    marks = colours(sweep)
    elbo, recon, kl = (
        [points(job.run.validation if key == "neg_elbo" else job.run.train, key) for job in sweep.jobs]
        for key in ("neg_elbo", "recon", "kl")
    )
    drawn = [
        _overlaid("-ELBO in validation", sweep, elbo, marks, may_be_log=True),
        _overlaid("Reconstruction in training", sweep, recon, marks, may_be_log=True),
        _overlaid("KL in training", sweep, kl, marks),
        _plane(sweep, marks),
        *(_schedule(key, sweep, marks) for key in _moving(sweep)),
    ]
    if not any(drawn):
        return Html()
    keys = [
        tag("span", tag("span", class_=f"swatch {mark}"), job.label, data_run=job.label)
        for job, mark in zip(sweep.jobs, marks, strict=True)
        if mark != "many"
    ]
    return section("Curves", tag("p", *keys, class_="legend"), tag("div", *drawn, class_="charts two"))


def _moving(sweep: Sweep) -> list[str]:
    """What else moves over the steps, but for what moves in the same way in all runs."""
    found = dict.fromkeys(key for job in sweep.jobs for key in further_curves(job.run))
    curves = {key: [points(job.run.train, key) for job in sweep.jobs] for key in found}
    return [key for key, each in curves.items() if any(one != each[0] for one in each)][:MOST_SCHEDULES]


def _schedule(key: str, sweep: Sweep, marks: Sequence[str]) -> Html:
    return _overlaid(title_of(key), sweep, [points(job.run.train, key) for job in sweep.jobs], marks, unit="")


def _overlaid(
    name: str,
    sweep: Sweep,
    curves: Sequence[Sequence[Point]],
    marks: Sequence[str],
    may_be_log: bool = False,
    unit: str = NATS,
) -> Html:
    series = [
        Series(f"run {mark}", thinned(curve, MOST_POINTS), label=job.label)
        for job, curve, mark in zip(sweep.jobs, curves, marks, strict=True)
        if curve
    ]
    about = ", ".join(filter(None, [f"{name} over the steps", unit]))
    return _figure(name, chart(series, unit, about, may_be_log))


def _plane(sweep: Sweep, marks: Sequence[str]) -> Html:
    """A dot for each run: the last validation's reconstruction over its KL, with the run's number."""
    series = []
    for job, mark in zip(sweep.jobs, marks, strict=True):
        kl, recon = job.validated("kl"), job.validated("recon")
        if kl is not None and recon is not None and job.run.validation[-1]["step"] > 0:
            number = JOB.match(job.name)
            shown = number[1] if number else ""
            series.append(Series(f"run {mark}", [(kl, recon)], drawn_as="dots", label=job.label, mark=shown))
    if len(series) < 2:
        return Html()
    name = "Reconstruction over KL, last validation"
    return _figure(name, chart(series, NATS, name, across="KL, nats per image"))


def _figure(name: str, drawing: Html) -> Html:
    return tag("figure", tag("figcaption", tag("h3", name)), drawing) if drawing else Html()
