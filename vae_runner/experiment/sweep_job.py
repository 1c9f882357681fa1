"""A job of a sweep, whatever has become of it before: it is begun, gone on with, begun again, or left alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_runner.experiment.run import resume, start
from vae_runner.experiment.saved_run.resume import builds_no_more
from vae_runner.files import read_json
from vae_runner.foreign import dig, number, read_yaml
from vae_runner.runs.folder import RunFolder
from vae_runner.runs.names import CHECKPOINTS, CONFIG, LAST, PREVIOUS, STATUS
from vae_runner.runs.read import read_run

__all__ = ["is_begun", "is_finished", "last_figure", "take_up"]


def take_up(
    cfg: DictConfig, folder: RunFolder, choices: Mapping[str, str], command: str, changes: Mapping[str, Any]
) -> float:
    """Do what is left of the job in the claimed folder: from its checkpoint, with those settings changed, or from the
    start. Returns and raises as `start` does.
    """
    if not is_begun(folder.path):
        return start(cfg, folder, choices, command)
    if any((folder.path / CHECKPOINTS / name).exists() for name in (LAST, PREVIOUS)):
        trust = bool(cfg.trust) or builds_no_more(folder.path, OmegaConf.to_container(cfg, resolve=True))
        return resume(folder, changes, command, trust)
    folder.clear()
    return start(cfg, folder, choices, command)


def is_begun(folder: Path) -> bool:
    """Whether the folder holds a run."""
    return (folder / CONFIG).is_file()


def is_finished(folder: Path, changes: Mapping[str, Any]) -> bool:
    """Whether the run in the folder is done, and those changes do not ask for a longer one."""
    status = read_json(folder / STATUS)
    if not is_begun(folder) or status.get("state") != "done":
        return False
    if (steps := changes.get("engine.steps")) is not None:
        return steps <= (number(status.get("step")) or 0)
    if (epochs := changes.get("engine.epochs")) is not None:
        had = number(dig(read_yaml(folder / CONFIG), "engine", "epochs"))
        return had is not None and epochs <= had
    return True


def last_figure(folder: Path) -> float:
    """The last validation's -ELBO, nats per image; nan where there is none."""
    records = read_run(folder, with_pictures=False).validation[-1:]
    figures = [number(record.get("neg_elbo")) for record in records]
    return float("nan") if figures in ([], [None]) else float(figures[0])
