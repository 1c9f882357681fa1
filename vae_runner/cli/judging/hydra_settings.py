"""Hydra's own settings, as far as a wrong one would send results elsewhere, or end the program in words of Hydra's."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.sweeping.jobs_setting import jobs_fault
from vae_runner.cli.sweeping.launcher import PROCESSES
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import shortened
from vae_runner.signature import locate

__all__ = ["check_folder_name", "hydra_faults", "plugin_hint", "repeated", "user_path"]

# Plugins of Hydra by the options that they bring, and what installs them.
PLUGINS = {
    "hydra/launcher": {
        "joblib": "vae_runner[sweep]",
        "submitit_local": "vae_runner[cluster]",
        "submitit_slurm": "vae_runner[cluster]",
        "ray": "vae_runner[ray]",
        "rq": "hydra-rq-launcher",
    },
    "hydra/sweeper": {
        "optuna": "vae_runner[optuna]",
        "ax": "hydra-ax-sweeper",
        "nevergrad": "hydra-nevergrad-sweeper",
    },
}


def check_folder_name() -> None:
    """Raises `UserError` where the working folder's name would be looked up in the config."""
    if "${" in (here := str(Path.cwd())):
        raise UserError(f"the working folder {here} has ${{ in its name, which configs look up; work in another one")


def plugin_hint(group: str, name: object) -> str:
    """How to get the plugin that brings the option; nothing where it is of no plugin that is known."""
    package = PLUGINS.get(group, {}).get(str(name))
    return f" It comes with pip install '{package}'." if package else ""


def user_path(text: str, setting: str) -> Path:
    """The path, with ~ as the home folder. Raises `UserError` where there is no such home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{setting}={text}: there is no home folder of {text.split('/')[0]}") from None


def hydra_faults(cfg: DictConfig, multirun: bool, jobs: int) -> list[str]:
    """A line for each of Hydra's settings that this program cannot do with."""
    node = OmegaConf.to_container(cfg.hydra, resolve=False)
    assert isinstance(node, dict)
    problems = []
    if node["job"].get("chdir"):
        problems.append(
            "hydra.job.chdir=true would have relative paths lead elsewhere; a run stays where it is started"
        )
    if str(node.get("mode") or "RUN").rpartition(".")[2] == "MULTIRUN" and not multirun:
        problems.append("hydra.mode=MULTIRUN: write --multirun instead")
    inside = node.get("output_subdir")
    if inside is not None and not re.fullmatch(r"\.?\w[\w.-]*", str(inside)):
        problems.append(f"hydra.output_subdir must be the name of a folder in the run's, got {shortened(inside)}")
    problems += [
        f"hydra.callbacks.{name} is no callback of Hydra's, got {shortened(part)}"
        for name, part in (node.get("callbacks") or {}).items()
        if not _is_callback(part)
    ]
    problems += _sweep_faults(node, jobs) if multirun else []
    return problems


def repeated(overrides: Sequence[Override]) -> Iterator[str]:
    """A line for each setting of a sweep that has a value twice, or is given twice itself: some jobs would be equal."""
    names = [override.get_key_element().lstrip("+~") for override in overrides]  # of a choice with its place
    given = Counter(names)
    for name, override in zip(names, overrides, strict=True):
        if not override.is_discrete_sweep():
            continue
        if given[name] > 1:
            yield f"{name} is given twice, once with several values; give all of them at once"
        if value := next(_twice(override.sweep_iterator()), None):
            yield f"{override.input_line} gives {value} twice: these jobs would be the same"


def _twice(values: Iterable[Any]) -> Iterator[str]:
    seen: set[str] = set()
    for value in values:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = repr(float(value)) if is_number and abs(value) < 2**53 else repr(getattr(value, "text", value))
        if text in seen:
            yield str(getattr(value, "text", value))
        seen.add(text)


def _is_callback(node: Any) -> bool:
    try:
        target = locate(node["_target_"])
        return isinstance(target, type) and issubclass(target, Callback)
    except Exception:  # nothing of that name, or nothing that can be imported
        return False


def _sweep_faults(node: Mapping[str, Any], jobs: int) -> list[str]:
    problems = []
    subdir = str(node["sweep"].get("subdir"))
    parts = Path(subdir).parts
    if not parts or ".." in parts or Path(subdir).is_absolute() or subdir.startswith("~"):
        problems.append(f"hydra.sweep.subdir must be a folder in the sweep's, got {shortened(subdir)}")
    elif "${" not in subdir and jobs > 1:
        problems.append(
            f"hydra.sweep.subdir={subdir} would be the folder of all {jobs:,} jobs; put ${{hydra:job.num}} into it"
        )
    launcher = node.get("launcher") or {}
    if launcher.get("_target_") == PROCESSES and (fault := jobs_fault(launcher.get("jobs"))):
        problems.append(f"hydra.launcher.{fault}")
    size = (node.get("sweeper") or {}).get("max_batch_size")
    if size is not None and not (isinstance(size, int) and not isinstance(size, bool) and size > 0):
        problems.append(f"hydra.sweeper.max_batch_size must be a positive whole number or null, got {size}")
    return problems
