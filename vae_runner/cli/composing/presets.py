"""Presets, the files of `experiment`: they choose options of other groups, and set values.

What a preset sets in a node goes with the option that it chooses there. Where the command line, or a preset that builds
on it, has chosen another one for the node, or for a node inside it, what it sets in there is left out:

    left out = {key : key lies in N; N lies in M; chosen(N) is not the preset's; the preset chooses M}

What it sets in a node for which it chooses nothing goes with every option. Hydra merges all of it in any case, so that
`likelihood=laplace` would be given the sigma of the preset's Gaussian; hence a loader that reads presets so. The same
loader takes the preset that a data set brings (`suited`), and puts schedules where `schedules` says.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.default_element import GroupDefault, InputDefault, ResultDefault
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vae_runner.cli.composing.kept_files import read_once
from vae_runner.cli.composing.own_files import check_file, line_of, shown_file
from vae_runner.cli.composing.schedules import append_schedules, replaced_by_schedules
from vae_runner.cli.composing.suited import suited
from vae_runner.cli.hydra_compat import CachingConfigRepository, ConfigLoader, ConfigRepository
from vae_runner.errors import UserError
from vae_runner.paths import config_dir

__all__ = ["LEFT_OUT", "PresetLoader"]

PRESET = "experiment"
GROUP = f"{PRESET}/"
LEFT_OUT = "VAE_RUN_LEFT_OUT"  # environment variable of a job: lines about what its preset's values do not go with


class PresetLoader(ConfigLoader):
    """Hydra's composition, with presets read in the light of what the command line chooses."""

    def key_of(self, settings: Sequence[str]) -> tuple[str, ...]:
        """The settings that choose something."""
        return tuple(_with_suited(settings))

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        chosen = _with_suited(overrides)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "provider=")  # of a folder that is not there: told below
            parsed, repository = super()._parse_overrides_and_create_caching_repo(config_name, chosen)
        for source in repository.get_sources():
            if not source.available():
                raise UserError(f"hydra.searchpath: there is no folder of configs at {source.full_path()}")
        self._presets = repository.delegate = _Presets(repository.delegate, parsed, suited(overrides))
        return append_schedules(parsed), repository

    def own_place(self, name: str) -> str | None:
        """'FILE, line N' of the file of the user's that gives the setting, of what was composed last."""
        for file, node in self._presets.own_files.items():
            is_for_it = not node or name.startswith(f"{node}.")
            if is_for_it and (line := line_of(name.removeprefix(f"{node}."), file)):
                return f"{shown_file(file)}, line {line}"
        return None

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: CachingConfigRepository
    ) -> DictConfig:
        replaced = replaced_by_schedules(defaults)
        self._replaced = {id(default): replaced[place] for place, default in enumerate(defaults)}
        return super()._compose_config_from_defaults_list(defaults, repo)

    def _load_single_config(self, default: ResultDefault, repo: CachingConfigRepository) -> ConfigResult:
        result = super()._load_single_config(default, repo)
        for node in self._replaced.get(id(default), ()):
            _take(result.config, node)
        return result

    def _load_configuration_impl(self, *arguments: Any, **settings: Any) -> DictConfig:
        cfg = super()._load_configuration_impl(*arguments, **settings)
        if lines := self._presets.told:
            with open_dict(cfg.hydra):
                cfg.hydra.job.env_set[LEFT_OUT] = "\n".join(lines).replace("${", "\\${")
        return cfg


class _Presets(ConfigRepository):
    """The config files; of presets, what goes with the choices made. `told` are lines about the rest, one a choice, and
    about the preset that was not asked for but is `suited`.
    """

    def __init__(self, files: ConfigRepository, overrides: Iterable[Override], suited: str | None) -> None:
        self.sources = files.sources
        self.told: list[str] = []
        self._suited = suited
        self.own_files: dict[Path, str] = {}  # the user's that were read, with the node that each is for
        single = [override for override in overrides if not override.is_sweep_override()]
        self._given = {override.key_or_group for override in single}
        self._chosen = {
            _node(override.key_or_group, override.package): override.value()
            for override in single
            if self.group_exists(override.key_or_group) and not isinstance(override.value(), dict)
        }

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A preset that builds on another one is loaded before it, so that its choices count for that one.

        Raises `UserError` with file and line where one of the user's own files is no config.
        """
        result = self._read(config_path)
        if result and config_path.startswith(GROUP) and result.header.get("package") == "_global_":
            own = {choice.node: choice for default in result.defaults_list if (choice := _choice(default))}
            name = config_path.removeprefix(GROUP)
            for node, option in self._chosen.items():
                if _is_replaced(node, option, own):
                    self._leave_out(node, own, result, name)
            if name == self._suited:
                self.told = [_suited_line(str(self._chosen["dataset"]), name)]
            self._chosen = {node: choice.option for node, choice in own.items()} | self._chosen
        return result

    def _read(self, config_path: str) -> ConfigResult | None:
        source = next((source for source in self.sources if source.is_config(config_path)), None)
        file = _own_file(source, config_path)
        if file is None:
            return read_once(source, config_path, super().load_config)
        check_file(file)
        try:
            result = super().load_config(config_path)
        except (OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{shown_file(file)}: {str(error).splitlines()[0]}") from error
        if config_path.startswith(GROUP) and result and result.header.get("package") is None:
            raise UserError(f"{shown_file(file)}, line 1: a preset begins with the line '# @package _global_'")
        if result:
            package = result.header.get("package") or config_path.rpartition("/")[0].replace("/", ".")
            self.own_files[file] = package.removeprefix("_global_").lstrip(".")
        return result

    def _leave_out(self, node: str, own: Mapping[str, "_Choice"], preset: ConfigResult, name: str) -> None:
        """Take what lies in the node out of the preset, the options as well as the values, and note what was there."""
        inner = [choice for choice in own.values() if _lies_in(choice.node, node) and choice.node != node]
        for choice in inner:
            preset.defaults_list.remove(choice.default)
        missed = [choice.text for choice in inner if choice.node not in self._chosen]
        missed += [f"{key}={_plain(value)}" for key, value in _take(preset.config, node) if key not in self._given]
        if missed:
            self.told.append(_line(name, missed, _home(node, own)))


def _own_file(source: ConfigSource | None, config_path: str) -> Path | None:
    """The file that it is read from, where that is one of the user's."""
    if source is None or source.scheme() != "file" or Path(source.path) == config_dir():
        return None
    return Path(source.path, source._normalize_file_name(config_path))


@dataclass(frozen=True)
class _Choice:
    """`override /group@package: option` of a preset's defaults list, and the node that the option makes."""

    node: str
    group: str  # with its package
    option: Any
    default: InputDefault = field(repr=False)

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        return f"{self.group}={_plain(self.option)}"


def _without_null(overrides: Sequence[str]) -> list[str]:
    """The settings without those that choose no preset, which Hydra does not take, nor what was chosen before them."""
    nulls = [place for place, text in enumerate(overrides) if text.lower() == f"{PRESET}=null"]
    last = nulls[-1] if nulls else -1
    return [text for place, text in enumerate(overrides) if place > last or not text.startswith(f"{PRESET}=")]


def _with_suited(overrides: Sequence[str]) -> list[str]:
    """The settings that choose something, behind the preset that suits their data set."""
    preset = suited(overrides)
    return [*([f"{PRESET}={preset}"] if preset else []), *_without_null(overrides)]


def _choice(default: InputDefault) -> _Choice | None:
    if not isinstance(default, GroupDefault) or not default.override:
        return None
    group = default.group.lstrip("/")
    name = f"{group}@{default.package}" if default.package else group
    return _Choice(_node(group, default.package), name, default.value, default)


def _node(group: str, package: str | None) -> str:
    """The dotted name of the node that an option of the group makes."""
    return (package or group.replace("/", ".")).removeprefix("_global_.")


def _lies_in(node: str, outer: str) -> bool:
    return f"{node}.".startswith(f"{outer}.")


def _is_replaced(node: str, option: Any, own: Mapping[str, _Choice]) -> bool:
    """Whether the node has another option than the preset gives it, by a choice for it or for one around it."""
    if node in own:
        return own[node].option != option
    return any(_lies_in(node, outer) for outer in own)


def _home(node: str, own: Mapping[str, _Choice]) -> _Choice:
    """The preset's choice that makes the node: the innermost one around it."""
    return own[max((outer for outer in own if _lies_in(node, outer)), key=len)]


def _take(config: DictConfig, node: str) -> list[tuple[str, Any]]:
    """Remove the node from the config; returns the dotted names and the values that were in it."""
    outer, _, name = node.rpartition(".")
    around = OmegaConf.select(config, outer) if outer else config
    if not isinstance(around, DictConfig) or name not in around:
        return []
    held = OmegaConf.to_container(around, resolve=False)[name]
    with open_dict(around):
        around.pop(name)
    return list(_values(held, node))


def _values(held: Any, key: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(held, dict):
        yield key, held
        return
    for name, value in held.items():
        yield from _values(value, f"{key}.{name}")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


def _suited_line(dataset: str, preset: str) -> str:
    return (
        f"dataset={dataset} brings experiment={preset}, settings that suit such images, for all that is not chosen "
        "here; experiment=null leaves them out"
    )


def _line(preset: str, missed: list[str], home: _Choice) -> str:
    goes = "goes with {} and is left out" if len(missed) == 1 else "go with {} and are left out"
    return f"experiment={preset}: its {', '.join(missed)} {goes.format(home.text)}"
