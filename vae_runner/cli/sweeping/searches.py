"""Searches as sweeps: one that begins, and one that was stopped and goes on, to as many trials as it is to have now."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_runner.cli.arguments import Request, read_arguments
from vae_runner.cli.composing.composer import Composer, composer, one_line, path_value, without_hydra
from vae_runner.cli.job import SUFFIX, sweep_report, task
from vae_runner.cli.searching.optuna_sweeper import is_there
from vae_runner.cli.searching.search import Search
from vae_runner.cli.searching.trials_setting import TRIALS, is_sweepers
from vae_runner.cli.sweeping.keeping import kept_images
from vae_runner.cli.sweeping.origin import check_origin, is_launchers, is_replaced
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.resume import check_targets, refuse_changes
from vae_runner.output import to_stdout
from vae_runner.runs.ledger import Ledger, read_ledger, write_ledger
from vae_runner.runs.names import LEDGER
from vae_runner.runs.words import quoted, shown

__all__ = ["begin_search", "search_on"]

LENGTH = ("engine.steps", "engine.epochs")  # by which trials that are told and those to come would be other ones


def begin_search(cfg: DictConfig, context: HydraContext, launcher: Launcher) -> None:
    """Do all trials of the composed search, whose list is written."""
    loader: Any = context.config_loader

    def prepare(settings: list[str]) -> str | None:
        try:
            loader.load_sweep_config(cfg, settings)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            return one_line(error)
        return None

    ledger = read_ledger(Path(cfg.hydra.sweep.dir))
    assert ledger is not None
    Search(cfg, launcher, OverridesParser.create(loader).parse_overrides(list(ledger.search)), prepare).do()


def search_on(folder: Path, request: Request, changes: Mapping[str, Any], trust: bool) -> None:
    """Do what is left of the search in `folder`, with those settings changed in all its jobs."""
    given = [text for text in request.overrides if is_launchers(text) or is_sweepers(text)]
    ledger = _changed(folder, given, {key: value for key, value in changes.items() if not _is_hydras(key)})
    own = [text for text in ledger.hydra if not is_replaced(text)]
    if not trust:
        check_origin(ledger, request.flags, own, folder / LEDGER)
        _refuse_looked_up(ledger, folder)
    if not is_there():
        raise UserError(f"the search in {shown(folder)} needs Optuna: pip install 'vae_runner[optuna]'")
    flags = {**read_arguments(ledger.flags).flags, **request.flags, "--multirun": None}
    os.environ[SUFFIX] = ledger.suffix
    master = [*own, f"hydra.sweep.dir={path_value(folder)}", "hydra.mode=MULTIRUN"]
    with composer(replace(request, flags=flags)) as compose:
        cfg = compose.compose(master, multirun=True)
        done = _search(cfg, compose, master, ledger, trust)
        _refuse_done(done, folder)
        write_ledger(folder, ledger)
        to_stdout(f"search {done.begun} of {cfg.hydra.sweeper.n_trials} trials begun in {shown(folder)}")
        with kept_images(cfg):
            done.do()


def _search(cfg: DictConfig, compose: Composer, master: Sequence[str], ledger: Ledger, trust: bool) -> Search:
    file = Path(cfg.hydra.sweep.dir) / LEDGER

    def prepare(settings: list[str]) -> str | None:
        try:
            job = compose.compose_job(master, settings)
        except UserError as error:
            return str(error)
        if not trust:
            check_targets(OmegaConf.to_container(without_hydra(job), resolve=True), file)
        return None

    added = [f"{key}={_as_value(value)}" for key, value in ledger.changes.items()]
    settings = [compose.parse(text) for text in ledger.search]
    return Search(cfg, compose.launcher(cfg, task), settings, prepare, [*added, f"trust={json.dumps(trust)}"])


def _changed(folder: Path, given: Sequence[str], changes: Mapping[str, Any]) -> Ledger:
    """The list with what is given anew. Raises `UserError` where that would make another search of it."""
    ledger = read_ledger(folder)
    assert ledger is not None
    refuse_changes(changes)
    for name in LENGTH:
        if name in changes:
            raise UserError(f"{name} cannot be changed in a search: trials of other lengths are not to be compared")
    kept = [text for text in ledger.hydra if not any(_is_replaced_by(text, one) for one in given)]
    return replace(ledger, hydra=[*kept, *given], changes={**ledger.changes, **changes})


def _is_replaced_by(setting: str, given: str) -> bool:
    return any(is_kind(setting) and is_kind(given) for is_kind in (is_launchers, is_sweepers))


def _is_hydras(key: str) -> bool:
    return is_launchers(key) or is_sweepers(key)


def _refuse_looked_up(ledger: Ledger, folder: Path) -> None:
    """Raises `UserError` where something is to be looked up that is not this program's own."""
    changes = [f"{key}={value}" for key, value in ledger.changes.items()]
    for text in (*ledger.search, *chain(*ledger.jobs), *changes):
        if "${" in text:
            raise UserError(f"{shown(folder / LEDGER)} has {text}, to be looked up elsewhere; trust=true looks it up")


def _refuse_done(search: Search, folder: Path) -> None:
    """Raises `UserError` where nothing is left."""
    if search.is_done:
        sweep_report(folder)
        raise UserError(f"all {search.begun} trials in {shown(folder)} are done; {TRIALS}=N goes on to N of them")


def _as_value(value: Any) -> str:
    """As Hydra's grammar takes it; what is to be looked up stays so."""
    return quoted(value) if isinstance(value, str) else json.dumps(value)
