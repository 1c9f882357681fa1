"""Hydra's sweeper of searches, `hydra/sweeper=optuna`: an option of this program alone, where Optuna is installed.

The sweeper of that name that Hydra's own project offers goes with Optuna below 3 alone, and writes no list of its jobs,
so that none of its searches can be resumed.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

__all__ = ["OPTUNA", "SEARCH", "OptunaSweeper", "is_there", "offer"]

SEARCH = "optuna"  # the option's name
Search = Callable[[DictConfig, HydraContext, Launcher], None]


class OptunaSweeper(Sweeper):
    """Has the trials of the composed search done, as `search` does it, which `sweep` puts here."""

    search: ClassVar[Search]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra has composed, and make its launcher."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.given = config, hydra_context, launcher

    def sweep(self, arguments: list[str]) -> None:
        """Do all trials. The arguments stand in the config too."""
        OptunaSweeper.search(*self.given)


OPTUNA = f"{OptunaSweeper.__module__}.{OptunaSweeper.__name__}"


@dataclass
class _Conf:
    _target_: str = OPTUNA
    n_trials: Any = 20  # how many jobs in all
    objective: Any = "neg_elbo"  # -ELBO of the last validation, or the name of a score that the runs make: mig
    sampler: Any = "tpe"  # tpe | random
    seed: Any = 0  # of what the sampler draws
    n_jobs: Any = None  # trials that are chosen at once; null: as many as the launcher runs at once
    storage: Any = None  # of the study, as Optuna takes it; null: a file of SQLite in the sweep's folder
    study_name: Any = None  # null: the name of the sweep's folder
    params: Any = None  # settings with their values, beside those that are typed


def is_there() -> bool:
    """Whether Optuna is installed."""
    return importlib.util.find_spec("optuna") is not None


def offer() -> None:
    """Have Hydra know the option, in the place of another one of that name."""
    if is_there():
        ConfigStore.instance().store(group="hydra/sweeper", name=SEARCH, node=_Conf, provider="vae_runner")


offer()
