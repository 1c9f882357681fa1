"""Going on with a saved run: its saved config counts, and only what changes no figure may be set anew."""

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_runner.engine import EngineConfig
from vae_runner.errors import UserError
from vae_runner.files import has_aliases, read_json
from vae_runner.foreign import leaves
from vae_runner.paths import make_importable
from vae_runner.runs.names import CONFIG, ENVIRONMENT
from vae_runner.runs.read import such_as
from vae_runner.runs.words import images, shown
from vae_runner.signature import locate
from vae_runner.text import plain

__all__ = ["HARMLESS", "IMPORTED", "builds_no_more", "check_targets", "compare_configs", "compare_data"]
__all__ += ["needs_trust", "own_folders", "refuse_changes", "refuse_imported", "saved_config"]

# Settings that a resumed run may be given anew.
HARMLESS = frozenset(
    f"engine.{name}"
    for name in (
        "steps",
        "epochs",
        "device",
        "threads",
        "compile",
        "channels_last",
        "fast_convolutions",
        "keep_memory",
        "on_nonfinite",
        "log_every",
        "validate_every",
        "picture_every",
        "checkpoint_every",
        "progress",
        "tensorboard",
    )
) | {
    f"dataset.{name}" for name in ("root", "cache_dir", "store", "workers", "dataset.root")
}  # where the same images are, see below
HARMLESS |= {"tags", "note", "logger"}
HARMLESS |= {f"evaluation.{name}" for name in ("scores", "every", "inception")}
# Where the classes (and the functions of `divergence`) are defined that a saved config may name.
TRUSTED = ("torch.nn.", "torch.optim.", "torch.distributions.", "torchvision.transforms.")
TRUSTED += tuple(
    f"vae_runner.{name}."
    for name in (
        "architectures",
        "augmentation",
        "corruption",
        "datasets",
        "distributions",
        "divergence",
        "latent_frame",
        "latent_space",
        "learned_prior",
        "likelihood",
        "objective",
        "schedule",
    )
)
TRUSTED += ("vae_runner.visualisation.",)
FUNCTIONS = "vae_runner.divergence."
COUNTS = ("images", "train", "validation", "test")  # of environment.json's data
IMPORTED = "imported"  # in environment.json: what the weights of a run were taken from, where it was trained elsewhere
SPECIAL = {"_args_", "_partial_", "_convert_", "_recursive_"}  # keys of Hydra's that no saved part of ours has


def saved_config(folder: Path, changes: Mapping[str, Any], trust: bool) -> DictConfig:
    """The config of the run in `folder`, with the harmless `changes` (dotted key to value) made.

    Raises `UserError` where there is no run, where a change would make it another run, and where the config names a
    target outside vae_runner and torch and `trust` is off: what a config names is run.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise UserError(
            f"resume={shown(folder)}: no run there (no {CONFIG}); give the folder of a run{such_as(folder)}"
        )
    refuse_changes(changes)
    cfg = _read(file)
    plain_nodes = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain_nodes, dict)
    for name in ("engine", "dataset", *(key.partition(".")[0] for key in changes if "." in key)):
        if not isinstance(plain_nodes.get(name, {}), dict):
            raise UserError(f"{shown(file)}: {name}: expected settings, got {plain(repr(plain_nodes[name]))}")
    if trust:
        make_importable(*_own_folders(folder))
    else:
        check_targets(plain_nodes, file)
    for setting in fields(EngineConfig):  # of a run that was saved before there was this setting
        if f"engine.{setting.name}" in HARMLESS and setting.name not in cfg.get("engine", {}):
            OmegaConf.update(cfg, f"engine.{setting.name}", setting.default)
    for key, value in changes.items():
        OmegaConf.update(cfg, key, value)
    return cfg


def needs_trust(folder: Path) -> bool:
    """Whether the run there has parts from outside vae_runner and torch: to be asked of one's own run alone."""
    try:
        saved = OmegaConf.to_container(_read(folder / CONFIG), resolve=False)
    except UserError:
        return False
    return not all(_is_trusted(str(target)) for target in _targets(saved))


def builds_no_more(folder: Path, config: Any) -> bool:
    """Whether the run there would build nothing that the `config`, which is about to be built, does not build too."""
    try:
        saved = OmegaConf.to_container(_read(folder / CONFIG), resolve=False)
    except UserError:
        return False
    is_plain = not any(SPECIAL & set(key.split(".")) or "${" in str(value) for key, value in leaves(saved))
    return is_plain and set(map(str, _targets(saved))) <= set(map(str, _targets(config)))


def own_folders(config: Mapping[str, Any]) -> list[str]:
    """Where the modules of the user's are that a checked config names: neither installed nor Python's own."""
    standard = sysconfig.get_path("stdlib")
    found = []
    for target in _targets(config):
        top = sys.modules.get(str(target).partition(".")[0])
        places = [*getattr(top, "__path__", []), getattr(top, "__file__", None)]
        folder = os.path.dirname(places[0]) if places[0] else None  # noqa: PTH120 - "" where Path has "."
        if folder and top.__name__ != "vae_runner" and not folder.startswith(standard) and not _is_installed(folder):
            found.append(folder)
    return list(dict.fromkeys(found))


def _is_installed(folder: str) -> bool:
    return bool({"site-packages", "dist-packages"} & set(Path(folder).parts))


def _own_folders(run: Path) -> list[Path]:
    """The working folder, and those in which the run has found the user's modules, as environment.json has them."""
    noted = read_json(run / ENVIRONMENT).get("own_folders")
    names = [name for name in noted if isinstance(name, str)] if isinstance(noted, list) else []
    return [Path.cwd(), *map(Path, names)]


def refuse_changes(changes: Mapping[str, Any]) -> None:
    """Raises `UserError` where a change would make it another run."""
    if "init_from" in changes:
        raise UserError("init_from cannot be set on resume: the run has begun, and goes on from its own checkpoint")
    if refused := sorted(changes.keys() - HARMLESS):
        raise UserError(
            f"{', '.join(refused)} cannot be changed on resume: the run would be another. "
            f"resume=RUN takes the saved config, with {', '.join(sorted(HARMLESS))} as you like"
        )


def refuse_imported(folder: Path) -> None:
    """Raises `UserError` where the run's weights are another program's, which has not kept its optimiser's state."""
    if read_json(folder / ENVIRONMENT).get(IMPORTED):
        raise UserError(
            f"resume={shown(folder)}: it was imported, without the state of its optimiser, and cannot go on; "
            f"init_from={shown(folder)} begins a new run with its weights"
        )


def check_targets(node: Any, file: Path) -> None:
    """Raises `UserError` where a saved config would build something that it has no business to."""
    for target in _targets(node):
        if not _is_trusted(str(target)):
            raise UserError(
                f"{shown(file)} names the target {target!r}, outside vae_runner and torch; trust=true builds it"
            )
    for key, value in leaves(node):
        if SPECIAL & set(key.split(".")):
            raise UserError(f"{shown(file)} sets {key}, which says how a part is built; trust=true takes it")
        if "${" in str(value):  # this program writes plain values only
            raise UserError(f"{shown(file)} has {key}={value}, to be looked up elsewhere; trust=true looks it up")


def _read(file: Path) -> DictConfig:
    """A saved config, of plain values. Raises `UserError` with the reason where it is none."""
    try:
        if has_aliases(file.read_text()):
            raise ValueError("it refers to parts of itself")
        cfg = OmegaConf.load(file)
    except (OSError, ValueError, TypeError, OverflowError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"cannot read {shown(file)}: {' '.join(str(error).split())}") from error
    if not isinstance(cfg, DictConfig):
        raise UserError(f"{shown(file)} is not a run's config")
    return cfg


def _is_trusted(target: str) -> bool:
    """Whether it is a part of a model, made where it says: `vae_runner.files.os.system` starts well, and is not."""
    if not target.startswith(TRUSTED):
        return False
    try:
        found = locate(target)
    except ImportError:
        return True  # told by the check of the config
    origin = f"{getattr(found, '__module__', '')}."
    return origin.startswith(TRUSTED) and (isinstance(found, type) or origin.startswith(FUNCTIONS))


def compare_configs(saved: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises `UserError` where the checkpoint was made under another config than the run's, with each difference."""
    theirs, ours = dict(leaves(saved)), dict(leaves(config))
    skip = HARMLESS | {"engine.resume", "resume", "trust"}
    different = [
        f"checkpoint has {plain(key)} {plain(theirs.get(key, 'unset'))}, the config {plain(ours.get(key, 'unset'))}"
        for key in sorted((theirs.keys() | ours.keys()) - skip)
        if theirs.get(key) != ours.get(key)
    ]
    if different:
        raise UserError("; ".join(different) + f"; restore {CONFIG}, or start a new run")


def compare_data(before: Any, now: Mapping[str, Any]) -> None:
    """Raises `UserError` where the images are others than those of the run so far, as environment.json has them.

    Their pixels are compared; where one of the two decodes from the files and knows none, what the files contain; and
    which of them are of each part.
    """
    before = before if isinstance(before, Mapping) else {}  # a run that was killed early has not noted any
    by_pixels = before.get("store", True) and now.get("store", True)
    mark = "fingerprint" if by_pixels else "content"
    if before.get(mark) not in (None, now.get(mark)):
        places = [
            f"{word} {data['root']}" if "root" in data else "" for word, data in ((" in", now), (", from", before))
        ]
        raise UserError(
            f"the images{places[0]} are not those that the run was trained on{places[1]}; "
            "set dataset.root to where these are, or start a new run"
        )
    if before.get("parts") not in (None, now.get("parts")):
        raise UserError(
            f"other images than before are held back, now {images(*(now[name] for name in COUNTS))}; "
            "restore what the split depends on, such as a list of parts, or start a new run"
        )


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
