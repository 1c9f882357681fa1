"""What became of a sweep's jobs, read from their folders."""

from pathlib import Path

from vae_runner.console import logging_to
from vae_runner.report.sweep import read_sweep
from vae_runner.report.sweep.jobs import Job
from vae_runner.runs.folder import RunFolder
from vae_runner.runs.names import LATEST_SWEEP
from vae_runner.runs.read import find_runs
from vae_runner.runs.words import shown

__all__ = ["link_sweep", "sweep_summary"]


def link_sweep(folder: Path) -> None:
    """multirun/latest points to the newest sweep."""
    with logging_to(None):  # a sweep has no log of its own
        RunFolder(folder).link_as_latest(LATEST_SWEEP, "sweep")


def sweep_summary(folder: Path) -> tuple[list[str], bool]:
    """Returns lines for people, one for each job with its figures, and whether all jobs are done."""
    sweep = read_sweep(find_runs(folder), folder)
    done = sweep.count("done")
    lines = [f"{done} of {len(sweep.jobs)} jobs done in {shown(folder)}"]
    width = max((len(job.short_label) for job in sweep.jobs), default=0)
    for job in sweep.jobs:
        lines.append(f"  {_number(job):>3}  {job.short_label:<{width}}  {job.state:<11} {_told(job)}".rstrip())
    return lines, done == len(sweep.jobs) > 0


def _told(job: Job) -> str:
    """The last validation's figures, nats per image; of a job that is not done, why."""
    if job.state != "done":
        return job.reason
    names = (("-ELBO", "neg_elbo"), ("recon", "recon"), ("KL", "kl"))
    figures = [(name, job.validated(key)) for name, key in names]
    told = "  ".join(f"{name} {value:.2f}" for name, value in figures if value is not None)
    return told + ("  best" if job.is_best else "")


def _number(job: Job) -> str:
    head = job.name.split("-")[0]
    return head if head.isdigit() else ""
