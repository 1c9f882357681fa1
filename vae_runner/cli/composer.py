"""Hydra's composition of a config, without its front door: from a list of settings to a config, or to a reason."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.arguments import Request
from vae_runner.cli.presets import reading_presets
from vae_runner.errors import UserError
from vae_runner.paths import config_dir, make_importable

__all__ = ["Composer", "composer", "one_line", "without_hydra"]


class Composer:
    """Hydra's composition of one config folder and, behind it, the user's own."""

    def __init__(self, hydra: Hydra, config_name: str) -> None:
        self._hydra, self._config_name = hydra, config_name
        self.groups = set(self._walk(""))

    def compose(self, overrides: Iterable[str], multirun: bool = False) -> DictConfig:
        """The composed config with Hydra's node. Raises `UserError` with the reason in one line."""
        mode = RunMode.MULTIRUN if multirun else RunMode.RUN
        try:
            return self._hydra.compose_config(self._config_name, list(overrides), mode)
        except UserError:
            raise
        except Exception as error:  # all that goes into it was asked for: whatever Hydra says of it is about that
            raise UserError(one_line(error)) from error

    def options(self, group: str) -> list[str]:
        """The names that the group offers."""
        return self._hydra.config_loader.get_group_options(group, ObjectType.CONFIG)

    def parse(self, argument: str) -> Override:
        """Raises `HydraException` where Hydra's grammar cannot read it."""
        return OverridesParser.create(self._hydra.config_loader).parse_overrides([argument])[0]

    def launcher(self, cfg: DictConfig, job: TaskFunction) -> Launcher:
        """What runs a sweep's jobs, as the composed config chooses it."""
        context = HydraContext(config_loader=self._hydra.config_loader, callbacks=Callbacks(cfg))
        return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=job, config=cfg)

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
    search_path = create_config_search_path(str(config_dir()))
    if own := request.flags.get("--config-dir"):
        if not os.path.isdir(own):  # False for names that are too long, too
            raise UserError(f"--config-dir {own}: no such folder")
        search_path.prepend("command-line", f"file://{Path(own).absolute()}")
    make_importable(*request.own_folders)
    GlobalHydra.instance().clear()
    try:
        with reading_presets():
            hydra = Hydra.create_main_hydra2("vae-train", search_path)
        try:
            made = Composer(hydra, request.flags.get("--config-name") or "train")
        except OSError as error:
            raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
        yield made
    finally:
        GlobalHydra.instance().clear()


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The composed config less Hydra's own node."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])


def one_line(error: Exception) -> str:
    """The first line of its words."""
    if isinstance(error, RecursionError):
        return "the defaults of a config lead back to that config"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
