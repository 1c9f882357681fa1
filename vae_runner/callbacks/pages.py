"""Pages of a run that is done, on which its model can be tried: those pictures of a config that are `at_end`."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.checkpoints import MODELS, KeptWeights, kept_steps
from vae_runner.callbacks.non_fatal import NonFatal
from vae_runner.callbacks.pictures import LazyState, Pictures, chosen_images, picture_errors, picture_state
from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint
from vae_runner.datasets.base import ImageData
from vae_runner.datasets.split import Subset
from vae_runner.drawing.encoded import Drawing
from vae_runner.errors import UserError
from vae_runner.files import write_atomically
from vae_runner.foreign import whole
from vae_runner.randomness import isolated
from vae_runner.runs.names import BEST, CHECKPOINTS, HISTORY, LAST, PREVIOUS, page_file
from vae_runner.runs.words import shown
from vae_runner.state import DEVICE, MODEL, STEP, State
from vae_runner.visualisation import Picture, Scene
from vae_runner.visualisation.picture import Past, Phase

__all__ = ["chosen_images", "has_pages", "keepers", "past_of", "write_page", "write_pages"]

log = logging.getLogger(__name__)


def has_pages(callbacks: Iterable[Callback]) -> bool:
    """Returns whether the run has a page to write when it is done."""
    return any(_pages(callbacks))


def keepers(pictures: Pictures, folder: Path) -> list[Callback]:
    """Returns what keeps weights in a run's folder for a page that compares steps, if there is one."""
    is_compared = any(picture.compares for picture in pictures.walkers.values())
    return [NonFatal(KeptWeights(folder / CHECKPOINTS / HISTORY, pictures.is_due))] if is_compared else []


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


def past_of(folder: Path, step: int) -> list[Past]:
    """Returns the steps besides `step`, ascending, whose weights are in a run's folder: kept for a page that compares
    steps, or in a checkpoint. One that is not whole is told in a line.
    """
    files = kept_steps(folder / CHECKPOINTS / HISTORY)
    for file in (folder / CHECKPOINTS / name for name in (PREVIOUS, LAST, BEST)):
        try:
            if file.exists():
                files.setdefault(_read(file)["step"], file)
        except UserError as error:
            log.warning("%s", error)
    return [Past(one, file, partial(_put_in, file)) for one, file in sorted(files.items()) if one != step]


@contextlib.contextmanager
def _put_in(file: Path, model: VAE) -> Iterator[None]:
    """Inside, the model has the weights of the file. Raises `UserError` where they are not whole, or of another one."""
    weights = {name: value for name, value in _read(file)["objective"].items() if name.startswith(MODELS)}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        nn.ModuleDict({MODELS.rstrip("."): model}).load_state_dict(weights)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        model.load_state_dict(before)
        raise UserError(f"{shown(file)} has the weights of another model") from error
    try:
        yield
    finally:
        model.load_state_dict(before)


def _read(file: Path) -> dict[str, Any]:
    """The step and the weights that a file has. Raises `UserError` where it is not whole, or has something else."""
    try:
        return load_checkpoint(file, _fault)
    except BrokenCheckpointError as error:
        raise UserError(str(error)) from error


def _fault(content: Any) -> str | None:
    weights = content.get("objective") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or whole(content.get("step")) is None:
        return "has no step and weights"
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()):
        return "has weights that are no tensors by name"
    return None if all(value.isfinite().all() for value in weights.values()) else "has weights that are not finite"


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

    return Scene(step, engine.total_steps, folder, state, engine.schedules, chosen, partial(past_of, folder, step))
