"""Hydra's composition of a config, without its front door: from a list of settings to a config, or to a reason."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.arguments import Request
from vae_runner.cli.composing.presets import PresetLoader
from vae_runner.cli.composing.sums import check_added, in_words
from vae_runner.cli.hydra_compat import (
    Hydra,
    add_settings,
    launcher,
    opened,
    run_composed,
    split_into_jobs,
    sweep_composed,
)
from vae_runner.errors import UserError
from vae_runner.paths import config_dir, make_importable
from vae_runner.runs.words import literal, quoted
from vae_runner.text import plain

__all__ = ["Composer", "composer", "one_line", "path_value", "without_hydra"]


PYTHONPATH = "PYTHONPATH"
_ABOUT = re.compile(r"(?:no setting called ')?([\w./@]+)")  # how a problem begins: with the name of a setting


class Composer:
    """Hydra's composition of our options and the user's own, and the start of what was composed."""

    def __init__(self, hydra: Hydra, config_name: str) -> None:
        self._hydra, self._config_name = hydra, config_name
        self.groups = set(self._walk(""))

    def compose(self, overrides: Iterable[str], multirun: bool = False) -> DictConfig:
        """The composed config with Hydra's node. Raises `UserError` with the reason in one line."""
        arguments = list(overrides)
        cfg = self._composed(self._config_name, arguments, RunMode.MULTIRUN if multirun else RunMode.RUN)
        check_added(cfg, arguments)
        return cfg

    def option(self, group: str, name: str) -> DictConfig:
        """The config that a group's option makes by itself. Raises `UserError` with the reason in one line."""
        return without_hydra(self._composed(f"{group}/{name}", [], RunMode.RUN))

    def _composed(self, config_name: str, arguments: list[str], mode: RunMode) -> DictConfig:
        try:
            return self._hydra.compose_config(config_name, arguments, mode)
        except UserError:
            raise
        except Exception as error:  # all that goes into it was asked for: whatever Hydra says of it is about that
            raise UserError(in_words(one_line(error))) from error

    def placed(self, problems: Iterable[str], typed: set[str]) -> list[str]:
        """The problems of what was composed last; what was not typed, but stands in a file of the user's, with that."""
        return [
            f"{line} ({place})"
            if (name := _ABOUT.match(line)) and name[1] not in typed and (place := self._own_place(name[1]))
            else line
            for line in problems
        ]

    def _own_place(self, name: str) -> str | None:
        return self._hydra.config_loader.own_place(name)

    def options(self, group: str) -> list[str]:
        """The names that the group offers."""
        return self._hydra.config_loader.get_group_options(group, ObjectType.CONFIG)

    def parse(self, argument: str) -> Override:
        """Raises `HydraException` where Hydra's grammar cannot read it."""
        return OverridesParser.create(self._hydra.config_loader).parse_overrides([argument])[0]

    def compose_job(self, hydra: Sequence[str], settings: Sequence[str]) -> DictConfig:
        """As `compose`, of a job of a sweep with those settings of Hydra's: it is not composed again when it begins."""
        job = self.compose([*hydra, *settings])
        self._hydra.config_loader.keep_job(settings, job)
        return job

    def run(self, cfg: DictConfig, folder: Path, job: TaskFunction) -> None:
        """Do the job with the composed config, in the folder. Raises what the job raises."""
        self._settle(cfg, "hydra.run.dir", folder, RunMode.RUN)
        run_composed(self._hydra, cfg, job)

    def sweep(self, cfg: DictConfig, folder: Path, job: TaskFunction) -> None:
        """Have the jobs of the composed sweep done, in the folder."""
        self._settle(cfg, "hydra.sweep.dir", folder, RunMode.MULTIRUN)
        sweep_composed(self._hydra, cfg, job)

    def jobs(self, cfg: DictConfig) -> list[list[str]]:
        """The settings of each job of the composed sweep, as the sweeper of all combinations makes them."""
        params = [f"{name}={value}" for name, value in (cfg.hydra.sweeper.params or {}).items()]
        settings = OmegaConf.to_container(cfg.hydra.overrides.task, resolve=False)  # each job looks up its own
        return split_into_jobs([self.parse(text) for text in (*params, *settings)])

    def launcher(self, cfg: DictConfig, job: TaskFunction) -> Launcher:
        """What runs a sweep's jobs, as the composed config chooses it."""
        return launcher(self._hydra, cfg, job)

    def show(self, overrides: Sequence[str], flags: Mapping[str, str | None]) -> None:
        """Print the composed config, as the flags --cfg, --package and --resolve say."""
        kind, package = flags["--cfg"] or "job", flags.get("--package")
        self._hydra.show_cfg(self._config_name, list(overrides), kind, package, "--resolve" in flags)

    def _settle(self, cfg: DictConfig, key: str, folder: Path, mode: RunMode) -> None:
        """Say in Hydra's node where it is done, and whether it is one run or several."""
        settings = [self.parse(f"{key}={path_value(folder)}")]
        if cfg.hydra.mode != mode:
            settings.append(self.parse(f"hydra.mode={mode.name}"))
        add_settings(cfg, settings)

    def _walk(self, parent: str) -> Iterator[str]:
        for name in self._hydra.config_loader.get_group_options(parent, ObjectType.GROUP):
            if (group := f"{parent}/{name}" if parent else name) != "hydra":
                yield group
                yield from self._walk(group)


@contextlib.contextmanager
def composer(request: Request) -> Iterator[Composer]:
    """A composer for the request's config folders; Hydra's globals are free again afterwards.

    From here on, parts are found in the user's own modules too.
    """
    own = request.flags.get("--config-dir")
    if own and not os.path.isdir(own):  # False for names that are too long, too
        raise UserError(f"--config-dir {plain(own)}: no such folder")
    make_importable(*request.own_folders)
    with (
        _importable_elsewhere(request.own_folders),
        opened(PresetLoader, config_dir(), Path(own) if own else None) as hydra,
    ):
        try:
            made = Composer(hydra, request.flags.get("--config-name") or "train")
        except OSError as error:
            raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
        yield made


@contextlib.contextmanager
def _importable_elsewhere(folders: Sequence[Path]) -> Iterator[None]:
    """Inside, Python finds modules in the folders in processes that a launcher starts, too."""
    before = os.environ.get(PYTHONPATH)
    if folders:
        os.environ[PYTHONPATH] = os.pathsep.join([*map(os.path.abspath, folders), *([before] if before else [])])
    try:
        yield
    finally:
        if folders:
            os.environ.pop(PYTHONPATH)
            os.environ.update({PYTHONPATH: before} if before else {})


def path_value(path: Path) -> str:
    """A path as a value that Hydra's grammar takes, whatever characters it holds."""
    return quoted(literal(str(path)))


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The composed config less Hydra's own node."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])


def one_line(error: Exception) -> str:
    """The first line of its words."""
    if isinstance(error, RecursionError):
        return "the defaults of a config lead back to that config"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
