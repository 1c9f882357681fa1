"""A small chart of each run beside those of the others, all on one scale: what its latents carry, and where its encoder
puts the images.
"""

import math
from collections.abc import Iterator, Sequence

from vae_runner.foreign import dig, json_object, number, read_text
from vae_runner.report.chart import Point, Series, chart
from vae_runner.report.markup import Html, tag
from vae_runner.report.page import section
from vae_runner.report.run.findings import DEAD_NATS, latent_kl
from vae_runner.report.run.latents import kl_bars
from vae_runner.report.run.run_curves import NATS
from vae_runner.report.sweep.jobs import Job, Sweep
from vae_runner.runs.names import GRIDS
from vae_runner.text import plain

__all__ = ["codes_of_runs", "kl_of_runs"]

MOST_RUNS = 40
MOST_CODES = 256  # of a run
SCATTER = "scatter"  # the picture whose JSON file has the codes


def kl_of_runs(sweep: Sweep) -> Html:
    """The KL of each latent of each run, the largest first; the bars of all runs have one scale."""
    found = [(job, kl) for job in sweep.jobs if (kl := latent_kl(job.run)) and kl.step > 0][:MOST_RUNS]
    if len(found) < 2:
        return Html()
    largest = max([DEAD_NATS, *(value for _, kl in found for value in kl.nats.values() if math.isfinite(value))])
    lists = [
        tag("div", tag("h3", job.label), tag("div", *kl_bars(kl, largest), class_="spaces"), data_run=job.label)
        for job, kl in found
    ]
    about = f"KL(q(z|x) || p(z)), {NATS}, in each run's last validation; one scale for all runs"
    return section("KL per latent", tag("p", about, class_="quiet"), tag("div", *lists, class_="multiples"))


def codes_of_runs(sweep: Sweep, marks: Sequence[str]) -> Html:
    """Where the encoder of each run puts images, in its two latents that carry most; all on one scale."""
    found = [one for job, mark in zip(sweep.jobs, marks, strict=True) if (one := _codes(job, mark))][:MOST_RUNS]
    if len(found) < 2:
        return Html()
    every = [series for series, _ in found]
    drawn = [
        tag(
            "figure",
            tag("figcaption", tag("h3", series.label)),
            chart([series], axes[1], f"Codes of {series.label}", across=axes[0], beside=every),
            data_run=series.label,
        )
        for series, axes in found
    ]
    about = "Means of q(z|x) of images, in the two latents that carry most; one scale for all runs."
    return section("Codes", tag("p", about, class_="quiet"), tag("div", *drawn, class_="charts"))


def _codes(job: Job, mark: str) -> tuple[Series, list[str]] | None:
    """The codes, and what the axes are; None where the run has none."""
    details = json_object(read_text(job.folder / GRIDS / f"{SCATTER}.json")) or {}
    codes, axes = details.get("codes"), details.get("axes")
    if not isinstance(codes, list) or not isinstance(axes, list) or len(axes) != 2:
        return None
    points = list(_points(codes[:MOST_CODES]))
    return (Series(f"run {mark}", points, drawn_as="dots", label=job.label), [*map(_axis, axes)]) if points else None


def _points(codes: Sequence[object]) -> Iterator[Point]:
    for code in codes:
        pair = [value for one in code if (value := number(one)) is not None] if isinstance(code, list) else []
        if len(pair) == 2 and all(map(math.isfinite, pair)):
            yield pair[0], pair[1]


def _axis(about: object) -> str:
    """'z2, posX 0.87': the latent, and what it follows."""
    latent = f"z{number(dig(about, 'dim')):.0f}" if number(dig(about, "dim")) is not None else ""
    return ", ".join(filter(None, [latent, plain(dig(about, "follows") or "")]))
