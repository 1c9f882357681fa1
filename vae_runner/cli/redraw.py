"""`vae-redraw`: the pictures of a saved run again, with other ranges, images and sizes, without training."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_runner.cli import exit_code_of
from vae_runner.cli.arguments import Request, read_arguments
from vae_runner.cli.few_settings import about_dashes, meant
from vae_runner.errors import UserError
from vae_runner.output import to_stdout
from vae_runner.runs.names import CONFIG, EXPLORER
from vae_runner.text import plain

__all__ = ["draw", "main", "run"]

HELP = """\
vae-redraw: draw the pictures of a saved run again, without training

usage:  vae-redraw RUN [checkpoint=best|last|previous] [visualisation=[NAME,...]] [visualisation.NAME.SETTING=VALUE ...]
                   [dataset.root=DIR] [engine.device=auto|cpu|cuda] [trust=true] [--out DIR] [--config-dir DIR]
                   [format=png|pdf|svg] [width=84mm] [text=8pt] [dpi=300] [title=false]

examples:
  vae-redraw outputs/latest                                          all pictures of the run, from its best weights
  vae-redraw outputs/latest visualisation=[traversal] visualisation.traversal.lin_end=3
  vae-redraw outputs/latest visualisation=[traversal] visualisation.traversal.images=3 visualisation.traversal.dead=hide
  vae-redraw outputs/latest visualisation=[samples] visualisation.samples.num_images=100 visualisation.samples.scale=4
  vae-redraw outputs/latest visualisation=[explore]                  the page on which the decoder runs
  vae-redraw outputs/latest visualisation=[explore] visualisation.explore.history=true      with a slider of steps
  vae-redraw outputs/latest visualisation=[animation] visualisation.animation.format=webp
  vae-redraw outputs/latest format=pdf width=84mm                    for a column of a paper, all texts of 8 pt
  vae-redraw outputs/latest visualisation=[path] visualisation.path.interpolation=spherical --out figures

RUN is a run's folder. A picture that the run had keeps the settings that it had there, any other has its defaults;
vae-train --help lists all pictures. Files go to RUN/redrawn, or to DIR, and their names are printed; explore.html goes
into RUN itself.
checkpoint: by default the best; where there is none that is whole, last, or previous, and a line says so.
dataset.root=DIR: where the run's images are now; pictures that show none of them, such as samples, need none.
format, width, text, dpi, title: any of them lays the pictures out for print: width=84mm (the default; mm, cm, in, pt,
px), as wide as a column; text=8pt, of all texts at that width; title=true: with title and footnote; format=png (the
default), at dpi=300, or pdf or svg, whose images keep their pixels, at most dpi=N to the inch. What moves and
explore.html are left out.
trust=true: build parts from outside vae_runner and torch that the saved config names.
Exit codes: 0 done, 1 failed, 2 a mistake in the request, 141 nobody reads what is printed."""
GROUP = "visualisation"


@dataclass
class Wish:
    """What is to be drawn, of which run, and where to."""

    folder: Path
    request: Request  # its overrides are those of the group alone
    checkpoint: Any = None  # the best one that there is
    device: str = "auto"
    trust: bool = False
    root: str | None = None  # where the images are
    out: Path | None = None
    paper: Any = None  # what is printed on


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. HYDRA_FULL_ERROR=1 in the environment shows tracebacks."""
    return exit_code_of("vae-redraw", lambda: _command(arguments))


def _command(arguments: list[str]) -> int:
    if {"--help", "-h"} & set(arguments):
        print(HELP)
        return 0
    if "--version" in arguments:
        from vae_runner import __version__

        print(f"vae-redraw {__version__}")
        return 0
    return draw(arguments)


def draw(arguments: list[str]) -> int:
    """Draw what the command line asks for; returns 0. Raises `UserError` with all that is wrong with it."""
    return _redraw(_wish(arguments))


def _wish(arguments: list[str]) -> Wish:
    """Take the command line apart. Raises `UserError` with all that is no setting of a picture."""
    from vae_runner.drawing.paper import SETTINGS

    out, rest = _take_out(arguments)
    request = read_arguments(rest)
    folders = [argument for argument in request.overrides if "=" not in argument]
    own = {"checkpoint": "", "engine.device": "auto", "trust": "false", "dataset.root": ""}
    known = (GROUP, *own, *SETTINGS)
    dashed = [*request.stray, *((flag, "") for flag in request.flags if flag != "--config-dir")]
    problems = [about_dashes(name, value, known, "vae-redraw") for name, value in dashed]
    given, settings = _sorted(request.overrides, own, problems)
    own |= given
    if len(folders) != 1:
        problems.append("give the folder of one run: vae-redraw outputs/latest")
    for name, choices in {"checkpoint": ("best", "last", "previous"), "trust": ("true", "false")}.items():
        if own[name].lower() not in choices and name in given:
            problems.append(f"{name}: expected one of {', '.join(choices)}, got '{own[name]}'")
    paper = _paper(given, problems)
    if problems:
        raise UserError("\n".join(problems))
    request.overrides = settings
    trust = own["trust"].lower() == "true"
    if "dataset.root" in given and not own["dataset.root"]:
        raise UserError("dataset.root= names no folder; give dataset.root=DIR")
    checkpoint, root = own["checkpoint"].lower() or None, own["dataset.root"] or None
    return Wish(Path(folders[0]), request, checkpoint, own["engine.device"], trust, root, out, paper)


def _sorted(overrides: Sequence[str], own: Mapping[str, str], problems: list[str]) -> tuple[dict[str, str], list[str]]:
    """The settings of the program itself by their names, and those of pictures; a problem for any other."""
    from vae_runner.drawing.paper import SETTINGS

    given, of_pictures = {}, []
    for argument in overrides:
        name, equals, value = argument.partition("=")
        if equals and name in given:
            problems.append(f"{name} is given twice")
        elif equals and name in (*own, *SETTINGS):
            given[name] = value
        elif equals and name.lstrip("+~").split(".")[0] == GROUP:
            of_pictures.append(argument)
        elif equals:
            known = ", ".join([f"{GROUP}...", *own, *SETTINGS])
            problems.append(
                f"{name} cannot be set: only pictures are made anew ({known}).{meant(name, (*own, *SETTINGS))}"
            )
    return given, of_pictures


def _paper(given: Mapping[str, str], problems: list[str]) -> Any:
    """What the pictures are to be printed on, None where that is not asked for."""
    from vae_runner.drawing.paper import SETTINGS, read_paper

    try:
        return read_paper({name: value for name, value in given.items() if name in SETTINGS})
    except UserError as error:
        problems.append(str(error))
        return None


def _take_out(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The folder behind --out, and the other arguments."""
    rest, out = list(arguments), None
    if sum(argument.partition("=")[0] == "--out" for argument in arguments) > 1:
        raise UserError("--out is given twice")
    for index, argument in enumerate(arguments):
        if argument == "--out":
            if index + 1 == len(arguments):
                raise UserError("--out needs a folder: --out DIR")
            out, rest = Path(arguments[index + 1]), arguments[:index] + arguments[index + 2 :]
        elif argument.startswith("--out="):
            out, rest = Path(argument.removeprefix("--out=")), arguments[:index] + arguments[index + 1 :]
    return out, rest


def _redraw(wish: Wish) -> int:
    if not (wish.folder / CONFIG).is_file():
        from vae_runner.runs.read import such_as

        raise UserError(
            f"{plain(wish.folder)}: no run there (no {CONFIG}); give the folder of a run{such_as(wish.folder)}"
        )
    from vae_runner.cli.process.own_share import own_share
    from vae_runner.console import warnings_to_stderr
    from vae_runner.engine import choose_device
    from vae_runner.experiment.saved_run.redrawing import checked_nodes, redraw
    from vae_runner.report import write_report

    if wish.device not in ("auto", "cpu", "cuda"):
        raise UserError(f"engine.device: expected one of auto, cpu, cuda, got '{wish.device}'")
    choose_device(wish.device)
    nodes = checked_nodes(wish.folder, lambda saved: _chosen(wish.request, saved), wish.trust)
    out, pages = wish.out or wish.folder / "redrawn", wish.out or wish.folder
    with own_share(), warnings_to_stderr():
        made = redraw(wish.folder, nodes, wish.checkpoint, out, wish.device, wish.trust, wish.root, pages, wish.paper)
        for file in made:
            to_stdout(file)
            if file == wish.folder / EXPLORER:
                write_report(wish.folder)  # which leads there
    return 0


def _chosen(request: Request, saved: dict[str, Any]) -> dict[str, Any]:
    """The nodes of the pictures asked for: the run's own, or the options named, with the settings made.

    Raises `UserError` with a line for each mistake.
    """
    from omegaconf import OmegaConf

    from vae_runner.cli.composing.composer import composer, without_hydra
    from vae_runner.cli.judging.judge import judge_choice, judge_setting, nodes, parse

    problems: list[str] = []
    with composer(request) as compose:
        parsed = [override for one in request.overrides if (override := parse(one, compose, problems))]
        problems += [
            f"{one.input_line} holds several values: put brackets around a list, quotes around a value with commas"
            for one in parsed
            if one.is_sweep_override()
        ]
        choices = [override for override in parsed if override.key_or_group == GROUP]
        problems += [problem for choice in choices if (problem := judge_choice(choice, compose))]
        if problems:
            raise UserError("\n".join(problems))
        there = ",".join(name for name in saved if name in compose.options(GROUP))
        composed = without_hydra(compose.compose([str(choices[-1].input_line) if choices else f"{GROUP}=[{there}]"]))
        named: Any = OmegaConf.to_container(OmegaConf.create(composed.get(GROUP) or {}))
        drawn = {name: _grown(saved.get(name), node) for name, node in named.items()}
        base = OmegaConf.create(drawn if choices else saved | drawn)
        known = nodes({GROUP: OmegaConf.to_container(base)})
        for override in parsed:
            if override in choices:
                continue
            if problem := judge_setting(override, known, set(known), compose):
                problems.append(problem)
            else:
                OmegaConf.update(base, override.key_or_group.removeprefix(f"{GROUP}."), override.value())
    if problems:
        raise UserError("\n".join(problems))
    return OmegaConf.to_container(base)  # type: ignore[return-value]


def _grown(own: Any, node: Any) -> Any:
    """A picture as the run had it, with the defaults of settings that there were none of when it was trained."""
    is_alike = isinstance(own, Mapping) and own.get("_target_") == node.get("_target_")
    return {**node, **own} if is_alike else node if own is None else own


if __name__ == "__main__":
    main()
