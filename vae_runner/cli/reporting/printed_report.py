"""`vae-report FOLDER format=...`: what a paper takes from runs, as files of their own: a LaTeX table, and charts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vae_runner.errors import UserError
from vae_runner.runs.names import LATEX_TABLE
from vae_runner.text import plain

__all__ = ["NAMES", "taken", "write_printed"]

LATEX = "latex"
CHARTS = "figures"  # the folder of charts beside the runs
NAMES = ("format", "columns", "dpi", "width", "text", "title")


def taken(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The settings of what is printed, and the other arguments; a folder of such a name is a folder.

    Raises `UserError` where one of them is given twice.
    """
    settings, rest = {}, []
    for argument in arguments:
        name, equals, value = ("format", "=", LATEX) if argument == "--latex" else argument.partition("=")
        if equals and name in NAMES and not Path(argument).is_dir():
            if name in settings:
                raise UserError(f"{name} is given twice")
            settings[name] = value
        else:
            rest.append(argument)
    return settings, rest


def write_printed(
    runs: Sequence[Path], folders: Sequence[Path], out: Path | None, rank: str | None, settings: Mapping[str, str]
) -> Iterator[Path | str]:
    """Write the table or the charts into `out`, or beside the runs; yields each file, and what a table leaves out.

    Raises `UserError` with a line for each mistake.
    """
    from vae_runner.runs.read import is_run

    run = folders[0] if len(folders) == 1 and is_run(folders[0]) else None
    base = folders[0] if len(folders) == 1 else out or Path("report")
    if settings.get("format", "").lower() == LATEX:
        _check_table(settings, run)
        yield from _write_table((out or base) / LATEX_TABLE, runs, base, rank, _columns(settings))
    else:
        yield from _write_charts(out or base / CHARTS, runs, base, rank, settings, run)


def _write_table(
    file: Path, runs: Sequence[Path], base: Path, rank: str | None, columns: list[str] | None
) -> Iterator[Path | str]:
    from vae_runner.files import write_atomically
    from vae_runner.report.printed.latex_table import latex_table
    from vae_runner.report.sweep.jobs import read_sweep

    text = latex_table(read_sweep(runs, base, rank), columns)
    write_atomically(file, text.encode())
    yield file
    if columns is None:
        yield from (line.removeprefix("% ") for line in text.splitlines() if line.startswith("% not shown: "))


def _write_charts(
    folder: Path, runs: Sequence[Path], base: Path, rank: str | None, settings: Mapping[str, str], run: Path | None
) -> Iterator[Path]:
    from vae_runner.drawing.paper import read_paper
    from vae_runner.drawing.printing.on_paper import printed
    from vae_runner.files import write_atomically
    from vae_runner.report.printed.sweep_charts import run_charts, sweep_charts
    from vae_runner.report.sweep.jobs import read_sweep
    from vae_runner.runs.read import read_run

    if "columns" in settings:
        raise UserError("columns: for format=latex; charts have each figure and score in a file of its own")
    paper = read_paper(settings, [LATEX])
    if run is not None and rank is not None:
        raise UserError(f"rank={plain(rank)} is for several runs, and {plain(run)} is one")
    charts = sweep_charts(read_sweep(runs, base, rank)) if run is None else run_charts(read_run(run))
    made = 0
    for name, canvas in charts:
        if paper is None:
            continue
        for ending, data in printed(canvas, paper).file().items():
            file = folder / f"{name}{ending}"
            write_atomically(file, data)
            made += 1
            yield file
    if not made:
        missing = "run of it is done" if run is None else "score of it has a matrix: vae-evaluate RUN score=[dci,mig]"
        raise UserError(f"nothing to draw in {plain(base)}: no {missing}")


def _check_table(settings: Mapping[str, str], run: Path | None) -> None:
    if run is not None:
        raise UserError(f"format=latex is for several runs, and {plain(run)} is one")
    if others := [name for name in settings if name not in ("format", "columns")]:
        raise UserError(f"{', '.join(others)}: for format=png, pdf and svg; a table in LaTeX has none")


def _columns(settings: Mapping[str, str]) -> list[str] | None:
    """The names of columns=[a,b], of which one may stand without brackets."""
    given = settings.get("columns")
    names = None if given is None else given.strip().removeprefix("[").removesuffix("]").split(",")
    return None if names is None else [name.strip() for name in names if name.strip()]
