"""Writing the report of a run's folder."""

from pathlib import Path

from vae_runner.files import remove_leftovers, write_atomically
from vae_runner.report.page import page
from vae_runner.report.run.sections import sections
from vae_runner.runs.names import PAGE
from vae_runner.runs.read import read_run

__all__ = ["write_report"]


def write_report(folder: Path) -> Path:
    """Make report.html of what is in the run's folder; returns its path."""
    folder = Path(folder)
    remove_leftovers(folder)
    run = read_run(folder)
    file = folder / PAGE
    write_atomically(file, page(f"{run.name}: {run.state}" if run.status else run.name, sections(run)))
    return file
