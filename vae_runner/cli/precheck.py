"""Everything that is wrong with a command line, told before a folder is made or a job begun.

Hydra stops at the first mistake; here each setting is judged by itself first, then the composed config as a whole.
"""

import contextlib
import difflib
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_runner.cli.arguments import CHOICES, WITH_VALUE, Request
from vae_runner.cli.presets import reading_presets
from vae_runner.errors import UserError
from vae_runner.experiment.check import check, did_you_mean, nearest, shortened
from vae_runner.paths import config_dir, make_importable

__all__ = ["Composer", "composer", "judge_choice", "judge_setting", "nodes", "parse", "precheck", "without_hydra"]

OPEN = ("hydra.job.env_set", "hydra.launcher", "hydra.sweeper", "hydra.callbacks")  # nodes that take any setting
FREE = ("dataset.dataset",)  # nodes whose arguments are those of whatever part they name
NULLABLE = ("experiment",)  # groups of which nothing need be chosen
JOBS = 10_000  # of a sweep
BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
COMBINATIONS = 50  # of a sweep's values that are composed and checked beforehand; each job checks its own again


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
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(_one_line(error)) from error

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
        yield Composer(hydra, request.flags.get("--config-name") or "train")
    finally:
        GlobalHydra.instance().clear()


def precheck(request: Request, composer: Composer) -> DictConfig:
    """Returns the composed config (of a sweep: of its first values, with Hydra's node for the sweep).

    Raises `UserError` with a line for each mistake.
    """
    problems: list[str] = []
    parsed = [override for argument in request.overrides if (override := parse(argument, composer, problems))]
    parsed = [override for override in parsed if not _report(_judge_values(override), problems)]
    choices = [override for override in parsed if _group(override, composer)]
    usable = [override for override in choices if not _report(judge_choice(override, composer), problems)]
    base = composer.compose(_first_values(usable))
    known = nodes(OmegaConf.to_container(base, resolve=False))
    own = (name for name in known if not name.startswith("hydra"))
    names = {name for name in own if name.replace(".", "/") not in composer.groups} | composer.groups
    problems += [_about_dashes(name, value, names) for name, value in request.stray]
    for override in parsed:
        if override in choices:
            continue
        problem = judge_setting(override, known, names, composer.groups)
        if not _report(problem and (_of_others(override.key_or_group, composer) or problem), problems):
            usable.append(override)
    usable.sort(key=parsed.index)
    if not request.multirun:
        for override in usable:
            _report(_judge_single(override), problems)
    elif math.prod(_count(override) for override in parsed) > JOBS:
        raise UserError("\n".join(dict.fromkeys([*problems, f"these would be more than {JOBS:,} jobs"])))
    problems += _check_combinations(usable, composer, request.multirun)
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    cfg = composer.compose(request.overrides, request.multirun)
    drawn = [override for override in parsed if override.value_type == ValueType.INTERVAL_SWEEP]
    if drawn and cfg.hydra.sweeper._target_ == BASIC:
        raise UserError(f"{drawn[0].input_line} is for sweepers that draw from it; give values or range(A,B,STEP)")
    return cfg


def nodes(config: Any, key: str = "") -> list[str]:
    """The dotted names of all values and of all mappings that hold values."""
    inner = config.items() if isinstance(config, Mapping) else ()
    below = [name for part, value in inner for name in nodes(value, f"{key}.{part}" if key else str(part))]
    return [key, *below] if key else below


def _report(problem: str | None, problems: list[str]) -> bool:
    if problem:
        problems.append(problem)
    return bool(problem)


def parse(argument: str, composer: Composer, problems: list[str]) -> Override | None:
    """The argument as Hydra reads it; None where it cannot, which `problems` then tells."""
    name, equals, value = argument.partition("=")
    try:
        if (equals and name.strip("+~")) or argument.startswith("~"):
            return composer.parse(argument)
    except HydraException:
        if set(value) & set("\"'\\"):
            problems.append(
                f"cannot read {shortened(argument)}: its quotes do not match; two kinds are needed: 'NAME=\"VALUE\"'"
            )
        else:
            problems.append(f"cannot read {shortened(argument)}; put quotes around the value: '{name}=\"{value}\"'")
        return None
    homes = [group for group in sorted(composer.groups) if argument in composer.options(group)]
    hint = f" Did you mean {homes[0]}={argument}?" if homes else ""
    problems.append(f"cannot read {shortened(argument)}: settings are written NAME=VALUE.{hint}")
    return None


def _group(override: Override, composer: Composer) -> str | None:
    """The config group whose option the override chooses; None where it sets a value."""
    key = override.key_or_group
    return key if key in composer.groups or key.startswith("hydra/") else None


def judge_choice(override: Override, composer: Composer) -> str | None:
    """What is wrong with the choice of a group's option."""
    group = override.key_or_group
    if override.is_delete():
        return None
    if (override.is_add() or override.is_force_add()) and not group.startswith("hydra/"):
        return f"{group} is chosen without +: {group}={override.get_value_string()}"
    options = composer.options(group)
    for value in _values(override):
        for name in value if isinstance(value, list) else [value]:
            if name is None and group not in NULLABLE:
                return f"{group}=null chooses nothing. Choices: {', '.join(options)}"
            if name is not None and name not in options:
                close = difflib.get_close_matches(str(name), options, 1)
                hint = f" Did you mean {group}={close[0]}?" if close else ""
                return f"no {group} called {shortened(str(name))}.{hint} Choices: {', '.join(options)}"
    return None


def judge_setting(override: Override, known: list[str], names: set[str], groups: set[str]) -> str | None:
    """What is wrong with the name of a setting, of those `known`; `names` are what a misspelt one may have meant."""
    key = override.key_or_group
    if override.value() == "":
        return f"{key}= has no value; null stands for none"
    if key.startswith("hydra."):
        names = {name for name in known if name.startswith("hydra.")}
    if key.replace(".", "/") in groups and not override.is_delete():
        return f"{key} is a group, set it by {key.replace('.', '/')}=OPTION"
    if key in known:
        return f"{key} is there already; write it without +" if override.is_add() else None
    if override.is_add() or override.is_force_add():
        parent = key.rpartition(".")[0]
        inside = any(f"{key}.".startswith(f"{node}.") for node in FREE if node in known)
        is_open = parent.startswith(OPEN) if key.startswith("hydra.") else parent in known or inside
        return None if is_open else _unknown(key, names)
    return _unknown(key, names)


def _judge_single(override: Override) -> str | None:
    if override.key_or_group.startswith("hydra.sweep."):
        return f"{override.key_or_group} is for --multirun; the folder of a single run is hydra.run.dir"
    if not override.is_sweep_override():
        return None
    return f"{override.input_line} holds several values: add --multirun, or put quotes around a value that has commas"


def _judge_values(override: Override) -> str | None:
    """What is wrong with the list of values, counted without being kept: it has to have some, and not too many."""
    try:
        count = _count(override)
    except (HydraException, ValueError, TypeError) as error:
        return f"{override.input_line}: {_one_line(error)}"
    if count == 0:
        return f"{override.input_line} has no values"
    return f"{override.input_line}: these would be more than {JOBS:,} jobs" if count > JOBS else None


def _count(override: Override) -> int:
    """How many values there are, as far as JOBS + 1; an interval, from which sweepers draw, counts as one."""
    if override.value_type == ValueType.INTERVAL_SWEEP:
        return 1
    return sum(1 for _ in itertools.islice(_values(override), JOBS + 1))


def _unknown(key: str, known: Iterable[str]) -> str:
    return f"no setting called {shortened(key)}.{did_you_mean(key, known)}"


def _of_others(key: str, composer: Composer) -> str | None:
    """That the setting is one of options that are not chosen, where it is."""
    parts = key.split(".")
    groups = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    group = next((group for group in groups if group in composer.groups), None)
    if group is None or key.replace(".", "/") in composer.groups:
        return None
    homes = [name for name in composer.options(group) if key in nodes(_composed(composer, f"{group}={name}"))]
    return f"{key} is a setting of {group}={'|'.join(homes)}" if homes else None


def _composed(composer: Composer, choice: str) -> Any:
    """The plain config with that choice; of an option that does not go with the others, nothing."""
    with contextlib.suppress(UserError):
        return OmegaConf.to_container(without_hydra(composer.compose([choice])), resolve=False)
    return {}


def _about_dashes(name: str, value: str, known: Iterable[str]) -> str:
    if flag := WITH_VALUE.get(f"--{name}") or WITH_VALUE.get(f"-{name}"):  # the last argument, or it had its value
        return f"{flag} needs a value" + (f": {', '.join(CHOICES[flag])}" if flag in CHOICES else "")
    if setting := nearest(name.replace("-", "_"), known):
        return f"settings are written without dashes: {setting}={value or 'VALUE'}"
    return f"no option called '{name}'; settings are written without dashes: NAME=VALUE (see vae-train --help)"


def _check_combinations(overrides: list[Override], composer: Composer, multirun: bool) -> list[str]:
    """Compose and check the settings; of a sweep, each value once together with the first of all others."""
    firsts = _first_values(overrides)
    requests = [firsts]
    for position, override in enumerate(overrides if multirun else ()):
        for text in itertools.islice(_texts(override), 1, COMBINATIONS):
            requests.append([*firsts[:position], text, *firsts[position + 1 :]])
    problems: list[str] = []
    for request in requests[:COMBINATIONS]:
        try:
            problems += check(without_hydra(composer.compose(request)))[1]
        except UserError as error:
            problems.append(str(error))
    return problems


def _first_values(overrides: Iterable[Override]) -> list[str]:
    return [next(_texts(override)) for override in overrides]


def _texts(override: Override) -> Iterator[str]:
    """The override as an argument, once for each of the values that a sweep would give it."""
    if override.is_discrete_sweep():
        return (f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator())
    if override.value_type == ValueType.INTERVAL_SWEEP:
        return iter([f"{override.get_key_element()}={override.value().start}"])
    return iter([override.input_line])


def _values(override: Override) -> Iterator[Any]:
    return override.sweep_iterator() if override.is_discrete_sweep() else iter([override.value()])


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The composed config less Hydra's own node."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
