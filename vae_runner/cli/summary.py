"""What became of a sweep's jobs, read from their folders."""

import csv
from pathlib import Path
from typing import Any

import yaml

from vae_runner.experiment.folder import RunFolder, shown
from vae_runner.files import read_json

__all__ = ["link_sweep", "sweep_summary"]


def link_sweep(folder: Path) -> None:
    """multirun/latest points to the newest sweep."""
    RunFolder(folder).link_as_latest(Path("multirun", "latest"))


def sweep_summary(folder: Path) -> tuple[list[str], bool]:
    """Returns lines for people, one for each job with its figures, and whether all jobs are done."""
    jobs = [job for job in folder.iterdir() if (job / ".hydra").is_dir() or (job / "status.json").exists()]
    rows = [_row(job) for job in sorted(jobs, key=_number)]
    done = sum(row["state"] == "done" for row in rows)
    lines = [f"{done} of {len(rows)} jobs done in {shown(folder)}"]
    width = max((len(row["overrides"]) for row in rows), default=0)
    for row in rows:
        lines.append(f"  {row['job']:>3}  {row['overrides']:<{width}}  {row['state']:<11} {row['figures']}".rstrip())
    return lines, done == len(rows) > 0


def _row(job: Path) -> dict[str, Any]:
    status = read_json(job / "status.json")
    overrides = job / ".hydra" / "overrides.yaml"
    settings = yaml.safe_load(overrides.read_text()) if overrides.exists() else []
    state = status.get("state", "failed")
    return {
        "job": _number(job),
        "overrides": " ".join(settings),
        "state": state,
        "figures": _figures(job) if state == "done" else status.get("reason") or "",
    }


def _figures(job: Path) -> str:
    table = job / "epochs.csv"
    rows = list(csv.DictReader(table.read_text().splitlines())) if table.exists() else []
    if not rows:
        return ""
    last = rows[-1]
    names = (("-ELBO", "val_neg_elbo"), ("recon", "val_recon"), ("KL", "val_kl"))
    return "  ".join(f"{name} {float(last[column]):.2f}" for name, column in names)


def _number(job: Path) -> int:
    head = job.name.split("-")[0]
    return int(head) if head.isdigit() else -1
