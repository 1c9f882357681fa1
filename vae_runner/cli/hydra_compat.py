"""Hydra where its documented interface does not reach: the one module that knows what lies in `hydra._internal`.

`hydra.main` composes anew whatever it starts, to find out of which kind it is and to see whether it can be done:

    hydra.main     a run: 2                       a sweep of N jobs: 2 + 2 N
    here           a run: what is there already   a sweep of N jobs: N, less those that are there already

Here a run is started with the config that the check has read, and a sweep's job is composed once. What it was composed
to is kept, packed, by its settings, which decide it together with Hydra's own, with which it is compared.
"""

import contextlib
import logging
import pickle
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
import hydra._internal.hydra as front
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log, run_job
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write

from vae_runner.cli.searching.optuna_sweeper import OPTUNA, OptunaSweeper, offer
from vae_runner.cli.sweeping.launcher import PROCESSES, ProcessLauncher

__all__ = [
    "BASIC",
    "LOCAL_LAUNCHERS",
    "ONE_BY_ONE",
    "CachingConfigRepository",
    "ConfigLoader",
    "ConfigRepository",
    "Hydra",
    "add_settings",
]
__all__ += [
    "do_job",
    "hydra_main",
    "job_config",
    "launcher",
    "opened",
    "run_composed",
    "split_into_jobs",
    "sweep_composed",
]

BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"  # the sweeper of all combinations
ONE_BY_ONE = f"{BasicLauncher.__module__}.{BasicLauncher.__name__}"  # the launcher that needs no other process
LOCAL_LAUNCHERS = {  # whose jobs find what this machine has
    ONE_BY_ONE,
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    PROCESSES,
}
OWN = "command-line"  # what Hydra calls the folder of --config-dir
VERSION = "1.3"  # whose ways Hydra has
LATER = {"hydra.sweep.dir", "hydra.mode"}  # settings that a sweep is given when it starts, behind all others
SENT = 1_000_000  # bytes of packed jobs that go with each job to another process; beyond it, that composes its own


class ConfigLoader(ConfigLoaderImpl):
    """Hydra's composition, which keeps the jobs of a sweep. The user's own options hide ours of the same name."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        config_search_path.get_path().sort(key=lambda place: place.provider != OWN)
        super().__init__(config_search_path)
        self._jobs: dict[tuple[str, ...], bytes] = {}

    def key_of(self, settings: Sequence[str]) -> tuple[str, ...]:
        """What tells a job's settings from those of others."""
        return tuple(settings)

    def keep_job(self, settings: Sequence[str], job: DictConfig) -> None:
        """Keep what a job with those settings was composed to, for when it begins."""
        with contextlib.suppress(pickle.PicklingError):  # in a job's own process Hydra has loaded its plugins anew
            self._jobs[self.key_of(settings)] = zlib.compress(pickle.dumps(job), 1)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The job with those settings, of a sweep that is composed to `master_config`."""
        if (kept := self._kept(master_config, self.key_of(sweep_overrides))) is not None:
            return kept
        job = super().load_sweep_config(master_config, sweep_overrides)
        self.keep_job(sweep_overrides, job)
        return job

    def _kept(self, sweep: DictConfig, settings: tuple[str, ...]) -> DictConfig | None:
        """What was kept, with what Hydra has been told since; None where that may make another config of it."""
        if (packed := self._jobs.get(settings)) is None:
            return None
        job = pickle.loads(zlib.decompress(packed))
        had, wanted = _raw(job.hydra.overrides.hydra), _raw(sweep.hydra.overrides.hydra)
        later = OverridesParser.create(self).parse_overrides(wanted[len(had) :])
        if had != wanted[: len(had)] or job.hydra.job.config_name != sweep.hydra.job.config_name:
            return None
        if not LATER.issuperset(setting.key_or_group for setting in later):
            return None
        add_settings(job, later)
        OmegaConf.copy_cache(from_config=sweep, to_config=job)
        return job

    def __getstate__(self) -> dict[str, Any]:
        """What goes to a job's own process."""
        state = dict(self.__dict__)
        if sum(map(len, self._jobs.values())) > SENT:
            state["_jobs"] = {}
        return state


@contextlib.contextmanager
def opened(loader: type[ConfigLoader], folder: Path, own: Path | None) -> Iterator[Hydra]:
    """Hydra with the options in `folder` and in the user's `own`; its globals are afterwards as they were."""
    version.setbase(VERSION)
    search_path = create_config_search_path(str(folder))
    if own:
        search_path.append(OWN, f"file://{own.absolute()}")
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        made = Hydra(task_name="vae-train", config_loader=loader(search_path))
        offer()  # behind plugins of Hydra's, one of which may have that name
        GlobalHydra.instance().initialize(made)
        yield made
    finally:
        GlobalHydra.instance().hydra = before


def hydra_main(loader: type[ConfigLoader], folder: Path, config_name: str) -> None:
    """Hydra's own front door, for what is asked of Hydra alone; it reads the process's arguments."""
    before = front.ConfigLoaderImpl
    front.ConfigLoaderImpl = loader
    try:
        hydra.main(version_base=VERSION, config_path=str(folder), config_name=config_name)(lambda cfg: None)()
    finally:
        front.ConfigLoaderImpl = before


def add_settings(cfg: DictConfig, settings: Sequence[Override]) -> None:
    """Set Hydra's own values in a composed config, as if they had been the last of the settings."""
    with _writable(cfg):
        for setting in settings:
            OmegaConf.update(cfg, setting.key_or_group, setting.value())
            cfg.hydra.overrides.hydra.append(setting.input_line)


def run_composed(made: Hydra, cfg: DictConfig, job: TaskFunction) -> None:
    """Do the job with the composed config, in hydra.run.dir. Raises what the job raises."""
    _configure_log(made, cfg, RunMode.RUN)
    callbacks, name = Callbacks(cfg), cfg.hydra.job.config_name
    callbacks.on_run_start(config=cfg, config_name=name)
    done = run_job(
        hydra_context=HydraContext(config_loader=made.config_loader, callbacks=callbacks),
        task_function=job,
        config=cfg,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
    )
    callbacks.on_run_end(config=cfg, config_name=name, job_return=done)
    _ = done.return_value  # raises


def sweep_composed(made: Hydra, cfg: DictConfig, job: TaskFunction) -> None:
    """Have the jobs of the composed sweep done by its sweeper and its launcher, in hydra.sweep.dir."""
    _configure_log(made, cfg, RunMode.MULTIRUN)
    callbacks, name = Callbacks(cfg), cfg.hydra.job.config_name
    callbacks.on_multirun_start(config=cfg, config_name=name)
    context = HydraContext(config_loader=made.config_loader, callbacks=callbacks)
    with _own_plugins():
        sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=job, config=cfg)
    sweeper.sweep(arguments=_raw(cfg.hydra.overrides.task))
    callbacks.on_multirun_end(config=cfg, config_name=name)


def launcher(made: Hydra, cfg: DictConfig, job: TaskFunction) -> Launcher:
    """What runs a sweep's jobs, as the composed config chooses it."""
    context = HydraContext(config_loader=made.config_loader, callbacks=Callbacks(cfg))
    with _own_plugins():
        return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=job, config=cfg)


@contextlib.contextmanager
def _own_plugins() -> Iterator[None]:
    """Inside, our own launcher and sweeper are taken too: Hydra takes those alone that every program has."""
    plugins = Plugins.instance()
    theirs, their_sweeper = plugins.instantiate_launcher, plugins.instantiate_sweeper

    def instantiate(hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Launcher:
        if config.hydra.launcher._target_ != PROCESSES:
            return theirs(hydra_context=hydra_context, task_function=task_function, config=config)
        made = ProcessLauncher(config.hydra.launcher.jobs)
        made.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        return made

    def instantiate_sweeper(hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Sweeper:
        if config.hydra.sweeper._target_ != OPTUNA:
            return their_sweeper(hydra_context=hydra_context, task_function=task_function, config=config)
        made = OptunaSweeper()
        made.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        return made

    vars(plugins).update(instantiate_launcher=instantiate, instantiate_sweeper=instantiate_sweeper)
    try:
        yield
    finally:
        del vars(plugins)["instantiate_launcher"], vars(plugins)["instantiate_sweeper"]


def do_job(context: HydraContext, cfg: DictConfig, job: TaskFunction, number: int, settings: Sequence[str]) -> Any:
    """Do one job of the composed sweep here; returns what it comes to, and raises what it raises."""
    here = BasicLauncher()
    here.setup(hydra_context=context, task_function=job, config=cfg)
    (done,) = here.launch([list(settings)], initial_job_idx=number)
    return done.return_value


def job_config(context: HydraContext, cfg: DictConfig, settings: Sequence[str]) -> dict[str, Any]:
    """What a job of the composed sweep is composed to, plain, without Hydra's node."""
    job = context.config_loader.load_sweep_config(cfg, list(settings))
    own: Any = OmegaConf.masked_copy(job, [str(key) for key in job if key != "hydra"])
    plain: Any = OmegaConf.to_container(own, resolve=True)
    return dict(plain)


def split_into_jobs(settings: list[Override]) -> list[list[str]]:
    """The settings of each job, as the sweeper of all combinations makes them."""
    (jobs,) = BasicSweeper.split_arguments(settings, None)
    return jobs


def _configure_log(made: Hydra, cfg: DictConfig, mode: RunMode) -> None:
    """Logging as the config has it; with hydra.verbose=true Hydra says how it came to the config."""
    configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
    front.log = logging.getLogger(front.__name__)
    made._print_debug_info(
        cfg.hydra.job.config_name, _raw(cfg.hydra.overrides.hydra) + _raw(cfg.hydra.overrides.task), mode
    )


def _raw(settings: ListConfig) -> list[str]:
    """The settings as they were typed: what one of them looks up is not looked up here."""
    return OmegaConf.to_container(settings, resolve=False)  # type: ignore[return-value]


@contextlib.contextmanager
def _writable(cfg: DictConfig) -> Iterator[None]:
    with read_write(cfg), read_write(cfg.hydra), open_dict(cfg):
        yield
    OmegaConf.set_readonly(cfg.hydra, False)  # as what is composed
