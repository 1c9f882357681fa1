"""`vae-report`: the reports of runs and of sweeps, made anew from their folders. Needs neither torch nor Hydra,
unless a page on which the decoder runs is asked for.

Exit codes: 0 done, 1 the files could not be written, 2 a mistake in the request, 141 nobody reads what is printed.
"""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vae_runner.cli import exit_code_of
from vae_runner.cli.few_settings import about_dashes, meant, value_behind
from vae_runner.cli.reporting.printed_report import NAMES, taken, write_printed
from vae_runner.errors import RunError, UserError
from vae_runner.output import to_stdout
from vae_runner.runs.names import (
    CHECKPOINTS,
    CONFIG,
    EXPLORER,
    LAST,
    LEDGER,
    METRICS,
    OF_HYDRAS_SWEEP,
    STATUS,
)
from vae_runner.runs.words import shown
from vae_runner.text import plain

__all__ = ["main", "run"]

KNOWN = ("rank", "explore", "trust", *NAMES)  # its settings, all without dashes

HELP = """\
vae-report: make the report of a run, or of several runs side by side, from what lies in their folders

usage:  vae-report RUN                       RUN/report.html, and explore.html where there is one
        vae-report RUN explore=true          RUN/explore.html made first, from the best weights, as by
                                             vae-redraw RUN visualisation=[explore], which has settings for it
        vae-report FOLDER [rank=SCORE]       of all runs below it: FOLDER/sweep.html, sweep*.csv, contact-NAME.png, and
                                             explore.html, up to six side by side;
                                             of a folder that is no sweep, as outputs, FOLDER/index.html too
        vae-report RUN RUN ... [--out DIR]   the same of those runs, in DIR (default: report)
        vae-report FOLDER format=latex [columns=[NAME,...]]
                                             FOLDER/sweep.tex: mean and spread over the seeds, the best in bold
        vae-report FOLDER format=pdf [width=84mm] [text=8pt] [title=false]
                                             FOLDER/figures: curves over the seeds, a strip for each figure and score
        vae-report RUN format=pdf ...        RUN/figures: the matrices of its scores as heat maps

examples:
  vae-report outputs/latest
  vae-report outputs/latest explore=true     of a run that has no explore.html; torch is loaded for it
  vae-report outputs/latest --serve          look on while it is trained
  vae-report multirun/latest
  vae-report multirun/latest rank=mig        the best by a score that vae-evaluate has made first, not that by -ELBO
  vae-report outputs                         index.html: all runs, their tags and notes, the difference of any two
  vae-report multirun/latest format=latex columns=[mig,factor_vae,recon_test,kl_test]
  vae-report multirun/latest format=pdf width=3.3in rank=mig
  vae-report outputs/2026-11-22 --out comparison

options:
  rank=SCORE    of several runs: the best by that score comes first; by default -ELBO says which one is the best
  --out DIR     where the files of several runs go, and what is made for a paper
  explore=true  of one run: its explore.html is made first; only this loads torch, and, with trust=true, builds parts
                from outside vae_runner and torch that the saved config names
  --serve       then show them at an address of this machine alone, made anew as runs go on, until Ctrl-C
  --port N      of that address; by default any that is free
  format=FORMAT latex (also --latex): a table with booktabs; png (with dpi=300), pdf or svg: charts laid out for print,
                as by vae-redraw: width=84mm (mm, cm, in, pt, px), text=8pt, title=true
  columns=[mig,kl_test]  of the table, by their names in sweep-seeds.csv; by default what was measured on the test
                images, or else in validation, and scores, as many as an article's text is wide
  --help        this screen
  --version     the version

Nothing in the folders is run: JSON, plain YAML and pictures are read. Runs that are broken, under way or failed are
shown with their status. Exit codes: 0 done, 1 the files could not be written, 2 a mistake in the request, 141 nobody
reads what is printed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. HYDRA_FULL_ERROR=1 in the environment shows tracebacks."""
    return exit_code_of("vae-report", lambda: _command(arguments))


def _command(arguments: list[str]) -> int:
    if {"--help", "-h"} & set(arguments):
        print(HELP)
        return 0
    if "--version" in arguments:
        from vae_runner import __version__

        print(f"vae-report {__version__}")
        return 0
    return _report(arguments)


def _report(arguments: list[str]) -> int:
    port, own = _served(arguments)
    explored, own = _explored(own)
    paper, rest = taken(own)
    if paper and port is not None:
        raise UserError("--serve shows pages, and format=... makes files for a paper: one at a time")
    if paper and explored is not None:
        raise UserError("explore=true makes a page, and format=... files for a paper: one at a time")
    if paper:
        return _print(paper, rest)
    folders, out, rank = _read(rest)
    if explored is not None:
        _explore(folders, explored)
    try:
        pages = _write(folders, out, rank)
        for page in pages:
            to_stdout(f"report {page}")
        _tell_of_explorer(folders)
    except OSError as error:
        raise RunError(str(error)) from error
    if port is not None:
        _serve(pages[0].parent, port, lambda: _write(folders, out, rank))
    return 0


def _explored(arguments: list[str]) -> tuple[list[str] | None, list[str]]:
    """What `vae-redraw` is told beside the run, None where no explore.html is to be made, and the other arguments."""
    given = [one for one in arguments if one.startswith(("explore=", "trust=")) and not Path(one).is_dir()]
    wanted = {name: value.lower() for name, _, value in (one.partition("=") for one in given)}
    if wrong := [one for one in given if one.partition("=")[2].lower() not in ("true", "false")]:
        raise UserError(f"{plain(wrong[0].partition('=')[0])}: expected true or false, got {plain(wrong[0])}")
    is_wanted = wanted.get("explore") == "true"
    if "trust" in wanted and not is_wanted:
        raise UserError("trust=true is for explore=true: nothing else builds what a config names")
    rest = [one for one in arguments if one not in given]
    return (["visualisation=[explore]", f"trust={wanted.get('trust', 'false')}"] if is_wanted else None), rest


def _explore(folders: Sequence[Path], arguments: Sequence[str]) -> None:
    """Make explore.html of the one run, as `vae-redraw` does."""
    from vae_runner.runs.read import is_run

    if len(folders) != 1 or not is_run(folders[0]):
        raise UserError("explore=true is for the folder of one run; vae-report RUN explore=true for each")
    from vae_runner.cli.redraw import draw

    draw([str(folders[0]), *arguments])


def _tell_of_explorer(folders: Sequence[Path]) -> None:
    """A line where a run that is done was to have an explore.html, could have one, and has none."""
    from vae_runner.foreign import dig, read_json, read_yaml

    folder = folders[0]
    if len(folders) > 1 or (folder / EXPLORER).exists() or dig(read_json(folder / STATUS), "state") != "done":
        return
    if (folder / CHECKPOINTS / LAST).exists() and dig(read_yaml(folder / CONFIG), "visualisation", "explore"):
        to_stdout(f"no {EXPLORER}: vae-report {shown(folder)} explore=true makes it, or says why there is none")


def _print(paper: Mapping[str, str], rest: list[str]) -> int:
    """A table or charts for a paper instead of a page."""
    folders, out, rank = _read(rest)
    try:
        for file in write_printed(_runs(folders), folders, out, rank, paper):
            to_stdout(file)
    except OSError as error:
        raise RunError(str(error)) from error
    return 0


def _served(arguments: list[str]) -> tuple[int | None, list[str]]:
    """The port to serve at, 0 for any, None where nothing is to be served; and the other arguments."""
    rest, port = list(arguments), None
    if "--port" in rest and "--serve" not in rest:
        raise UserError("--port is for --serve")
    if "--serve" in rest:
        rest.remove("--serve")
        port = 0
    if "--port" in rest:
        place = rest.index("--port")
        given = rest[place + 1 : place + 2]
        if not given or not given[0].isdecimal() or not 0 <= int(given[0]) <= 65535:
            raise UserError("--port needs a number from 0 to 65535, of which 0 is any that is free")
        port = int(given[0])
        del rest[place : place + 2]
    return port, rest


def _serve(folder: Path, port: int, remake: Callable[[], object]) -> None:
    """Give the pages out until Ctrl-C. Raises `UserError` where the port cannot be had."""
    from vae_runner.report.serving import server_of

    try:
        server = server_of(folder, port, remake)
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}; another one, or none for any that is free") from error
    with server:
        to_stdout(f"serving http://127.0.0.1:{server.server_address[1]}/ to this machine; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _read(arguments: list[str]) -> tuple[list[Path], Path | None, str | None]:
    """The folders, where the files shall go, and by which score. Raises `UserError` with a line for each mistake."""
    rest, names, outs, ranks, problems = list(arguments), [], [], [], []
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if name == "--out" and (equals or rest):
            outs.append(value if equals else rest.pop(0))
        elif name == "--out":
            problems.append("--out needs a folder: --out DIR")
        elif name == "rank" and equals and not Path(argument).is_dir():
            ranks.append(value)
        elif argument.startswith("-"):
            value = value_behind(argument, rest, KNOWN)
            told = (
                about_dashes(name, value, KNOWN, "vae-report")
                if meant(name.lstrip("-"), KNOWN)
                else f"no option called {plain(argument)!r}"
            )
            problems.append(f"{told}; there are --out DIR, --serve, --port N, --help, --version")
        else:
            names.append(argument)
    problems += [_fault(name) for name in names if not Path(name).is_dir()]
    if len(outs) > 1 or "" in outs:
        problems.append("--out takes one folder")
    elif outs and Path(outs[0]).exists() and not Path(outs[0]).is_dir():
        problems.append(f"--out {plain(outs[0])} is not a folder")
    if len(ranks) > 1 or "" in ranks:
        problems.append("rank takes one score: rank=mig")
    if not names and not problems:
        problems.append("which runs? vae-report outputs/latest; --help says more")
    if problems:
        raise UserError("\n".join(problems))
    return [Path(name) for name in names], Path(outs[0]) if outs else None, ranks[0] if ranks else None


def _fault(name: str) -> str:
    from vae_runner.runs.read import such_as

    if Path(name).exists():
        return f"{plain(name)} is not a folder; give the folder of a run or of a sweep"
    setting, equals, _ = name.partition("=")
    if equals and "/" not in setting:
        return f"no setting called {plain(setting)}; there are {', '.join(KNOWN)}.{meant(setting, KNOWN)}"
    return f"no folder {plain(name)}; give that of a run or of a sweep{such_as(Path(name))}"


def _write(folders: list[Path], out: Path | None, rank: str | None) -> list[Path]:
    """Make the report, and take away what one that was killed has left; returns the paths of its pages."""
    from vae_runner.files import remove_leftovers
    from vae_runner.report.explorers import renew_explorer
    from vae_runner.report.index import write_index
    from vae_runner.report.run.run_page import write_report
    from vae_runner.report.sweep import write_sweep
    from vae_runner.runs.folder import warn_of_real_latest
    from vae_runner.runs.read import is_run

    for folder in folders:
        warn_of_real_latest(folder)
    if len(folders) == 1 and is_run(folders[0]):
        if out is not None:
            raise UserError(
                f"--out is for several runs; the report of one is written into its folder, {plain(folders[0])}"
            )
        if rank is not None:
            raise UserError(f"rank={plain(rank)} is for several runs, and {plain(folders[0])} is one")
        remove_leftovers(folders[0])
        renew_explorer(folders[0])
        return [write_report(folders[0])]
    found = _runs(folders)
    out = out or (folders[0] if len(folders) == 1 else Path("report"))
    remove_leftovers(out)
    page = write_sweep(out, found, rank)
    is_index = len(folders) == 1 and not any((folders[0] / name).exists() for name in (LEDGER, OF_HYDRAS_SWEEP))
    return [write_index(out, found), page] if is_index else [page]


def _runs(folders: Sequence[Path]) -> list[Path]:
    """Those in the folders, each once, though it is given twice, by a link perhaps. Raises `UserError` without one."""
    from vae_runner.runs.read import find_runs

    found: dict[Path, Path] = {}
    for folder in folders:
        runs = find_runs(folder)
        if not runs:
            raise UserError(f"no runs in {plain(folder)}: none of its folders has a {STATUS}, {CONFIG} or {METRICS}")
        found.update({run.resolve(): run for run in runs if run.resolve() not in found})
    return list(found.values())


if __name__ == "__main__":
    main()
