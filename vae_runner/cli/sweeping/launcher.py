"""Hydra's launcher of `jobs=N`: an option of this program alone, which no other program of Hydra's sees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

__all__ = ["PROCESSES", "ProcessLauncher"]

# How many at once, Hydra's context, the sweep's config, what does a job, the settings by number -> the figures
Lead = Callable[[int | str, HydraContext, DictConfig, TaskFunction, Mapping[int, list[str]]], Mapping[int, float]]


class ProcessLauncher(Launcher):
    """Runs `jobs` jobs at once, each in a process of its own, as `lead` does it, which `crew` puts here."""

    lead: ClassVar[Lead]

    def __init__(self, jobs: int | str) -> None:
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Do the jobs; returns what each of them came to, in their order."""
        jobs = {initial_job_idx + place: list(settings) for place, settings in enumerate(job_overrides)}
        figures = ProcessLauncher.lead(self.jobs, self.context, self.config, self.task, jobs)
        return [
            JobReturn(overrides=settings, status=JobStatus.COMPLETED, _return_value=figures[number])
            for number, settings in jobs.items()
        ]


PROCESSES = f"{ProcessLauncher.__module__}.{ProcessLauncher.__name__}"


@dataclass
class _Conf:
    _target_: str = PROCESSES
    jobs: Any = "auto"


ConfigStore.instance().store(group="hydra/launcher", name="processes", node=_Conf, provider="vae_runner")
