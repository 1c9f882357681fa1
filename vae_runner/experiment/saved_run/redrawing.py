"""The pictures of a saved run, drawn again from one of its checkpoints."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import OmegaConf
from torch import Tensor

from vae_runner.callbacks.pages import past_of, write_page
from vae_runner.callbacks.pictures import LazyState, chosen_images, picture_errors, picture_state, write_drawing
from vae_runner.datasets.base import ImageData
from vae_runner.drawing.encoded import Drawing, Encoded
from vae_runner.drawing.paper import Paper
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_objective
from vae_runner.experiment.building import build
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.run_callbacks import build_pictures
from vae_runner.experiment.saved_run.loading import Checkpoint, load
from vae_runner.experiment.saved_run.resume import check_targets, saved_config
from vae_runner.experiment.saved_run.saved import SavedRun
from vae_runner.files import remove_leftovers
from vae_runner.foreign import dig, read_json, whole
from vae_runner.objective import Objective
from vae_runner.randomness import isolated
from vae_runner.runs.names import ANIMATIONS, CONFIG, ENVIRONMENT, STATUS, page_file
from vae_runner.state import DEVICE, MODEL, STEP, State
from vae_runner.visualisation import Scene
from vae_runner.visualisation.picture import Phase

__all__ = ["checked_nodes", "redraw"]

log = logging.getLogger(__name__)

Nodes = dict[str, Any]


def checked_nodes(folder: Path, choose: Callable[[Nodes], Nodes], trust: bool = False) -> Nodes:
    """The nodes of the pictures to draw, of which `choose` makes those wanted from those that the run had.

    Raises `UserError` with a line for each mistake, and for a target outside vae_runner and torch unless `trust` is on.
    """
    cfg = saved_config(folder, {"engine.device": "auto", "engine.threads": None}, trust)  # of another machine, maybe
    saved = OmegaConf.to_container(cfg.get("visualisation") or OmegaConf.create({}), resolve=True)
    cfg.visualisation = choose(saved)  # type: ignore[arg-type]
    if not trust:
        check_targets(OmegaConf.to_container(cfg.visualisation), folder / CONFIG)
    config, problems = check(cfg, to_train=False)
    if problems:
        raise UserError("\n".join(problems))
    if not config["visualisation"]:
        raise UserError("no pictures to draw: name some, visualisation=[traversal,samples]")
    return config["visualisation"]


def redraw(
    folder: Path,
    nodes: Mapping[str, Any],
    checkpoint: Checkpoint | None,
    out: Path,
    device: str = "auto",
    trust: bool = False,
    root: str | None = None,
    pages: Path | None = None,
    paper: Paper | None = None,
) -> Iterator[Path]:
    """Draw the pictures that the nodes describe into `out`, those that are pages into `pages`, or lay them out for
    `paper`; yields each file when it is written. The images of the run are read, from `root` where it is given, if a
    picture shows them or what is made of them. Of what moves, and of pages, nothing is printed, and a warning says so;
    one also tells of a page among other pictures that does not fit the model.
    """
    run = load(folder, checkpoint, device, trust, root)
    remove_leftovers(out, (ANIMATIONS,))
    pictures = build_pictures(nodes, run.model, run.about_data)
    scene = _scene(run)
    for name, picture in pictures.items():
        if paper is not None and picture.at_end:
            log.warning("visualisation.%s: it is a page of its own, and is not printed", name)
            continue
        try:
            with torch.no_grad(), isolated(0, run.device), picture_errors(name):
                drawings = picture.drawings(scene)
        except UserError as error:
            if not picture.at_end or len(pictures) == 1:
                raise
            log.warning("no %s: %s", page_file(name), error)
            continue
        for drawing in _on_paper(drawings, name, paper):
            if picture.at_end:
                yield write_page(drawing, name, pages or out)
                continue
            into = out / ANIMATIONS if drawing.is_moving else out
            yield from write_drawing(drawing.detached(), name, [into], run.step, run.config["seed"])


@dataclass(frozen=True)
class Printed:
    """A drawing that is written as it is laid out for the paper."""

    drawing: Any
    paper: Paper

    is_moving: ClassVar[bool] = False

    @property
    def name(self) -> str | None:
        return self.drawing.name

    def encode(self) -> Encoded:
        return self.drawing.printed(self.paper)

    def detached(self) -> "Printed":
        return Printed(self.drawing.detached(), self.paper)


def _on_paper(drawings: Iterable[Drawing], name: str, paper: Paper | None) -> Iterator[Drawing]:
    for drawing in drawings:
        if paper is None:
            yield drawing
        elif hasattr(drawing, "printed"):
            yield Printed(drawing, paper)
        else:
            why = "moves" if drawing.is_moving else "has no `printed`"
            log.warning("visualisation.%s: %s %s, and is not printed", name, drawing.name or "it", why)


def _scene(run: SavedRun) -> Scene:
    """The run as pictures see it: the weights are the checkpoint's, logs and history those of the whole run."""
    status = read_json(run.folder / STATUS)

    @cache
    def state(phase: Phase) -> State:
        def read() -> State:
            subset = run.data[0 if phase == "train" else 1]
            return picture_state(run.model, subset, run.step, run.device, run.corruption)

        return LazyState({MODEL: run.model, STEP: run.step, DEVICE: run.device}, read)

    last = max(whole(status.get("step")) or 0, run.step)

    def chosen(phase: Phase, count: int) -> tuple[ImageData, Tensor]:
        return chosen_images(run.data[0 if phase == "train" else 1], count)

    total = max(whole(status.get("total_steps")) or 0, last)
    past = partial(past_of, run.folder, run.step)
    return Scene(last, total, run.folder, state, _schedules(run), chosen, past)


def _schedules(run: SavedRun) -> Callable[[Tensor], dict[str, Tensor]]:
    """As `Engine.schedules`, from the config and from what the run has noted of its images."""
    config = run.config

    @cache
    def objective() -> Objective:
        noted = whole(dig(read_json(run.folder / ENVIRONMENT), "data", "train"))
        return build_objective(config, run.image_shape, noted or len(run.data[0]))

    factor = build(config["lr_schedule"])
    return lambda steps: {**objective().scheduled_at(steps), "lr": config["optimizer"]["lr"] * factor(steps)}
