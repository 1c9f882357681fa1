"""One job as Hydra calls it, of a single run or of a sweep, in this process or another."""

import contextlib
import gc
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_runner.cli.composing.presets import LEFT_OUT
from vae_runner.errors import RunError, UserError, in_words
from vae_runner.files import refusals_told
from vae_runner.output import standard_output, to_stderr, to_stdout
from vae_runner.runs.names import CHECKPOINTS, LAST, LATEST_RUN, LOG, NOTED_CONFIG, NOTED_HYDRA, NOTED_SETTINGS

if TYPE_CHECKING:
    from vae_runner.datasets.split import Parts
    from vae_runner.runs.folder import RunFolder

__all__ = ["COMMAND", "SUFFIX", "goes_on_by", "hydras_refusals", "say", "single", "sweep_report", "task"]

log = logging.getLogger(__name__)

SUFFIX = "VAE_RUN_SUFFIX"  # environment variable: the random part of a folder's name, which the config refers to
COMMAND = "VAE_RUN_COMMAND"  # environment variable: what the user typed, for jobs in other processes


def single(cfg: DictConfig, checked: dict[str, Any], folder: "RunFolder", data: "Parts | None" = None) -> float:
    """A run by itself, in the folder, which the caller has claimed; returns its -ELBO.

    `checked` is what the check has made of the config, `data` are the images, where they have been looked up.
    """
    from vae_runner.experiment.run import start

    config = checked if _is_as_checked(cfg, checked) else cfg

    def run() -> float:
        folder.write_notes(_notes(cfg))
        return start(config, folder, _choices(), _command(), LATEST_RUN, data)

    return _logged(folder.path, folder.path, run)


def _is_as_checked(cfg: DictConfig, checked: dict[str, Any]) -> bool:
    """Whether what the config looks up, such as the environment that Hydra sets for a job, is what it was."""
    try:
        return bool(OmegaConf.to_container(cfg, resolve=True) == checked)
    except OmegaConfBaseException:  # which the check tells
        return False


def _choices() -> dict[str, str]:
    """The options chosen of each config group."""
    chosen = HydraConfig.get().runtime.choices
    return {group: choice for group, choice in chosen.items() if not group.startswith("hydra/")}


def task(cfg: DictConfig) -> float:
    """A job of a sweep; returns its -ELBO. One that is done is left alone, and one that fails stops no other.

    Its config is checked here, for what it asks of the machine: the sweep may have been started on another one.
    """
    with standard_output(is_needed=False):  # here too, for it may have a process of its own
        try:
            return _sweep_job(cfg, Path(HydraConfig.get().runtime.output_dir))
        finally:
            gc.collect()  # its images, nets and moments lie in cycles, and would stay for several jobs


def _sweep_job(cfg: DictConfig, path: Path) -> float:
    from vae_runner.experiment.signals import hand_on, stop_if_asked
    from vae_runner.experiment.sweep_job import is_finished, last_figure, take_up
    from vae_runner.runs.folder import RunFolder
    from vae_runner.runs.ledger import job_number, read_ledger
    from vae_runner.runs.status import record_failure

    job, sweep = HydraConfig.get().job, Path(HydraConfig.get().sweep.dir)
    ledger = read_ledger(sweep)
    changes = ledger.changes if ledger else {}
    is_its_own = sweep.resolve() in path.resolve().parents and job_number(path) in (None, job.num)
    if is_its_own and is_finished(path, changes):
        return last_figure(path)

    def run() -> float:
        if not is_its_own:
            raise UserError(f"hydra.sweep.subdir gives the job no folder of its own: {path}")
        with RunFolder(path).claim(resuming=True) as folder:
            folder.write_notes(_notes(cfg))
            return take_up(cfg, folder, _choices(), _command(), changes)

    settings = [text for text in HydraConfig.get().overrides.task if text != "trust=false"]  # `resume` says that
    print(flush=True)
    to_stdout(f"job {job.num}   {' '.join(settings)}")
    try:
        figure = _logged(path, sweep if ledger else path, run)
    except KeyboardInterrupt as stop:
        hand_on(stop)
        raise
    except Exception as error:
        say(f"error: job {job.num} failed: {in_words(error)}")
        if is_its_own:
            record_failure(path, error)
        figure = float("nan")
    finally:
        sweep_report(sweep)
    stop_if_asked()
    return figure


def _notes(cfg: DictConfig) -> dict[str, str]:
    """What Hydra has made of what was typed, as it would write it down itself, but whole or not at all, and only by
    who holds the folder.
    """
    hydra_cfg = HydraConfig.instance().cfg
    return {
        NOTED_CONFIG: OmegaConf.to_yaml(cfg),
        NOTED_HYDRA: OmegaConf.to_yaml(hydra_cfg),
        NOTED_SETTINGS: OmegaConf.to_yaml(hydra_cfg.hydra.overrides.task),
    }


@contextlib.contextmanager
def hydras_refusals(path: Path) -> Iterator[None]:
    """What the system refuses to Hydra inside is said in one line, of `path` where Hydra does not say of what; and what
    Hydra itself refuses too, as the mistake in the request that it is. Jobs keep their own errors from it.
    """
    from vae_runner.cli.composing.composer import one_line

    try:
        yield
    except (UserError, RunError):
        raise
    except OSError as error:
        with refusals_told(Path(error.filename or path)):
            raise
    except Exception as error:
        raise UserError(one_line(error)) from error


def goes_on_by(path: Path, to_resume: Path, run: Callable[[], float]) -> float:
    """Do the run in `path`; where it is stopped, say how to go on: with the run, or with the sweep that it is of."""
    from vae_runner.cli.sweeping.origin import go_on_command

    try:
        return run()
    except KeyboardInterrupt as stop:
        again = f"go on with: {go_on_command(to_resume)}"
        if step := getattr(stop, "step", 0):
            say(f"saved step {step:,}; {again}")
        elif (path / CHECKPOINTS / LAST).exists():
            say(f"stopped at once; the last checkpoint is kept; {again}")
        elif path != to_resume:
            say(f"stopped before the first checkpoint; {again}")
        else:
            say("stopped before the first checkpoint")
        stop.is_told = True  # type: ignore[attr-defined]
        raise


def sweep_report(folder: Path) -> None:
    """Rebuild the sweep's page of what its jobs have left on the disk; no job depends on it."""
    from vae_runner.report.sweep import write_sweep

    try:
        write_sweep(folder)
    except RunError as error:
        to_stdout(f"warning: no sweep report: {error}")
    except Exception as error:
        to_stdout(f"warning: no sweep report: {type(error).__name__}: {error}")


def say(line: str) -> None:
    """One line to the user."""
    to_stderr(f"vae-train: {line}")


def _logged(path: Path, to_resume: Path, run: Callable[[], float]) -> float:
    from vae_runner.console import logging_to

    with logging_to(path / LOG):
        for line in os.environ.get(LEFT_OUT, "").splitlines():
            log.info("note  %s", line)
        return goes_on_by(path, to_resume, run)


def _command() -> str:
    return os.environ.get(COMMAND, "vae-train")
