"""Everything that is wrong with a command line, told before a folder is made or a job begun.

Hydra stops at the first mistake; here each setting is judged by itself first, then the composed config as a whole. Of a
command line without mistakes two configs are composed, that of its choices alone, which tells what settings there are,
and that of all, which is checked and then trained. Of a sweep each value is composed and checked once, in a job.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import Override, ValueType
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.arguments import Request, name_of
from vae_runner.cli.composing.composer import Composer, composer, without_hydra
from vae_runner.cli.hydra_compat import BASIC
from vae_runner.cli.judging.hydra_settings import hydra_faults, repeated
from vae_runner.cli.judging.judge import (
    about_dashes,
    group_of,
    home_of,
    judge_choice,
    judge_setting,
    judge_single,
    judge_values,
    nodes,
    parse,
)
from vae_runner.cli.judging.typed import as_typed, hint_in
from vae_runner.cli.judging.values import JOBS, count, first_values, texts
from vae_runner.cli.searching.optuna_sweeper import OPTUNA
from vae_runner.cli.searching.search import search_settings
from vae_runner.cli.searching.search_faults import search_faults
from vae_runner.cli.searching.trials_setting import TRIALS, is_search
from vae_runner.cli.sweeping.jobs_setting import JOBS as AT_ONCE
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.inheritance import source_fault

__all__ = ["Checked", "Composer", "composer", "precheck", "without_hydra"]

COMBINATIONS = 50  # of a sweep's values that are composed and checked beforehand; each job checks its own again


@dataclass(frozen=True)
class Checked:
    """A command line that has no mistakes: what it is composed to, with Hydra's node, and what the check has made of
    that, plain and without it; of a sweep, of jobs in which each value is seen once.
    """

    cfg: DictConfig
    configs: list[dict[str, Any]]

    @property
    def config(self) -> dict[str, Any]:
        """Of a sweep, of its first job."""
        return self.configs[0]


def precheck(request: Request, composer: Composer) -> Checked:
    """Compose and check the request. Texts among its settings are put in quotes, as they were typed.

    Raises `UserError` with a line for each mistake.
    """
    base = composer.compose(first_values(_sound_choices(request.overrides, composer)))
    config = OmegaConf.to_container(base, resolve=False)
    assert isinstance(config, dict)
    request.overrides[:] = [
        as_typed(text, hint_in(config, text.partition("=")[0]), composer.parse) for text in request.overrides
    ]
    judged = _judge(request, base, composer)
    judged.problems += _judge_sweep(judged) if request.multirun else _judge_singles(judged)
    return _checked_sweep(request, judged, composer) if request.multirun else _checked_run(request, judged, composer)


@dataclass
class _Judged:
    """The settings that could be read, those of them that can be composed, the names of those that could not be read,
    and what is wrong.
    """

    parsed: list[Override] = field(default_factory=list)
    usable: list[Override] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def raise_if_any(self, found: Iterable[str] = ()) -> None:
        """Raises `UserError` with what is wrong, and what was found besides, where that does not follow from it."""
        problems = [*self.problems, *(line for line in found if not _is_about(line, self.unread))]
        if problems:
            raise UserError("\n".join(dict.fromkeys(problems)))


def _sound_choices(arguments: Iterable[str], composer: Composer) -> list[Override]:
    """The choices of options that can be read and made; what is wrong with the others is told by `_judge`."""
    quiet: list[str] = []
    parsed = [override for argument in arguments if (override := parse(argument, composer, quiet))]
    choices = [override for override in parsed if group_of(override, composer)]
    return [one for one in choices if not judge_values(one) and not judge_choice(one, composer)]


def _judge(request: Request, base: DictConfig, composer: Composer) -> _Judged:
    """Judge each setting by itself; `base` is composed of the choices alone."""
    judged = _Judged()
    problems = judged.problems
    read = [override for argument in request.overrides if (override := parse(argument, composer, problems))]
    judged.unread = {name_of(argument) for argument in request.overrides} - _keys(read)
    parsed = judged.parsed = [override for override in read if not _report(judge_values(override), problems)]
    choices = [override for override in parsed if group_of(override, composer)]
    wrong = [override for override in choices if _report(judge_choice(override, composer), problems)]
    judged.unread |= _keys(wrong)
    known = nodes(OmegaConf.to_container(base, resolve=False))
    own = (name for name in known if not name.startswith("hydra"))
    ours = {name for name in own if name.replace(".", "/") not in composer.groups}
    names = ours | composer.groups | {AT_ONCE, TRIALS}
    problems += [about_dashes(name, value, names, composer) for name, value in request.stray]
    for override in parsed:
        if override in choices:
            continue
        if _lies_in_any(override.key_or_group, judged.unread):
            wrong.append(override)
        elif problem := judge_setting(override, known, names, composer):
            key = override.key_or_group
            problems.append((key not in known and home_of(key, base, composer)) or problem)
            wrong.append(override)
    judged.usable = [override for override in parsed if override not in wrong]
    return judged


def _keys(overrides: Iterable[Override]) -> set[str]:
    return {override.key_or_group for override in overrides}


def _lies_in_any(key: str, unread: Iterable[str]) -> bool:
    """Whether the setting is of a group whose choice could not be read, so that nobody knows it."""
    return any(key.startswith(f"{group.replace('/', '.')}.") for group in unread)


def _is_about(line: str, unread: Iterable[str]) -> bool:
    """Whether it is told that something is missing which was given, but could not be read."""
    return any(line.startswith((f"{key} is not set", f"{key} is missing")) for key in unread)


def _report(problem: str | None, problems: list[str]) -> bool:
    if problem:
        problems.append(problem)
    return bool(problem)


def _judge_singles(judged: _Judged) -> list[str]:
    """What is wrong with settings in a single run."""
    resumes = bool({"resume", "engine.resume"} & _keys(judged.parsed))
    return [problem for override in judged.usable if (problem := judge_single(override, resumes))]


def _judge_sweep(judged: _Judged) -> list[str]:
    """What is wrong with settings in a sweep. Raises `UserError` where it would have too many jobs."""
    if _number_of_jobs(judged) > JOBS and not is_search(judged.parsed):
        judged.raise_if_any([f"these would be more than {JOBS:,} jobs"])
    problems = list(repeated(judged.parsed))
    if "hydra.run.dir" in _keys(judged.parsed):
        problems.append("hydra.run.dir is for a single run; the folder of a sweep is hydra.sweep.dir")
    return problems


def _number_of_jobs(judged: _Judged) -> int:
    return math.prod(count(override) for override in judged.parsed)


def _found(cfg: DictConfig, judged: _Judged) -> tuple[dict[str, Any], list[str]]:
    """What the check has made of a new run's config, and what is wrong with it.

    Where something is wrong already, an optimiser that nobody has changed is not tried, and the answer comes sooner.
    """
    changed = any(key.partition(".")[0] == "optimizer" for key in _keys(judged.usable))
    config, problems = check(cfg, in_trial=changed or not judged.problems)
    source = config.get("init_from")
    if isinstance(source, str) and config.get("resume") is None and (fault := source_fault(source)):
        problems.append(fault)
    return config, problems


def _checked_run(request: Request, judged: _Judged, composer: Composer) -> Checked:
    """The run that the settings come to. Raises `UserError` with all that is wrong."""
    try:
        cfg = composer.compose(first_values(judged.usable))
    except UserError as error:
        judged.raise_if_any([str(error)])
        raise
    config, found = _found(without_hydra(cfg), judged)
    judged.raise_if_any(composer.placed(found, _keys(judged.usable)))
    if faults := hydra_faults(cfg, multirun=False, jobs=1):
        raise UserError("\n".join(faults))
    return Checked(cfg, [config])


def _checked_sweep(request: Request, judged: _Judged, composer: Composer) -> Checked:
    """The sweep that the settings come to, with each value checked once, together with the first of all others.

    Raises `UserError` with all that is wrong.
    """
    configs, found = list[dict[str, Any]](), list[str]()
    hydra = first_values(override for override in judged.usable if override.is_hydra_override())
    for settings in itertools.islice(_jobs(judged.usable), COMBINATIONS):
        try:
            config, problems = _found(without_hydra(composer.compose_job(hydra, settings)), judged)
            configs.append(config)
            found += composer.placed(problems, _keys(judged.usable))
        except UserError as error:
            found.append(str(error))
    judged.raise_if_any(found)
    cfg = composer.compose(request.overrides, multirun=True)
    if faults := hydra_faults(cfg, multirun=True, jobs=_number_of_jobs(judged)):
        raise UserError("\n".join(faults))
    if cfg.hydra.sweeper._target_ == OPTUNA:
        if faults := search_faults(cfg, [composer.parse(text) for text in search_settings(cfg)], configs):
            raise UserError("\n".join(faults))
        return Checked(cfg, configs)
    drawn = [override for override in judged.parsed if override.value_type == ValueType.INTERVAL_SWEEP]
    if drawn and cfg.hydra.sweeper._target_ == BASIC:
        raise UserError(f"{drawn[0].input_line} is for sweepers that draw from it; give values or range(A,B,STEP)")
    return Checked(cfg, configs)


def _jobs(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """The settings of jobs in which each value is seen once, as the sweeper of all combinations writes them."""
    last = {override.get_key_element(): override for override in overrides if not override.is_hydra_override()}
    firsts = [next(texts(override, in_sweep=True)) for override in last.values()]
    yield firsts
    for position, override in enumerate(last.values()):
        for text in itertools.islice(texts(override, in_sweep=True), 1, COMBINATIONS):
            yield [*firsts[:position], text, *firsts[position + 1 :]]
