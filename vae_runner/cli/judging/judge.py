"""What is wrong with a setting by itself, before anything is made of it."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.arguments import CHOICES, WITH_VALUE
from vae_runner.cli.composing.composer import Composer, one_line
from vae_runner.cli.composing.schedules import GROUP as SCHEDULE
from vae_runner.cli.composing.schedules import judge_schedule, takes_schedule
from vae_runner.cli.composing.sums import adds_term
from vae_runner.cli.judging.hints import bare_hint, hint, option_hint
from vae_runner.cli.judging.hydra_settings import plugin_hint
from vae_runner.cli.judging.other_names import typed_here
from vae_runner.cli.judging.values import JOBS, count, values
from vae_runner.cli.searching.trials_setting import is_sweepers
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import shortened
from vae_runner.experiment.spelling import nearest

__all__ = ["about_dashes", "group_of", "home_of", "judge_choice", "judge_setting", "judge_single", "judge_values"]
__all__ += ["nodes", "parse"]

OPEN = ("hydra.job.env_set", "hydra.launcher", "hydra.sweeper", "hydra.callbacks")  # nodes that take any setting
FREE = ("dataset.dataset",)  # nodes whose arguments are those of whatever part they name
NULLABLE = ("experiment",)  # groups of which nothing need be chosen
SEVERAL = ("visualisation", "experiment")  # groups of which several options go together


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
    said = bare_hint(argument, composer.groups, composer.options)
    problems.append(f"cannot read {shortened(argument)}: settings are written NAME=VALUE.{said}")
    return None


def group_of(override: Override, composer: Composer) -> str | None:
    """The config group whose option the override chooses; None where it sets a value."""
    key = override.key_or_group
    return key if key in composer.groups or key.startswith("hydra/") else None


def judge_choice(override: Override, composer: Composer) -> str | None:
    """What is wrong with the choice of a group's option."""
    if problem := judge_schedule(override):
        return problem
    group, name = override.key_or_group, override.get_key_element().lstrip("+")
    if override.is_delete():
        return None
    if (override.is_add() or override.is_force_add()) and not group.startswith("hydra/") and not adds_term(override):
        return f"{name} is chosen without +: {name}={override.get_value_string()}"
    options = composer.options(group)
    for value in values(override):
        if isinstance(value, list) and group not in SEVERAL and not group.startswith("hydra/"):
            chosen = ",".join(map(str, value))
            return f"{name} takes one option, got [{chosen}]; --multirun {name}={chosen} tries each"
        for option in value if isinstance(value, list) else [value]:
            if option is None and group not in NULLABLE:
                return f"{name}=null chooses nothing. Choices: {', '.join(options)}"
            if option is not None and option not in options:
                said = plugin_hint(group, option) or option_hint(group, name, str(option), options)
                return f"no {group} called {shortened(str(option))}.{said} Choices: {', '.join(options)}"
    return None


def judge_setting(override: Override, known: list[str], names: set[str], composer: Composer) -> str | None:
    """What is wrong with the name of a setting, of those `known`; `names` are what a misspelt one may have meant."""
    key, groups = override.key_or_group, composer.groups
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
        return None if is_open else _unknown(override, names, composer)
    return _unknown(override, names, composer)


def judge_single(override: Override, resumes: bool = False) -> str | None:
    """Returns what is wrong with a setting of a single run, or of what is resumed, which is for sweeps."""
    if override.key_or_group.startswith("hydra.sweep."):
        return f"{override.key_or_group} is for --multirun; the folder of a single run is hydra.run.dir"
    if override.key_or_group.startswith("hydra.sweeper.") and not (resumes and is_sweepers(override.key_or_group)):
        return f"{override.key_or_group} is for --multirun"
    if not override.is_sweep_override():
        return None
    return f"{override.input_line} holds several values: add --multirun, or put quotes around a value that has commas"


def judge_values(override: Override) -> str | None:
    """What is wrong with the list of values, counted without being kept: it has to have some, and not too many."""
    try:
        number = count(override)
    except (HydraException, ValueError, TypeError) as error:
        return f"{override.input_line}: {one_line(error)}"
    if number == 0:
        return f"{override.input_line} has no values"
    return f"{override.input_line}: these would be more than {JOBS:,} jobs" if number > JOBS else None


def about_dashes(name: str, value: str, known: Iterable[str], composer: Composer) -> str:
    """Returns what is wrong with an argument that has dashes and is no option, with what may be meant."""
    if flag := WITH_VALUE.get(f"--{name}") or WITH_VALUE.get(f"-{name}"):  # the last argument, or it had its value
        return f"{flag} needs a value" + (f": {', '.join(CHOICES[flag])}" if flag in CHOICES else "")
    if said := typed_here(name, value, composer.options):
        return f"settings are written without dashes: {said}"
    if setting := nearest(name.replace("-", "_"), known):
        return f"settings are written without dashes: {setting}={value or 'VALUE'}"
    return f"no option called '{name}'; settings are written without dashes: NAME=VALUE (see vae-train --help)"


def home_of(key: str, base: DictConfig, composer: Composer) -> str | None:
    """Of which option that is not chosen the setting is, where it is of one."""
    return _of_others(key, composer) or _of_schedules(key, base, composer)


def _of_others(key: str, composer: Composer) -> str | None:
    """That the setting is one of options that are not chosen, where it is."""
    parts = key.split(".")
    groups = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    group = next((group for group in groups if group in composer.groups), None)
    if group is None or key.replace(".", "/") in composer.groups:
        return None
    homes = [name for name in composer.options(group) if key in nodes(_option(composer, group, name))]
    return f"{key} is a setting of {group}={'|'.join(homes)}" if homes else None


def _of_schedules(key: str, base: DictConfig, composer: Composer) -> str | None:
    """That the setting is one of schedules that are not chosen for the number before it, where it is."""
    node, _, inner = key.rpartition(".")
    names = composer.options(SCHEDULE) if node and takes_schedule(OmegaConf.select(base, node)) else []
    homes = [name for name in names if f"{SCHEDULE}.{inner}" in nodes(_option(composer, SCHEDULE, name))]
    return f"{key} is a setting of {SCHEDULE}@{node}={'|'.join(homes)}" if homes else None


def _option(composer: Composer, group: str, name: str) -> Any:
    """The plain config of an option by itself; nothing of one that needs others around it."""
    with contextlib.suppress(UserError):
        return OmegaConf.to_container(composer.option(group, name), resolve=False)
    return {}


def nodes(config: Any, key: str = "") -> list[str]:
    """The dotted names of all values and of all mappings that hold values."""
    inner = config.items() if isinstance(config, Mapping) else ()
    below = [name for part, value in inner for name in nodes(value, f"{key}.{part}" if key else str(part))]
    return [key, *below] if key else below


def _unknown(override: Override, known: set[str], composer: Composer) -> str:
    key, value = override.key_or_group, (override.input_line or "").partition("=")[2]
    return f"no setting called {shortened(key)}.{hint(key, value, known, composer.groups, composer.options)}"
