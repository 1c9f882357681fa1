"""From a checked command line to a run, a resumed run or a sweep."""

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.arguments import Request, read_arguments
from vae_runner.errors import UserError
from vae_runner.paths import config_dir

__all__ = ["launch", "task"]

SUFFIX = "VAE_RUN_SUFFIX"  # environment variable: the random part of a folder's name, which the config refers to
HYDRA = "HYDRA_FULL_ERROR"  # Hydra lets exceptions through, and the front door says them in one line
COMMAND = "VAE_RUN_COMMAND"  # environment variable: what the user typed, for jobs in other processes


def launch(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. Raises `UserError` with all mistakes in it."""
    before = {name: os.environ.get(name) for name in (HYDRA, COMMAND, SUFFIX)}
    os.environ[HYDRA] = "1"
    os.environ[COMMAND] = shlex.join(["vae-train", *arguments])
    try:
        return _launch(arguments)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _launch(arguments: list[str]) -> int:
    request = read_arguments(arguments)
    if request.is_for_hydra_alone:
        _hydra_main(arguments)
        return 0
    from vae_runner.cli.precheck import composer, precheck

    _epochs_instead_of_steps(request)
    with composer(request) as compose:
        cfg = precheck(_about_the_run(request), compose)
    if "--cfg" in request.flags:
        _hydra_main([*request.flag_arguments(), *request.overrides])
        return 0
    if request.multirun and {"resume", "engine.resume"} & _names(request):
        raise UserError("resume takes one run, without --multirun")
    if request.multirun:
        return _sweep(request, cfg)
    if cfg.engine.resume is not None:
        return _resume(request, cfg)
    return _single(request, cfg)


def task(cfg: DictConfig) -> float:
    """One job, called by Hydra. In a sweep a failure is recorded and told, and the other jobs go on."""
    from vae_runner.console import logging_to
    from vae_runner.experiment.folder import record_failure
    from vae_runner.experiment.run import start

    job = HydraConfig.get()
    path = Path(job.runtime.output_dir)
    in_sweep = job.mode == RunMode.MULTIRUN
    latest = None if in_sweep else Path("outputs", "latest")
    choices = {group: choice for group, choice in job.runtime.choices.items() if not group.startswith("hydra/")}
    with logging_to(path / "train.log"):
        if in_sweep:
            print(f"\njob {job.job.num}   {job.job.override_dirname.replace(',', ' ')}", flush=True)
        try:
            return _told(lambda: start(cfg, path, choices, os.environ.get(COMMAND, "vae-train"), latest), path)
        except Exception as error:
            if not in_sweep:
                raise
            record_failure(path, error)
            _say(f"error: job {job.job.num} failed: {error}")
            return float("nan")
        finally:
            if in_sweep:
                _sweep_report(Path(job.sweep.dir))


def _single(request: Request, cfg: DictConfig) -> int:
    folder, is_ours = _new_folder(cfg, "hydra.run.dir", request)
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> float | None:
        try:
            return task(cfg)
        except Exception as error:  # kept from Hydra, which would print lines of its own about it
            failures.append(error)
            return None

    _hydra_main([*request.flag_arguments(), *request.overrides, f"hydra.run.dir={_quoted(folder)}"], job)
    for failure in failures:
        if is_ours and isinstance(failure, UserError) and not (folder / "environment.json").exists():
            _remove(folder)  # nothing was begun: nothing is left behind
        raise failure
    return 0


def _sweep(request: Request, cfg: DictConfig) -> int:
    from vae_runner.cli.summary import link_sweep, sweep_summary
    from vae_runner.experiment.folder import shown

    folder, _ = _new_folder(cfg, "hydra.sweep.dir", request)
    link_sweep(folder)
    _hydra_main([*request.flag_arguments(), *request.overrides, f"hydra.sweep.dir={_quoted(folder)}"])
    _sweep_report(folder)
    lines, all_done = sweep_summary(folder)
    latest = Path("multirun", "latest")
    seen = latest if latest.resolve() == folder.resolve() else folder
    print("\n" + "\n".join([*lines, f"report {shown(seen / 'sweep.html')}"]), flush=True)
    return 0 if all_done else 1


def _resume(request: Request, cfg: DictConfig) -> int:
    from vae_runner.cli.precheck import composer
    from vae_runner.console import logging_to
    from vae_runner.experiment.run import resume

    path = Path(cfg.engine.resume).resolve()
    with composer(request) as compose:
        overrides = [compose.parse(argument) for argument in request.overrides]
    changes = {override.get_key_element(): override.value() for override in overrides}
    for key in ("resume", "engine.resume", "trust"):
        changes.pop(key, None)
    if not (path / "config.yaml").is_file():
        several = " It holds several runs: give one of its folders." if (path / "multirun.yaml").exists() else ""
        raise UserError(f"resume={cfg.engine.resume}: no run there (no config.yaml).{several}")
    in_sweep = (path.parent / "multirun.yaml").exists()
    with logging_to(path / "train.log"):
        try:
            latest = None if in_sweep else Path("outputs", "latest")
            _told(lambda: resume(path, changes, os.environ[COMMAND], bool(cfg.trust), latest), path)
        finally:
            if in_sweep:
                _sweep_report(path.parent)
    return 0


def _sweep_report(folder: Path) -> None:
    """Rebuild the sweep's page of what its jobs have left on the disk; no job depends on it."""
    from vae_runner.report.sweep import write_sweep

    try:
        write_sweep(folder)
    except Exception as error:
        print(f"warning: no sweep report: {type(error).__name__}: {error}", flush=True)


def _told(run: Callable[[], float], path: Path) -> float:
    """Run; where it is stopped, say how to go on."""
    from vae_runner.experiment.folder import resume_command

    try:
        return run()
    except KeyboardInterrupt as stop:
        again = f"go on with: {resume_command(path)}"
        if step := getattr(stop, "step", 0):
            _say(f"saved step {step:,}; {again}")
        elif (path / "checkpoints" / "last.pt").exists():
            _say(f"stopped at once; the last checkpoint is kept; {again}")
        else:
            _say("stopped before the first checkpoint")
        raise


def _new_folder(cfg: DictConfig, key: str, request: Request) -> tuple[Path, bool]:
    """Make the folder of a new run or sweep, which no other process gets; returns it, and whether it was made here.

    A folder that the user named may be there already, and is then not ours to remove.
    """
    named = key in _names(request)
    from vae_runner.experiment.folder import holds_a_run

    HydraConfig.instance().set_config(cfg)
    while True:
        os.environ[SUFFIX] = secrets.token_hex(2)
        folder = Path(str(OmegaConf.select(cfg, key))).absolute()
        try:
            folder.mkdir(parents=True)
            return folder, True
        except FileExistsError:
            if named and not folder.is_dir():
                raise UserError(f"{key}={folder} is not a folder") from None
            if named and (folder / "config.yaml").exists():  # said here, before Hydra writes its part over the old one
                raise UserError(holds_a_run(folder)) from None
            if named:
                return folder, False
        except OSError as error:
            raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error


def _epochs_instead_of_steps(request: Request) -> None:
    """engine.epochs=N alone means: instead of the default number of steps."""
    names = _names(request)
    if "engine.epochs" in names and "engine.steps" not in names and "engine.epochs=null" not in request.overrides:
        request.overrides.append("engine.steps=null")


def _about_the_run(request: Request) -> Request:
    """Of a resumed run, without where its data are: that is judged with its own data set, not with the default one."""
    if not {"resume", "engine.resume"} & _names(request):
        return request
    from vae_runner.experiment.resume import HARMLESS

    elsewhere = {name for name in HARMLESS if name.startswith("dataset.")}
    kept = [argument for argument in request.overrides if argument.lstrip("+").partition("=")[0] not in elsewhere]
    return replace(request, overrides=kept)


def _names(request: Request) -> set[str]:
    """The names of all settings that were given."""
    return {argument.lstrip("+").partition("=")[0] for argument in request.overrides}


def _hydra_main(arguments: list[str], job: Callable[[DictConfig], float | None] = task) -> None:
    """Hydra's own entry, with these arguments in place of the process's."""
    before = sys.argv
    sys.argv = ["vae-train", *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")(job)()
    finally:
        sys.argv = before


def _quoted(path: Path) -> str:
    """A path as a value that Hydra's grammar takes, whatever characters it holds."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for parent in (folder.parent, folder.parent.parent):
        if parent != Path.cwd() and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def _say(line: Any) -> None:
    print(f"vae-train: {line}", file=sys.stderr, flush=True)
