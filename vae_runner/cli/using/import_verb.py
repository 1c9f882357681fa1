"""`vae-use import`: weights of another program made into a run's folder, which all other commands take."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.precheck import Checked, composer, precheck
from vae_runner.console import warnings_to_stderr
from vae_runner.errors import UserError
from vae_runner.experiment.importing.disentangling_vae import IMAGES, Peer, read_peer, settings_of, steps_of
from vae_runner.experiment.importing.imported_run import imported_model, known_images, write_run
from vae_runner.experiment.provenance import describe_run
from vae_runner.experiment.using.placing import new_folder
from vae_runner.foreign import read_json
from vae_runner.output import to_stderr, to_stdout
from vae_runner.report import write_report
from vae_runner.runs.names import ENVIRONMENT
from vae_runner.runs.words import shown
from vae_runner.text import plain

__all__ = ["import_weights"]

KNOWN = "out, specs, dataset and dataset.SETTING"


@dataclass
class _Wish:
    """The weights, where the run goes, where `specs.json` is, and the settings of the images."""

    place: Path
    out: Path
    specs: Path | None = None
    dataset: list[str] = field(default_factory=list)


def import_weights(arguments: Sequence[str]) -> int:
    """Do what the command line behind the verb says; returns the exit code."""
    wish = _read(arguments)
    with warnings_to_stderr():
        new_folder(wish.out, overwrite=False)
        peer = read_peer(wish.place, wish.specs)
        settings, notes = settings_of(peer, wish.dataset)
        checked = _checked(settings, peer)
        model, note = imported_model(peer, checked.config)
        parts, missing = _images(peer, checked.config, bool(wish.dataset))
        choices = {
            group: option
            for group, option in checked.cfg.hydra.runtime.choices.items()
            if not group.startswith("hydra/") and option is not None
        }
        about = {"choices": choices, "commands": [shlex.join(["vae-use", "import", *arguments])]}
        write_run(wish.out, peer, model, checked.config, about, parts)
        write_report(wish.out)
    for line in filter(None, (*notes, note, missing)):
        to_stderr(f"warning: {line}")
    for line in _told(wish.out, peer, known=parts is not None):
        to_stdout(line)
    return 0


def _checked(settings: Sequence[str], peer: Peer) -> Checked:
    """The config. Raises `UserError` with what is wrong with it, of which some may stand in specs.json."""
    request = read_arguments(list(settings))
    with composer(request) as compose:
        try:
            return precheck(request, compose)
        except UserError as error:
            raise UserError(f"{error} (as {shown(peer.specs_file)} and the command line say)") from error


def _images(peer: Peer, config: Mapping[str, Any], is_named: bool) -> tuple[Any, str]:
    """The images, or a line about why there are none yet. Raises `UserError` where they were named and do not fit."""
    try:
        return known_images(peer, config), ""
    except UserError as error:
        if is_named:
            raise
        return None, f"images are not looked at: {error}; dataset.root=DIR says where they are, to all that shows some"


def _told(out: Path, peer: Peer, known: bool) -> list[str]:
    steps, epochs = steps_of(peer), plain(peer.specs.get("epochs"), 20)
    loss, name = plain(peer.specs.get("loss"), 40), str(peer.specs.get("dataset"))
    count = f"{IMAGES[name]:,} images of {name}" if name in IMAGES else f"images of {plain(name, 40)}"
    trained = f"loss {loss}, {epochs} epochs{f', {steps:,} steps' if steps else ''}, on all {count}: none is unseen"
    lines = [f"{shown(peer.file)}: {trained}"]
    if known:
        here = {"device": "", "precision": "", **read_json(out / ENVIRONMENT)}
        lines.append(describe_run(here).partition("    device ")[0])
    return [*lines, f"run   {shown(out)}    score it by: vae-evaluate {shown(out)} part=all"]


def _read(arguments: Sequence[str]) -> _Wish:
    """Take the command line apart. Raises `UserError` with a line for each mistake."""
    places, given, dataset, problems = list[str](), dict[str, str](), list[str](), list[str]()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if argument in ("--out", "--specs") and rest:
            name, equals, value = argument, "=", rest.pop(0)
        name = name.removeprefix("--")
        if equals and name in ("out", "specs"):
            problems += [f"{name} is given twice"] if name in given else []
            problems += [] if value else [f"{name}: expected a file or a folder, got ''"]
            given[name] = value
        elif equals and (name == "dataset" or name.startswith("dataset.")):
            dataset.append(argument)
        elif argument.startswith("-") or (equals and not os.path.exists(argument)):
            problems.append(f"{plain(name)} cannot be set for import; it takes {KNOWN}")
        else:
            places.append(argument)
    if len(places) != 1:
        problems.append("which weights? give one file, or the folder that it is in: vae-use import model.pt out=RUN")
    if "out" not in given:
        problems.append("where to? give out=RUN, a new folder")
    if problems:
        raise UserError("\n".join(problems))
    specs = Path(given["specs"]).expanduser() if "specs" in given else None
    return _Wish(Path(places[0]).expanduser(), Path(given["out"]).expanduser(), specs, dataset)
