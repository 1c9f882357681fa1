"""Charts of a sweep and of a run for print: curves over the seeds, a strip for each figure, and matrices of scores."""

import math
from collections.abc import Iterator

import numpy as np

from vae_runner.drawing.lettering import plain
from vae_runner.drawing.marks.canvas import Canvas
from vae_runner.drawing.on_screen import Panel, heat_map, panels, strips
from vae_runner.drawing.palette import COLOURS
from vae_runner.report.scored.score_sections import matrices
from vae_runner.report.sweep.jobs import Sweep
from vae_runner.report.sweep.over_seeds import CURVES, label_of, series_of
from vae_runner.report.sweep.seeds import Group, groups, seed_figures
from vae_runner.runs.read import Run

__all__ = ["run_charts", "sweep_charts"]

MOST = 6  # curves of a panel, of as many colours
Named = tuple[str, Canvas]


def sweep_charts(sweep: Sweep) -> Iterator[Named]:
    """The charts by the names of their files, of the runs that are done."""
    found = groups(sweep) or [Group(job.apart, [job]) for job in sweep.jobs if job.state == "done"]
    labels = [plain(label_of(group.apart, sweep)) for group in found]
    shown: list[Panel] = []
    for curve in CURVES:
        series = [
            series_of(curve, group.jobs, label, colour=colour)
            for group, label, colour in zip(found[:MOST], labels, COLOURS, strict=False)
        ]
        if having := [one for one in series if one.points]:
            shown.append((f"{curve.name}, nats", having, curve.may_be_log, False))
    if shown:
        end = max(step for _, series, *_ in shown for one in series for step, _ in one.points)
        yield "curves", panels(shown, f"{plain(sweep.name)}: mean and spread over the seeds", end, 2, 340, 190)
    for name, head, unit, _, get, _ in seed_figures(sweep):
        values = {
            label: [value for job in group.jobs if (value := get(job)) is not None]
            for label, group in zip(labels, found, strict=True)
        }
        if any(map(math.isfinite, (value for one in values.values() for value in one))):
            told = ", ".join(filter(None, [plain(head), plain(unit)]))
            yield plain(name).replace("/", "-"), strips(values, told, told)


def run_charts(run: Run) -> Iterator[Named]:
    """The matrices of a run's scores as heat maps, by the names of the scores."""
    for matrix in matrices(run):
        values = np.array([[math.nan if v is None else v for v in row] for row in matrix.values], float)
        most = matrix.most or float(np.nanmax(np.where(np.isfinite(values), values, np.nan), initial=1e-9))
        rows, columns = map(plain, matrix.rows), map(plain, matrix.columns)
        yield matrix.score, heat_map(values, list(rows), list(columns), matrix.title, matrix.about, 0.0, most)
