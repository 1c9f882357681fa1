"""Writing a sweep's files from what lies on the disk."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from vae_runner.files import locked, refusals_told, remove_leftovers, write_atomically
from vae_runner.report.explorers import write_explorers
from vae_runner.report.page import page
from vae_runner.report.sweep.contact import CHARTS, contact_sheet, shared_pictures
from vae_runner.report.sweep.jobs import Job, Sweep, read_sweep, table
from vae_runner.report.sweep.seeds import seeds_csv
from vae_runner.report.sweep.sweep_sections import sections
from vae_runner.report.tables.sortable import script
from vae_runner.runs.names import LOCK, SEEDS_TABLE, SWEEP_PAGE, SWEEP_TABLE, contact_sheet_file
from vae_runner.runs.picture_files import Picture, as_picture, ranked
from vae_runner.runs.read import find_runs

__all__ = ["write_sweep"]


def write_sweep(out: Path, folders: Iterable[Path] | None = None, rank: str | None = None) -> Path:
    """Make sweep.html, sweep.csv, contact-NAME.png and, of runs that have one, explore.html in `out`, of the runs below
    it or in the folders given, and sweep-seeds.csv where some differ in the seed alone; returns the page's path. `rank`
    is the name of a score: the best run by it comes first.

    Several processes may do it at once: each reads the disk when it is its turn, so the last one has seen all. Raises
    `RunError` where the files cannot be written, `UserError` where the runs cannot be ranked by that score.
    """
    out = Path(out)
    with contextlib.ExitStack() as stack:
        with refusals_told(out / LOCK):
            stack.enter_context(locked(out / LOCK))
        remove_leftovers(out)
        found = find_runs(out) if folders is None else list(folders)
        sweep = read_sweep(found, out, rank)
        sheets = list(_write_sheets(sweep, out))
        write_atomically(out / SWEEP_TABLE, table(sweep).encode())
        if over_seeds := seeds_csv(sweep):
            write_atomically(out / SEEDS_TABLE, over_seeds.encode())
        else:
            (out / SEEDS_TABLE).unlink(missing_ok=True)
        write_explorers(out, [(job.folder, job.short_label) for job in _best_first(sweep)], sweep.name)
        file = out / SWEEP_PAGE
        title = f"{sweep.name}: {len(sweep.jobs)} runs"
        write_atomically(file, page(title, sections(sweep, sheets, out), script(), is_wide=True))
    return file


def _best_first(sweep: Sweep) -> list[Job]:
    """The runs in their order, but for the best one, which comes first."""
    return sorted(sweep.jobs, key=lambda job: not job.is_best)


def _write_sheets(sweep: Sweep, out: Path) -> Iterator[Picture]:
    """Returns the contact sheets, in the order in which they are shown."""
    made = [(name, data) for name in shared_pictures(sweep) if (data := contact_sheet(sweep, name))]
    for name in CHARTS:  # of an older version
        (out / contact_sheet_file(name)).unlink(missing_ok=True)
    for name, data in made:
        write_atomically(out / contact_sheet_file(name), data)
    yield from ranked(picture for name, data in made if (picture := as_picture(name, data)))
