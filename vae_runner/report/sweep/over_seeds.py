"""Curves over the seeds: for runs that differ in the seed alone, the mean over them at each step and one sample
standard deviation to either side, sqrt(sum (x - mean)^2 / (n - 1)).

A step counts where all of them have a finite figure: a mean over fewer runs would jump where one begins or ends.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

from vae_runner.drawing.chart.axes import Series
from vae_runner.drawing.palette import COLOURS as INKS
from vae_runner.report.chart import chart
from vae_runner.report.markup import Html, tag
from vae_runner.report.page import section
from vae_runner.report.run.run_curves import NATS
from vae_runner.report.sweep.colours import COLOURS
from vae_runner.report.sweep.jobs import Job, Sweep
from vae_runner.report.sweep.seeds import Group, groups
from vae_runner.runs.growing.record_table import points
from vae_runner.runs.settings import short_value

__all__ = ["CURVES", "Curve", "curves_over_seeds", "label_of", "mean_curve", "series_of"]

MOST_POINTS = 200  # of a curve


class Curve(NamedTuple):
    """A figure over the steps: its name in the log, of training or validation, whether it may be logarithmic."""

    key: str
    name: str
    is_of_validation: bool
    may_be_log: bool


CURVES = (
    Curve("neg_elbo", "-ELBO in validation", True, True),
    Curve("recon", "Reconstruction in training", False, True),
    Curve("kl", "KL in training", False, False),
)


def curves_over_seeds(sweep: Sweep) -> Html:
    """Returns the section of the page; nothing where no two runs differ in the seed alone."""
    found = [group for group in groups(sweep) if len(group.jobs) > 1][:COLOURS]
    drawn = [
        tag("figure", tag("figcaption", tag("h3", f"{curve.name}, mean")), drawing)
        for curve in CURVES
        if (drawing := _chart(curve, found, sweep))
    ]
    if not drawn:
        return Html()
    keys = [
        tag("span", tag("span", class_=f"swatch c{number}"), f"{label_of(group.apart, sweep)} ({len(group.jobs)})")
        for number, group in enumerate(found)
    ]
    about = "Mean over the seeds, and one standard deviation to either side."
    shown = tag("div", *drawn, class_="charts two")
    return section("Curves over the seeds", tag("p", *keys, class_="legend"), shown, tag("p", about, class_="quiet"))


def _chart(curve: Curve, found: Sequence[Group], sweep: Sweep) -> Html:
    series = [
        series_of(curve, group.jobs, label_of(group.apart, sweep), f"run c{number}", "")
        for number, group in enumerate(found)
    ]
    about = f"Mean and spread over the seeds: {curve.name} over the steps, {NATS}"
    return chart([one for one in series if one.points], NATS, about, curve.may_be_log)


def series_of(curve: Curve, jobs: Sequence[Job], label: str, name: str = "", colour: str = INKS[0]) -> Series:
    """The mean over the runs, with its spread where there are several; of one run its own curve."""
    each = [points(job.run.validation if curve.is_of_validation else job.run.train, curve.key) for job in jobs]
    found = mean_curve([dict(one) for one in each])
    spread = [(step, middle - sd, middle + sd) for step, middle, sd in found] if len(jobs) > 1 else []
    return Series(name or label, [(step, middle) for step, middle, _ in found], colour, label=label, spread=spread)


def mean_curve(curves: Sequence[Mapping[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float, float]]:
    """Returns (step, mean, standard deviation) of all curves, by step, about `most` of them and the last."""
    steps = sorted(set.intersection(*({s for s, v in one.items() if math.isfinite(v)} for one in curves)))
    kept = [*steps[: -1 : max(len(steps) // most, 1)], *steps[-1:]]
    values = [[one[step] for one in curves] for step in kept]
    return [(s, mean(v), stdev(v) if len(v) > 1 else 0.0) for s, v in zip(kept, values, strict=True)]


def label_of(apart: Mapping[str, str], sweep: Sweep) -> str:
    """'beta=4': what tells the runs of a group from others, in short words; 'all' where nothing does."""
    return " ".join(f"{sweep.short[key]}={short_value(value)}" for key, value in apart.items()) or "all"
