"""Pages of a run that is done, on which its model can be tried: those pictures of a config that are `at_end`."""

import logging
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from torch import Tensor

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.pictures import LazyState, Pictures, chosen_images, picture_errors, picture_state
from vae_runner.datasets.base import ImageData
from vae_runner.datasets.split import Subset
from vae_runner.drawing.encoded import Drawing
from vae_runner.errors import UserError
from vae_runner.files import write_atomically
from vae_runner.randomness import isolated
from vae_runner.runs.names import page_file
from vae_runner.state import DEVICE, MODEL, STEP, State
from vae_runner.visualisation import Picture, Scene
from vae_runner.visualisation.picture import Phase

__all__ = ["chosen_images", "has_pages", "write_page", "write_pages"]

log = logging.getLogger(__name__)


def has_pages(callbacks: Iterable[Callback]) -> bool:
    """Returns whether the run has a page to write when it is done."""
    return any(_pages(callbacks))


def write_pages(engine: Training, callbacks: Iterable[Callback], folder: Path, model: VAE, step: int) -> None:
    """Write the pages of the run in the folder, of the weights of `model`, which are those of `step`. One that does not
    fit the model is told in a line.
    """
    with evaluating(model):
        scene = _scene(engine, folder, model, step)
        for name, picture in _pages(callbacks):
            try:
                with isolated(0, engine.device), picture_errors(name):
                    for drawing in picture.drawings(scene):
                        write_page(drawing, name, folder)
            except UserError as error:
                log.info("no %s: %s", page_file(name), error)


def write_page(drawing: Drawing, name: str, folder: Path) -> Path:
    """Write a drawing that is a page into the folder; returns its file."""
    file = folder / page_file(name)
    write_atomically(file, drawing.detached().encode().files[file.suffix])
    return file


def _pages(callbacks: Iterable[Callback]) -> Iterator[tuple[str, Picture]]:
    for callback in callbacks:
        if isinstance(callback, Pictures):
            yield from ((name, picture) for name, picture in callback.walkers.items() if picture.at_end)


def _scene(engine: Training, folder: Path, model: VAE, step: int) -> Scene:
    def subset(phase: Phase) -> Subset:
        return engine.train if phase == "train" else engine.validation

    @cache
    def state(phase: Phase) -> State:
        def read() -> State:
            return picture_state(model, subset(phase), step, engine.device, engine.corruption)

        return LazyState({MODEL: model, STEP: step, DEVICE: engine.device}, read)

    def chosen(phase: Phase, count: int) -> tuple[ImageData, Tensor]:
        return chosen_images(subset(phase), count)

    return Scene(step, engine.total_steps, folder, state, engine.schedules, chosen)
