"""What is wrong with a search before it begins: its settings, what it searches, what it is by."""

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from vae_runner.cli.judging.values import JOBS
from vae_runner.cli.searching.aim import aim_faults
from vae_runner.cli.searching.optuna_sweeper import SEARCH
from vae_runner.cli.searching.search_space import space_fault
from vae_runner.cli.searching.trials import SAMPLERS

__all__ = ["search_faults"]


def search_faults(cfg: DictConfig, settings: Sequence[Override], configs: list[dict[str, Any]]) -> list[str]:
    """A line for each fault of the composed search; `settings` are all that its jobs are made of, `configs` those of
    jobs in which each value is seen once.
    """
    sweeper = cfg.hydra.sweeper
    searched = [one for one in settings if one.is_sweep_override()]
    faults = list(filter(None, map(space_fault, searched)))
    if not searched:
        faults.append(
            f"hydra/sweeper={SEARCH} has nothing to search: "
            "give a setting values or an interval, as in 'optimizer.lr=interval(1e-4,1e-2)'"
        )
    if sweeper.sampler not in SAMPLERS:
        faults.append(f"hydra.sweeper.sampler must be {', '.join(SAMPLERS)}; got {sweeper.sampler}")
    faults += _numbers(sweeper)
    faults += [
        f"hydra.sweeper.{name} must be a text or null, got {sweeper[name]}"
        for name in ("storage", "study_name")
        if not (sweeper[name] is None or isinstance(sweeper[name], str))
    ]
    return faults + aim_faults(sweeper.objective, configs)


def _numbers(sweeper: DictConfig) -> list[str]:
    faults = []
    if not (_is_whole(sweeper.n_trials) and 1 <= sweeper.n_trials <= JOBS):
        faults.append(f"hydra.sweeper.n_trials must be a whole number from 1 to {JOBS:,}, got {sweeper.n_trials}")
    if not (sweeper.n_jobs is None or (_is_whole(sweeper.n_jobs) and sweeper.n_jobs >= 1)):
        faults.append(f"hydra.sweeper.n_jobs must be a whole number of 1 or more, or null, got {sweeper.n_jobs}")
    if not (_is_whole(sweeper.seed) and 0 <= sweeper.seed < 2**32):
        faults.append(f"hydra.sweeper.seed must be a whole number of 0 or more, got {sweeper.seed}")
    return faults


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
