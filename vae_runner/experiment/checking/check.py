"""All mistakes of a composed config at once, before anything is built.

Each `_target_` node is compared with its target's signature: unknown, missing, ill-typed and out-of-range arguments,
and targets that cannot be imported. Arguments that follow from the data, or from other parts, are not in a config.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, cast, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_runner.callbacks.loggers.board import LoggerName, loggers_of, package_of
from vae_runner.callbacks.tensorboard import summary_writer
from vae_runner.datasets.reading.parallel import usable_cores
from vae_runner.datasets.split import SplitConfig
from vae_runner.engine import EngineConfig, choose_device
from vae_runner.errors import UserError, in_words, place_of
from vae_runner.experiment.checking.brightness import check_brightness
from vae_runner.experiment.checking.known_factors import check_factors
from vae_runner.experiment.checking.ranges import check_rates
from vae_runner.experiment.checking.scheduled import how_to_schedule, schedule_faults
from vae_runner.experiment.checking.terms import about_facts, check_terms, term_nodes
from vae_runner.experiment.scoring.wanted import EvaluationConfig, scores_fault, with_defaults
from vae_runner.experiment.spelling import did_you_mean
from vae_runner.foreign import dig, leaves
from vae_runner.objective.facts import FACTS
from vae_runner.signature import any_size, coerced, locate, mismatch, parameters

__all__ = ["FILLED", "GIVEN", "check", "shortened", "spaces_of"]

GROUPS = (
    *("dataset", "architecture.encoder", "architecture.decoder", "distribution", "divergence", "likelihood"),
    *("optimizer", "lr_schedule", "corruption", "augmentation"),
)

# What `assemble` hands to the target of each node; a config must not.
GIVEN: dict[str, frozenset[str]] = {
    "architecture.encoder": frozenset({"image_shape"}),
    "architecture.decoder": frozenset({"latent_dim", "image_shape"}),
    "divergence": FACTS,
    "likelihood": frozenset({"num_channels"}),
    "optimizer": frozenset({"params"}),
}
# What `assemble` fills in where the config leaves null.
FILLED: dict[str, frozenset[str]] = {"lr_schedule": frozenset({"steps"})}

LONG = 200  # characters of a value that is shown whole

ROOT: dict[str, Any] = {"seed": Annotated[int, any_size], "init_from": str | None, "resume": str | None, "trust": bool}
ROOT |= {"tags": str | int | Sequence[str | int] | None, "note": str | None}
ROOT |= {"logger": LoggerName | Sequence[LoggerName] | None}
LISTS = ("tags", "logger")  # of which one alone, or null, may be typed
LATER = frozenset({"init_from", "tags", "note", "logger"})  # which older runs have not
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_NODE_KEYS = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}


def check(cfg: DictConfig, to_train: bool = True, in_trial: bool = True) -> tuple[dict[str, Any], list[str]]:
    """Returns the config as plain containers, interpolations resolved, and a line for each mistake in it.

    A whole number written as 1e4 becomes an int where an int is wanted. Without mistakes the config can be assembled,
    as far as can be told without the data, and, where it is `to_train`, can learn; `in_trial` the optimiser has proved
    it in a step, which takes seconds.
    """
    try:
        missing = [f"{key} is not set; set {key}=..." for key in sorted(OmegaConf.missing_keys(cfg))]
        config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "config"
        return {}, [f"{key}: {str(error).splitlines()[0]}"]
    if missing:
        return config, missing
    roots = {*ROOT, "engine", "visualisation", "evaluation", *(group.split(".")[0] for group in GROUPS)}
    if absent := [f"{key} is missing; set {key}=..." for key in ROOT if key not in {*config, *LATER}]:
        return config, absent
    known = [*roots, *dict(leaves({key: config[key] for key in config if key in roots}))]
    problems = [_unknown(key, known) for key in config if key not in roots]
    parts = {"encoder", "decoder"}
    extra = [key for key in config.get("architecture") or {} if key not in parts]
    problems += [_unknown(f"architecture.{key}", (f"architecture.{part}" for part in parts)) for key in extra]
    problems += _check_values(config, "", ROOT)
    config |= {name: _listed(config[name]) for name in LISTS if name in config}
    problems += _check_engine(config)
    problems += _check_loggers(config) if to_train else []
    problems += _check_evaluation(config)
    for group in GROUPS:
        problems += _check_group(config, group)
    if not problems:
        problems += check_terms(config["divergence"], len(spaces_of(config["distribution"])))
        problems += check_factors(config)
        problems += check_rates(config, in_trial)
        problems += check_brightness(config, spaces_of(config["distribution"]).values()) if to_train else []
    for name, node in (config.get("visualisation") or {}).items():
        problems += _check_node(node, f"visualisation.{name}")
    return config, problems


def spaces_of(node: Any) -> dict[str, Any]:
    """The parts of a node that holds one for each latent space, by name and in order; one without a name else."""
    names = [f"space{number}" for number in range(len(node))] if isinstance(node, Mapping) else []
    return {name: node[name] for name in names} if names and set(names) == set(node) else {"": node}


def shortened(value: object) -> str:
    """The value as Python writes it, of a very long one the beginning."""
    text = repr(value)
    return text if len(text) <= LONG else f"{text[:LONG]}... ({len(text):,} characters)"


def _unknown(key: str, known: Iterable[str]) -> str:
    return f"no setting called {shortened(key)}.{did_you_mean(key, known)}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _check_engine(config: dict[str, Any]) -> list[str]:
    """Each field alone, and then all of them together."""
    node, problems = config.get("engine"), []
    if not isinstance(node, dict):
        return [f"engine: expected settings, got {node!r}"]
    hints = {name: hint for name, (_, hint) in parameters(EngineConfig).items()}
    problems += [f"engine.{name} is missing; set engine.{name}=..." for name in hints if name not in node]
    problems += [_unknown(f"engine.{key}", (f"engine.{name}" for name in hints)) for key in node if key not in hints]
    own = {
        name: hint for name, hint in hints.items() if name not in ("seed", "resume") or node.get(name) != config[name]
    }
    problems += _check_values(node, "engine", own)  # what only repeats the root's seed is judged there
    problems += _check_threads(node.get("threads"))
    if problems or _check_values(node, "engine", hints):
        return problems
    try:
        EngineConfig(**node)
        choose_device(node["device"])
    except (ValueError, UserError) as error:
        return [str(error)]
    return []


def _check_loggers(config: dict[str, Any]) -> list[str]:
    """Their packages have to be there before the run begins; what it has left is opened without them."""
    problems: list[str] = []
    wanted: list[Callable[[], Any]] = [partial(package_of, name) for name in loggers_of(config)]
    if dig(config, "engine", "tensorboard") is True:
        wanted.append(summary_writer)
    for find in wanted:
        try:
            find()
        except UserError as error:
            problems.append(str(error))
    return problems


def _check_evaluation(config: dict[str, Any]) -> list[str]:
    if "evaluation" not in config:  # the saved config of an older run
        return []
    node = config["evaluation"] = with_defaults(config["evaluation"])
    hints = {name: hint for name, (_, hint) in parameters(EvaluationConfig).items()}
    problems = [_unknown(f"evaluation.{key}", (f"evaluation.{name}" for name in hints)) for key in node.keys() - hints]
    if mismatch(node["scores"], hints.pop("scores")):
        problems.append(f"evaluation: expected auto, none or names of scores, got {_show(node['scores'])}")
    problems += _check_values(node, "evaluation", hints)
    return problems or list(filter(None, [scores_fault(node)]))


def _check_threads(threads: Any) -> list[str]:
    """Threads beyond the cores spin while they wait for each other: the run hardly moves."""
    most = usable_cores()
    if not isinstance(threads, int) or threads <= most:
        return []
    return [f"engine.threads={threads}: this process may use {most} core{'s' if most > 1 else ''}"]


def _check_group(config: dict[str, Any], group: str) -> list[str]:
    node: Any = config
    for part in group.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if group in ("corruption", "augmentation") and group not in config:  # the saved config of an older run
        return []
    if node is None:
        return [f"no {group} is chosen; set {group.replace('.', '/')}=..."]
    given, filled = GIVEN.get(group, frozenset()), FILLED.get(group, frozenset())
    if group == "divergence":
        return [line for term in term_nodes(node) for line in _check_node(term.node, term.key, given)]
    if group == "distribution":
        parts = spaces_of(node).items()
        return [line for name, part in parts for line in _check_node(part, f"{group}.{name}" if name else group)]
    if group != "dataset":
        return _check_node(node, group, given, filled)
    names = {field.name for field in fields(SplitConfig)}
    own = {key: value for key, value in node.items() if key in names}
    rest = {key: value for key, value in node.items() if key not in names}
    hints = {name: hint for name, (_, hint) in parameters(SplitConfig).items()}
    problems = _check_values(own, "dataset", hints) + _check_node(rest, "dataset", given, filled, also=names)
    node.update(own | rest)  # with whole numbers made ints
    return problems


def _check_node(
    node: Any,
    key: str,
    given: frozenset[str] = frozenset(),
    filled: frozenset[str] = frozenset(),
    also: Iterable[str] = (),
) -> list[str]:
    """Compare a `_target_` node, and the nodes inside it, with their targets' signatures."""
    if node == {}:
        return [f"{key} is empty: choose an option of its group"]
    if not isinstance(node, dict) or "_target_" not in node:
        return [f"{key}: expected an option of its group, got {node!r}"]
    try:
        accepted = parameters(locate(node["_target_"]))
    except Exception as error:  # whatever a module of the user's own does when it is imported
        reason = in_words(error) if place_of(error) else error
        return [f"{key}._target_: cannot import {node['_target_']!r}: {reason}"]
    open_ended = any(parameter.kind is Parameter.VAR_KEYWORD for parameter, _ in accepted.values())
    names = {name for name, (parameter, _) in accepted.items() if parameter.kind not in _VARIADIC} - given
    settable = {f"{key}.{name}" for name in {*names, *also}}
    values = {name: value for name, value in node.items() if name not in _NODE_KEYS}
    problems = []
    for name in values:
        if name in given and (name in accepted or open_ended):
            problems.append(f"{key}.{name} follows from the data and the other settings; it cannot be set")
        elif name not in names and not open_ended:
            problems.append(_unknown(f"{key}.{name}", settable))
    for name in sorted(names - values.keys() - filled):
        parameter = accepted[name][0]
        if parameter.default is parameter.empty and not node.get("_args_"):
            own = about_facts(node["_target_"]) if given is FACTS else ""
            problems.append(f"{key}.{name} is missing; set {key}.{name}=...{own}")
    said = {name for name in values if _is_said(values[name], accepted.get(name)) or _left_open(name, values, filled)}
    hints = {name: accepted[name][1] for name in values if name in names and name not in said}
    problems += _check_values(node, key, hints)
    for name, value in values.items():
        inner = _check_inner(value, f"{key}.{name}")
        problems += inner or schedule_faults(value, hints.get(name, Any), f"{key}.{name}")
    return problems


def _is_said(value: Any, accepted: tuple[Parameter, Any] | None) -> bool:
    """Whether the target itself offers such a value as its default, as some do that is not finite."""
    is_endless = isinstance(value, float) and not math.isfinite(value)
    return accepted is not None and is_endless and value == accepted[0].default


def _left_open(name: str, values: Mapping[str, Any], filled: frozenset[str]) -> bool:
    return name in filled and values[name] is None


def _check_inner(value: Any, key: str) -> list[str]:
    """The nodes inside a value: a schedule in a divergence, a list of spaces."""
    if isinstance(value, dict) and "_target_" in value:
        return _check_node(value, key)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [problem for name, item in items for problem in _check_inner(item, f"{key}.{name}")]


def _check_values(node: dict[str, Any], key: str, hints: Mapping[str, Any]) -> list[str]:
    """Types and ranges; whole numbers are made ints in `node` where ints are wanted."""
    problems = []
    for name, hint in hints.items():
        if name not in node:
            continue
        node[name] = coerced(node[name], hint)
        problem = mismatch(node[name], hint) or _homeless(node[name], hint)
        if problem:
            colon = ":" if problem.startswith("expected") else ""
            full = f"{key}.{name}" if key else name
            how = how_to_schedule(node[name], hint, full)
            problems.append(f"{full}{colon} {problem}, got {_show(node[name])}{how}")
    return problems


def _homeless(value: Any, hint: Any) -> str | None:
    """What is wrong with a path that begins with ~NAME, where nobody is called so."""
    if Path not in get_args(hint) or not isinstance(value, str):
        return None
    try:
        Path(value).expanduser()
    except RuntimeError:
        return "begins with the home folder of nobody here"
    return None


def _show(value: Any) -> str:
    """A value as the user wrote it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict) and "_target_" in value:
        return str(value["_target_"])
    return shortened(value)
