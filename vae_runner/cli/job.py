"""One job as Hydra calls it, of a single run or of a sweep, in this process or another."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.presets import LEFT_OUT, reading_presets
from vae_runner.errors import RunError, UserError, in_words
from vae_runner.files import refusals_told
from vae_runner.output import standard_output, to_stderr, to_stdout
from vae_runner.paths import config_dir
from vae_runner.runs.names import CHECKPOINTS, LAST, LATEST_RUN, LOG, NOTED_CONFIG, NOTED_HYDRA, NOTED_SETTINGS

if TYPE_CHECKING:
    from vae_runner.datasets.split import Subset
    from vae_runner.runs.folder import RunFolder

__all__ = ["COMMAND", "SUFFIX", "goes_on_by", "hydra_main", "hydras_refusals", "path_value", "say", "sweep_report"]
__all__ += ["task"]

log = logging.getLogger(__name__)

SUFFIX = "VAE_RUN_SUFFIX"  # environment variable: the random part of a folder's name, which the config refers to
COMMAND = "VAE_RUN_COMMAND"  # environment variable: what the user typed, for jobs in other processes


def task(cfg: DictConfig, folder: "RunFolder | None" = None, data: "tuple[Subset, Subset] | None" = None) -> float:
    """One job; returns its -ELBO. In a sweep one that is done is left alone, and one that fails stops no other.


    `folder` is that of a single run, claimed by the caller, and `data` are its images, which he has looked up.
    """
    job = HydraConfig.get()
    path = Path(job.runtime.output_dir)
    choices = {group: choice for group, choice in job.runtime.choices.items() if not group.startswith("hydra/")}
    with standard_output(is_needed=False):  # here too, for a job may have a process of its own
        if folder is None:
            return _sweep_job(cfg, path, choices)
        return _logged(path, path, lambda: _single(cfg, folder, choices, data))


def _single(
    cfg: DictConfig, folder: "RunFolder", choices: dict[str, str], data: "tuple[Subset, Subset] | None"
) -> float:
    from vae_runner.experiment.run import start

    folder.write_notes(_notes(cfg))
    return start(cfg, folder, choices, _command(), LATEST_RUN, data)


def _sweep_job(cfg: DictConfig, path: Path, choices: dict[str, str]) -> float:
    from vae_runner.experiment.signals import stop_if_asked
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
            return take_up(cfg, folder, choices, _command(), changes)

    settings = [text for text in HydraConfig.get().overrides.task if text != "trust=false"]  # `resume` says that
    print(flush=True)
    to_stdout(f"job {job.num}   {' '.join(settings)}")
    try:
        figure = _logged(path, sweep if ledger else path, run)
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
    from vae_runner.cli.composer import one_line

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
    from vae_runner.experiment.resume import needs_trust
    from vae_runner.runs.words import resume_command

    try:
        return run()
    except KeyboardInterrupt as stop:
        again = f"go on with: {resume_command(to_resume, 'trust=true' if needs_trust(path) else '')}"
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


def hydra_main(arguments: list[str], job: Callable[[DictConfig], float | None] = task) -> None:
    """Hydra's own entry, with these arguments in place of the process's."""
    before = sys.argv
    sys.argv = ["vae-train", *arguments]
    try:
        with reading_presets():
            hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")(job)()
    finally:
        sys.argv = before


def path_value(path: Path) -> str:
    """A path as a value that Hydra's grammar takes, whatever characters it holds."""
    from vae_runner.runs.words import literal, quoted

    return quoted(literal(str(path)))


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
