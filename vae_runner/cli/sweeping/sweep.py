"""A sweep: its jobs are written down, done, and, after whatever has stopped them, gone on with.

Which jobs are left is read from their folders: those that are done are left alone, those with a checkpoint go on from
it, all others begin. They are given to the launcher of the sweep, so that they run as its jobs did.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_runner.callbacks.outcome import finish_page
from vae_runner.cli.arguments import Request, read_arguments
from vae_runner.cli.composing.composer import Composer, composer, path_value, without_hydra
from vae_runner.cli.hydra_compat import BASIC, ONE_BY_ONE
from vae_runner.cli.job import COMMAND, SUFFIX, hydras_refusals, say, sweep_report, task
from vae_runner.cli.searching.optuna_sweeper import OPTUNA, OptunaSweeper
from vae_runner.cli.searching.search import search_settings
from vae_runner.cli.sweeping.crew import lead
from vae_runner.cli.sweeping.jobs_setting import serial_hint
from vae_runner.cli.sweeping.keeping import kept_images
from vae_runner.cli.sweeping.launcher import ProcessLauncher
from vae_runner.cli.sweeping.origin import check_origin, go_on_command, is_launchers, is_replaced
from vae_runner.cli.sweeping.searches import begin_search, search_on
from vae_runner.cli.sweeping.summary import link_sweep, sweep_summary
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.resume import check_targets, refuse_changes, saved_config
from vae_runner.experiment.sweep_job import is_begun, is_finished
from vae_runner.output import to_stdout
from vae_runner.report.sweep import read_sweep
from vae_runner.runs.folder import held, remove
from vae_runner.runs.ledger import Ledger, job_number, read_ledger, write_ledger
from vae_runner.runs.names import LATEST_SWEEP, LEDGER, OF_HYDRAS_SWEEP, SWEEP_LOCK, SWEEP_PAGE
from vae_runner.runs.place import judge_place
from vae_runner.runs.read import find_runs
from vae_runner.runs.words import quoted, shown

__all__ = ["go_on", "is_launchers", "sweep"]

ProcessLauncher.lead = lead
OptunaSweeper.search = begin_search


def sweep(request: Request, cfg: DictConfig, folder: Path, compose: Composer) -> int:
    """Do all jobs of the composed sweep in the new `folder`; returns the exit code."""

    def launch() -> None:
        judge_place("hydra.sweep.dir", folder)  # as it is now that nobody else has it
        try:
            _write_down(request, cfg, folder, compose)
        except BaseException:
            remove(folder / SWEEP_LOCK)  # nothing else is there
            raise
        link_sweep(folder)
        if cfg.hydra.launcher._target_ == ONE_BY_ONE and (hint := serial_hint(len(_jobs_in(folder)))):
            to_stdout(hint)
        try:
            compose.sweep(cfg, folder, task)
        except Exception:
            if not any(folder.glob("*/*")):  # no job was begun: nothing is left behind
                _discard(folder)
            raise

    return _do(folder, launch)


def _jobs_in(folder: Path) -> Sequence[Sequence[str]]:
    """The jobs that are written down; none of a sweeper that chooses them as it goes."""
    ledger = read_ledger(folder)
    return ledger.jobs if ledger else ()


def _discard(folder: Path) -> None:
    """Empty the folder of a sweep that was not begun, its lock last, and take away the link to it."""
    if LATEST_SWEEP.is_symlink() and LATEST_SWEEP.resolve() == folder.resolve():
        remove(LATEST_SWEEP)
    for path in [path for path in folder.iterdir() if path.name != SWEEP_LOCK]:
        remove(path)
    remove(folder / SWEEP_LOCK)


def _write_down(request: Request, cfg: DictConfig, folder: Path, compose: Composer) -> None:
    own: Any = OmegaConf.to_container(
        cfg.hydra.overrides.hydra, resolve=False
    )  # what a job's folder looks up is the job's
    ledger = Ledger(os.environ[COMMAND], os.environ[SUFFIX], request.flag_arguments(), own)
    if cfg.hydra.sweeper._target_ == BASIC:
        write_ledger(folder, replace(ledger, jobs=compose.jobs(cfg)))
    elif cfg.hydra.sweeper._target_ == OPTUNA:  # which adds its jobs as it goes; of others there is no list
        write_ledger(folder, replace(ledger, search=search_settings(cfg), objective=cfg.hydra.sweeper.objective))


def go_on(folder: Path, request: Request, changes: Mapping[str, Any], trust: bool) -> int:
    """Do what is left of the sweep in `folder`, with those settings changed in all its jobs; returns the exit code."""
    launcher = [text for text in request.overrides if is_launchers(text)]
    ledger = read_ledger(folder)
    if ledger is not None and ledger.is_search:
        return _do(folder, lambda: search_on(folder, request, changes, trust))
    if request.trials is not None:
        raise UserError(f"trials={request.trials} is for a search, and {shown(folder)} is none; leave it out")

    def launch() -> None:
        rest = _rest(folder, {key: value for key, value in changes.items() if not is_launchers(key)}, trust)
        own = [text for text in rest.ledger.hydra if not (launcher and is_launchers(text)) and not is_replaced(text)]
        if not trust:
            check_origin(rest.ledger, request.flags, own, folder / LEDGER)
        flags = {**read_arguments(rest.ledger.flags).flags, **request.flags, "--multirun": None}
        os.environ[SUFFIX] = rest.ledger.suffix
        master = [*own, *launcher, f"hydra.sweep.dir={path_value(folder)}", "hydra.mode=MULTIRUN"]
        with composer(replace(request, flags=flags)) as compose:
            cfg, jobs = compose.compose(master, multirun=True), rest.jobs(trust)
            if not trust:
                _check_new(rest, master, jobs, compose, folder)
            write_ledger(folder, rest.ledger)
            to_stdout(f"{len(rest.left)} of {len(rest.ledger.jobs)} jobs to do in {shown(folder)}")
            with kept_images(cfg):
                compose.launcher(cfg, task).launch(jobs, initial_job_idx=rest.left[0])

    return _do(folder, launch)


@dataclass(frozen=True)
class _Rest:
    """What is left of a sweep: the numbers of its jobs that are not done, and the folders of those that have begun."""

    ledger: Ledger
    left: Sequence[int]
    begun: Mapping[int, Path]

    @property
    def new(self) -> list[int]:
        return [number for number in self.left if number not in self.begun]

    def jobs(self, trust: bool) -> list[list[str]]:
        """The settings of all jobs from the first that is left to the last: a job's number follows from its place.

        Those between them that are done are left alone by `task`, and Hydra writes nothing into their folders.
        """
        changed = [f"{key}={_as_value(value)}" for key, value in self.ledger.changes.items()]
        to_do, to_skip = [*changed, f"trust={json.dumps(trust)}"], ["hydra.output_subdir=null"]  # what `task` needs not
        return [
            [*self.ledger.jobs[number], *(to_do if number in self.left else to_skip)]
            for number in range(self.left[0], self.left[-1] + 1)
        ]


def _as_value(value: Any) -> str:
    """As Hydra's grammar takes it; what is to be looked up stays so."""
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _rest(folder: Path, changes: Mapping[str, Any], trust: bool) -> _Rest:
    """Raises `UserError` where nothing is left, where a change would make another sweep, and for foreign targets."""
    ledger = read_ledger(folder)
    if ledger is None:
        raise UserError(f"{shown(folder / LEDGER)} is no list of jobs; resume the folder's runs one by one")
    refuse_changes({**ledger.changes, **changes})
    ledger = replace(ledger, changes={**ledger.changes, **changes})
    begun = {number: run for run in find_runs(folder) if is_begun(run) and (number := job_number(run)) is not None}
    left = [
        number
        for number in range(len(ledger.jobs))
        if number not in begun or not is_finished(begun[number], ledger.changes)
    ]
    if not left:
        for run in begun.values():  # of a sweep that was killed when all was done, before its pages said so
            finish_page(run)
        sweep_report(folder)
        raise UserError(f"all {len(ledger.jobs)} jobs in {shown(folder)} are done; engine.steps=N trains them longer")
    for number in begun.keys() & set(left):
        saved_config(begun[number], ledger.changes, trust)
    return _Rest(ledger, left, begun)


def _check_new(
    rest: _Rest, master: Sequence[str], jobs: Sequence[Sequence[str]], compose: Composer, folder: Path
) -> None:
    """Raises `UserError` where a job that has not begun would build something that it has no business to, and where the
    list has something to be looked up: what this program's own configs look up is all that is.
    """
    changes = [f"{key}={value}" for key, value in rest.ledger.changes.items()]
    for text in (*chain(*rest.ledger.jobs), *changes):
        if "${" in text:
            raise UserError(f"{shown(folder / LEDGER)} has {text}, to be looked up elsewhere; trust=true looks it up")
    for number in rest.new:
        job = without_hydra(compose.compose_job(master, jobs[number - rest.left[0]]))
        check_targets(OmegaConf.to_container(job, resolve=True), folder / LEDGER)


def _do(folder: Path, launch: Callable[[], None]) -> int:
    """Have the jobs done, by one process at a time, and say what has become of them; returns the exit code."""
    try:
        with held(folder / SWEEP_LOCK) as free, hydras_refusals(folder / OF_HYDRAS_SWEEP):
            if not free:
                raise UserError(f"{shown(folder)} is under way in another process; stop that one first")
            launch()
    except KeyboardInterrupt as stop:
        if not getattr(stop, "is_told", False):  # a job that was stopped has said so
            say(f"stopped; go on with: {go_on_command(folder)}")
        raise
    sweep_report(folder)
    lines, all_done = sweep_summary(folder)
    latest = LATEST_SWEEP
    seen = latest if latest.resolve() == folder.resolve() else folder
    again = [f"do the rest by: {go_on_command(folder)}"] if not all_done and _is_resumed(folder) else []
    print(flush=True)
    for line in [*lines, *again, f"report {shown(seen / SWEEP_PAGE)}"]:
        to_stdout(line)
    return 0 if all_done else 1


def _is_resumed(folder: Path) -> bool:
    """Whether there is a list by which what is not done would be done: a search leaves alone what has failed."""
    ledger = read_ledger(folder)
    if ledger is None or not ledger.is_search:
        return (folder / LEDGER).exists()
    return any(job.state == "interrupted" for job in read_sweep(find_runs(folder), folder).jobs)
