"""From a checked command line to a run, a resumed run or a sweep."""

import os
import secrets
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_runner.cli.arguments import Request, read_arguments
from vae_runner.cli.composing.presets import LEFT_OUT, PresetLoader
from vae_runner.cli.hydra_compat import LOCAL_LAUNCHERS, hydra_main
from vae_runner.cli.job import COMMAND, SUFFIX, goes_on_by, hydras_refusals, say, single, sweep_report
from vae_runner.cli.judging.hydra_settings import check_folder_name, user_path
from vae_runner.cli.process.garbage import garbage_search_put_off
from vae_runner.cli.process.ranks import led, refuse_sweep
from vae_runner.errors import UserError
from vae_runner.output import standard_output
from vae_runner.paths import config_dir
from vae_runner.runs.names import CONFIG, ENVIRONMENT, LATEST_RUN, LEDGER, LOG, OF_HYDRAS_SWEEP
from vae_runner.runs.words import shown

if TYPE_CHECKING:
    from vae_runner.cli.composing.composer import Composer
    from vae_runner.cli.precheck import Checked
    from vae_runner.datasets.split import Parts

__all__ = ["launch"]

HYDRA = "HYDRA_FULL_ERROR"  # Hydra lets exceptions through, and the front door says them in one line


def launch(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. Raises `UserError` with all mistakes in it."""
    before = {name: os.environ.get(name) for name in (HYDRA, COMMAND, SUFFIX)}
    os.environ[HYDRA] = "1"
    os.environ[COMMAND] = shlex.join(["vae-train", *arguments])
    try:
        with garbage_search_put_off() as wake_collector:
            return _launch(arguments, wake_collector)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _launch(arguments: list[str], wake_collector: Callable[[], None]) -> int:
    request = read_arguments(arguments)
    if faults := request.faults():
        raise UserError("\n".join(faults))
    check_folder_name()
    if request.is_for_hydra_alone:
        for name, _ in request.stray:
            raise UserError(f"no option called '{name}' (see vae-train --hydra-help)")
        with hydras_refusals(Path.cwd()):  # it is asked of Hydra alone
            _ask_hydra([*request.overrides, *request.flag_arguments()])
        return 0
    return led(request, lambda: _lead(request, wake_collector))


def _lead(request: Request, wake_collector: Callable[[], None]) -> int:
    from vae_runner.cli.precheck import composer, precheck
    from vae_runner.cli.searching.trials_setting import take_trials
    from vae_runner.cli.sweeping.jobs_setting import take_jobs, told_together

    _epochs_instead_of_steps(request)
    faults = [*take_jobs(request), *take_trials(request)]
    with composer(request) as compose:
        with told_together(faults):
            checked = precheck(_about_the_run(request), compose)
        wake_collector()  # torch is there, and what the check has composed
        return _do(request, checked, compose)


def _ask_hydra(arguments: list[str]) -> None:
    """Hydra's own entry, with these arguments in place of the process's."""
    before = sys.argv
    sys.argv = ["vae-train", *arguments]
    try:
        hydra_main(PresetLoader, config_dir(), "train")
    finally:
        sys.argv = before


def _do(request: Request, checked: "Checked", compose: "Composer") -> int:
    """Do what was asked for, and found to be right; returns the exit code."""
    cfg = checked.cfg
    if "--cfg" in request.flags:
        package = request.flags.get("--package") or "_global_"
        if package != "_global_" and OmegaConf.select(cfg, package) is None:
            raise UserError(f"--package {package}: no such part of the config")
        for line in cfg.hydra.job.env_set.get(LEFT_OUT, "").splitlines():
            say(line)
        compose.show(request.overrides, request.flags)
        return 0
    if request.multirun and {"resume", "engine.resume"} & request.names:
        raise UserError("resume takes one run, without --multirun")
    from vae_runner.experiment.signals import StopSignals

    with standard_output(is_needed=False), StopSignals().listening():  # what is trained goes on without it
        if request.multirun:
            refuse_sweep()
            return _sweep(request, checked, compose)
        if cfg.engine.resume is not None:
            return _resume(request, cfg, compose)
        return _single(request, checked, compose)


def _single(request: Request, checked: "Checked", compose: "Composer") -> int:
    from vae_runner.runs.folder import RunFolder
    from vae_runner.runs.place import judge_place, made_only_for

    data = _data(checked.config["dataset"])
    path, made = _new_folder(checked.cfg, "hydra.run.dir", request)
    folder, failures = RunFolder(path), list[Exception]()

    def job(cfg: DictConfig) -> float | None:
        try:
            return single(cfg, checked.config, folder, data)
        except Exception as error:  # kept from Hydra, which would print lines of its own about it
            failures.append(error)
            return None

    with made_only_for(made), folder.claim(resuming=False):
        judge_place("hydra.run.dir", path)  # as it is now that nobody else has it
        try:
            with hydras_refusals(path):
                compose.run(checked.cfg, path, job)
            for failure in failures:
                raise failure
        except BaseException as error:
            if not _is_begun(path, error):
                folder.discard(is_made=path in made)
            raise
    return 0


def _data(node: Mapping[str, Any]) -> "Parts":
    """The images, looked up before a folder is made for what may be wrong with them."""
    from vae_runner.console import logging_to
    from vae_runner.experiment.assemble import build_data

    with logging_to(None):
        return build_data(node)


def _is_begun(path: Path, error: BaseException) -> bool:
    """Whether there is something of the run to be kept, or to be gone on with."""
    if isinstance(error, UserError):
        return (path / ENVIRONMENT).exists()
    return (path / CONFIG).exists()


def _sweep(request: Request, checked: "Checked", compose: "Composer") -> int:
    from vae_runner.cli.sweeping.keeping import kept_images
    from vae_runner.cli.sweeping.sweep import sweep
    from vae_runner.runs.place import made_only_for

    with kept_images(checked.cfg):
        if checked.cfg.hydra.launcher._target_ in LOCAL_LAUNCHERS:
            _look_at_data(checked)
        folder, made = _new_folder(checked.cfg, "hydra.sweep.dir", request)
        with made_only_for(made):
            return sweep(request, checked.cfg, folder, compose)


def _look_at_data(checked: "Checked") -> None:
    """Look up the images that the jobs will train on, of each data set once. Raises `UserError` with all problems."""
    from vae_runner.console import logging_to
    from vae_runner.experiment.sweep_data import look_at_data

    with logging_to(None):
        look_at_data(config["dataset"] for config in checked.configs)


def _resume(request: Request, cfg: DictConfig, compose: "Composer") -> int:
    _refuse_real_latest(str(cfg.engine.resume))
    path = user_path(cfg.engine.resume, "resume").resolve()
    changes = _changes(request, compose)
    if _is_file(path / LEDGER):
        from vae_runner.cli.sweeping.sweep import go_on

        refuse_sweep()
        return go_on(path, request, changes, bool(cfg.trust))
    if request.jobs is not None:
        raise UserError(f"jobs={request.jobs} is for a sweep, and {shown(path)} is none; leave it out")
    if request.trials is not None:
        raise UserError(f"trials={request.trials} is for a search, and {shown(path)} is none; leave it out")
    if not _is_file(path / CONFIG):
        from vae_runner.runs.read import such_as
        from vae_runner.runs.words import resume_command

        run = next((folder for folder in path.parents if _is_file(folder / CONFIG)), None)
        other = f"It lies in a run: {resume_command(run)}" if run else f"Give the folder of a run{such_as(path)}"
        raise UserError(f"resume={cfg.engine.resume}: no run there (no {CONFIG}). {other}")
    from vae_runner.console import logging_to
    from vae_runner.experiment.run import resume

    in_sweep = (path.parent / OF_HYDRAS_SWEEP).exists()
    latest = None if in_sweep else LATEST_RUN
    with logging_to(path / LOG):
        try:
            goes_on_by(path, path, lambda: resume(path, changes, os.environ[COMMAND], bool(cfg.trust), latest))
        finally:
            if in_sweep:
                sweep_report(path.parent)
    return 0


def _refuse_real_latest(name: str) -> None:
    """Raises `UserError` where it says 'the newest', and is some older one that a copy has put in the link's place."""
    from vae_runner.runs.folder import is_real_latest

    if is_real_latest(Path(os.path.abspath(name))):
        raise UserError(
            f"resume={name} is a folder of its own, not the link to the newest one; "
            f"rename it (mv {name} {name}-copy), or give the folder that is meant"
        )


def _is_file(path: Path) -> bool:
    """Whether it is there; a name that is too long for any file is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _changes(request: Request, compose: "Composer") -> dict[str, Any]:
    """The settings that a resumed run is given anew, by dotted name."""
    from vae_runner.cli.judging.judge import parse
    from vae_runner.cli.judging.typed import as_typed

    problems: list[str] = []
    hints = {"dataset.root": str | Path, "dataset.cache_dir": str | Path | None, "note": str | None}
    typed = [as_typed(one, hints.get(one.partition("=")[0], Any), compose.parse) for one in request.overrides]
    overrides = [override for argument in typed if (override := parse(argument, compose, problems))]
    if problems:
        raise UserError("\n".join(problems))
    changes = {override.get_key_element(): override.value() for override in overrides}
    return {key: value for key, value in changes.items() if key not in ("resume", "engine.resume", "trust")}


def _new_folder(cfg: DictConfig, key: str, request: Request) -> tuple[Path, list[Path]]:
    """Make the folder of a new run or sweep; returns it, and the folders made here, the innermost first.

    One that the user named may be there already. Of two processes both may get it: it belongs to who gets its lock.
    """
    from vae_runner.runs.place import judge_place, make_folder

    named, tried = key in request.names, set[tuple[str, Path]]()
    HydraConfig.instance().set_config(cfg)
    while True:
        suffix = os.environ[SUFFIX] = secrets.token_hex(2)
        try:
            folder = Path(os.path.abspath(user_path(str(OmegaConf.select(cfg, key)), key)))
        except OmegaConfBaseException as error:
            raise UserError(f"{key}: {str(error).splitlines()[0]}") from error
        named = named or any(folder == other and suffix != own for own, other in tried)  # by a preset of the user's
        tried.add((suffix, folder))
        if named:
            judge_place(key, folder)
        try:
            return folder, make_folder(folder)
        except FileExistsError:
            if named and folder.is_dir():
                return folder, []
            if named or not os.path.lexists(folder):
                raise UserError(f"{key}={folder} is not a folder") from None


def _epochs_instead_of_steps(request: Request) -> None:
    """engine.epochs=N alone means: instead of the default number of steps."""
    names = request.names
    if "engine.epochs" in names and "engine.steps" not in names and "engine.epochs=null" not in request.overrides:
        request.overrides.append("engine.steps=null")


def _about_the_run(request: Request) -> Request:
    """Of a resumed run, without where its data are: that is judged with its own data set, not with the default one."""
    if not {"resume", "engine.resume"} & request.names:
        return request
    from vae_runner.experiment.saved_run.resume import HARMLESS

    elsewhere = {name for name in HARMLESS if name.startswith("dataset.")}
    kept = [argument for argument in request.overrides if argument.lstrip("+").partition("=")[0] not in elsewhere]
    return replace(request, overrides=kept)
