"""Everything that is wrong with a command line, told before a folder is made or a job begun.

Hydra stops at the first mistake; here each setting is judged by itself first, then the composed config as a whole.
"""

import contextlib
import difflib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.arguments import CHOICES, WITH_VALUE, Request
from vae_runner.cli.composer import Composer, composer, one_line, without_hydra
from vae_runner.cli.hydra_settings import hydra_faults, plugin_hint, repeated
from vae_runner.cli.schedules import GROUP as SCHEDULE
from vae_runner.cli.schedules import judge_schedule, takes_schedule
from vae_runner.cli.typed import as_typed, hint_in
from vae_runner.errors import UserError
from vae_runner.experiment.check import check, did_you_mean, nearest, shortened

__all__ = ["Composer", "composer", "judge_choice", "judge_setting", "nodes", "parse", "precheck", "without_hydra"]

OPEN = ("hydra.job.env_set", "hydra.launcher", "hydra.sweeper", "hydra.callbacks")  # nodes that take any setting
FREE = ("dataset.dataset",)  # nodes whose arguments are those of whatever part they name
NULLABLE = ("experiment",)  # groups of which nothing need be chosen
JOBS = 10_000  # of a sweep
BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
COMBINATIONS = 50  # of a sweep's values that are composed and checked beforehand; each job checks its own again


def precheck(request: Request, composer: Composer) -> DictConfig:
    """Returns the composed config (of a sweep: of its first values, with Hydra's node for the sweep).

    Texts among the request's settings are put in quotes, as they were typed. Raises `UserError` with a line for each
    mistake.
    """
    problems: list[str] = []
    request.overrides[:] = _as_typed(request.overrides, composer)
    parsed = [override for argument in request.overrides if (override := parse(argument, composer, problems))]
    unread = {argument.lstrip("+~").partition("=")[0] for argument in request.overrides} - _keys(parsed)
    parsed = [override for override in parsed if not _report(_judge_values(override), problems)]
    choices = [override for override in parsed if _group(override, composer)]
    usable = [override for override in choices if not _report(judge_choice(override, composer), problems)]
    unread |= _keys(override for override in choices if override not in usable)
    base = composer.compose(_first_values(usable))
    known = nodes(OmegaConf.to_container(base, resolve=False))
    own = (name for name in known if not name.startswith("hydra"))
    names = {name for name in own if name.replace(".", "/") not in composer.groups} | composer.groups
    problems += [_about_dashes(name, value, names) for name, value in request.stray]
    for override in parsed:
        if override in choices or _lies_in_any(override.key_or_group, unread):
            continue
        problem = judge_setting(override, known, names, composer.groups)
        if problem:
            name = override.key_or_group
            problem = _of_others(name, composer) or _of_schedules(name, base, composer) or problem
        if not _report(problem, problems):
            usable.append(override)
    usable.sort(key=parsed.index)
    if not request.multirun:
        for override in usable:
            _report(_judge_single(override), problems)
    elif (jobs := math.prod(_count(override) for override in parsed)) > JOBS:
        raise UserError("\n".join(dict.fromkeys([*problems, f"these would be more than {JOBS:,} jobs"])))
    else:
        problems += repeated(parsed)
        if "hydra.run.dir" in _keys(parsed):
            problems.append("hydra.run.dir is for a single run; the folder of a sweep is hydra.sweep.dir")
    found = _check_combinations(usable, composer, request.multirun)
    problems += [line for line in found if not _is_about(line, unread)]  # which follows from what is told already
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    cfg = composer.compose(request.overrides, request.multirun)
    if faults := hydra_faults(cfg, request.multirun, jobs if request.multirun else 1):
        raise UserError("\n".join(faults))
    drawn = [override for override in parsed if override.value_type == ValueType.INTERVAL_SWEEP]
    if drawn and cfg.hydra.sweeper._target_ == BASIC:
        raise UserError(f"{drawn[0].input_line} is for sweepers that draw from it; give values or range(A,B,STEP)")
    return cfg


def _as_typed(arguments: Iterable[str], composer: Composer) -> list[str]:
    """The arguments, with quotes around the values of settings that are texts in what the choices come to."""
    quiet: list[str] = []
    parsed = [override for argument in arguments if (override := parse(argument, composer, quiet))]
    choices = [override for override in parsed if _group(override, composer) and not judge_choice(override, composer)]
    config: dict[str, Any] = {}
    with contextlib.suppress(UserError, HydraException, StopIteration):  # told where the choices are judged
        config = OmegaConf.to_container(composer.compose(_first_values(choices)), resolve=False)  # type: ignore[assignment]
    return [as_typed(text, hint_in(config, text.partition("=")[0]), composer.parse) for text in arguments]


def _keys(overrides: Iterable[Override]) -> set[str]:
    return {override.key_or_group for override in overrides}


def _lies_in_any(key: str, unread: Iterable[str]) -> bool:
    """Whether the setting is of a group whose choice could not be read, so that nobody knows it."""
    return any(key.startswith(f"{group.replace('/', '.')}.") for group in unread)


def _is_about(line: str, unread: Iterable[str]) -> bool:
    """Whether it is told that something is missing which was given, but could not be read."""
    return any(line.startswith((f"{key} is not set", f"{key} is missing")) for key in unread)


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
    if problem := judge_schedule(override):
        return problem
    group, name = override.key_or_group, override.get_key_element().lstrip("+")
    if override.is_delete():
        return None
    if (override.is_add() or override.is_force_add()) and not group.startswith("hydra/"):
        return f"{name} is chosen without +: {name}={override.get_value_string()}"
    options = composer.options(group)
    for value in _values(override):
        for option in value if isinstance(value, list) else [value]:
            if option is None and group not in NULLABLE:
                return f"{name}=null chooses nothing. Choices: {', '.join(options)}"
            if option is not None and option not in options:
                close = difflib.get_close_matches(str(option), options, 1)
                hint = plugin_hint(group, option) or (f" Did you mean {name}={close[0]}?" if close else "")
                return f"no {group} called {shortened(str(option))}.{hint} Choices: {', '.join(options)}"
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
    if override.key_or_group.startswith("hydra.sweeper."):
        return f"{override.key_or_group} is for --multirun"
    if not override.is_sweep_override():
        return None
    return f"{override.input_line} holds several values: add --multirun, or put quotes around a value that has commas"


def _judge_values(override: Override) -> str | None:
    """What is wrong with the list of values, counted without being kept: it has to have some, and not too many."""
    try:
        count = _count(override)
    except (HydraException, ValueError, TypeError) as error:
        return f"{override.input_line}: {one_line(error)}"
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


def _of_schedules(key: str, base: DictConfig, composer: Composer) -> str | None:
    """That the setting is one of schedules that are not chosen for the number before it, where it is."""
    node = key.rpartition(".")[0]
    names = composer.options(SCHEDULE) if node and takes_schedule(OmegaConf.select(base, node)) else []
    homes = [name for name in names if key in nodes(_composed(composer, f"{SCHEDULE}@{node}={name}"))]
    return f"{key} is a setting of {SCHEDULE}@{node}={'|'.join(homes)}" if homes else None


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
