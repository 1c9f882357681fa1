"""Pictures at an interval: each picture's files, a copy in the history, and a JSON file beside it."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_runner.auto_encoder import VAE, Sample, evaluating
from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.writer import Writer
from vae_runner.corruption import Corruption
from vae_runner.datasets.base import ImageData
from vae_runner.datasets.split import Subset
from vae_runner.errors import ImagesError, UserError
from vae_runner.files import write_atomically
from vae_runner.randomness import isolated, permutation, seed_for
from vae_runner.runs.names import ANIMATIONS, HISTORY, of_step
from vae_runner.state import (
    DEVICE,
    FACTORS,
    MODEL,
    POSTERIORS,
    SPOILED,
    STEP,
    Y_PRED,
    Y_RAW,
    Y_TRUE,
    State,
    StateKey,
    X,
    posterior_key,
)
from vae_runner.visualisation import Drawing, Picture, Scene
from vae_runner.visualisation.picture import BATCH, Phase

__all__ = ["FIRST", "LazyState", "Pictures", "picture_errors", "picture_images", "picture_indices", "picture_state"]
__all__ += ["spoiled", "write_drawing"]

FIRST = 100  # steps after which the first pictures come at the latest


class Pictures(Callback):
    """Writes `NAME.png` (newest) and `history/NAME-STEP.png` into `folder`, for each of the named pictures, and moving
    ones into the folder `animations` beside it.

    Every picture is made of the same images of a split: the data set's own choice first, then others. They are made
    in evaluation mode and under generators of their own, so they change nothing of the training. Pictures of one split
    share a state, that of the model's forward pass: what one puts there (`to_key`), those behind it find. The training
    does not wait for their drawing and writing, but a checkpoint does.
    """

    def __init__(
        self, folder: str | Path, walkers: Mapping[str, Picture], every: int, writer: Writer | None = None
    ) -> None:
        self.folder, self.walkers, self.every = Path(folder), dict(walkers), every
        self.writer = writer or Writer()

    def on_start(self, engine: Training) -> None:
        self._draw(engine, at_start=True)

    def on_step(self, engine: Training, state: State) -> None:
        self.writer.check()

    def on_step_end(self, engine: Training, state: State) -> None:
        if self.is_due(engine):
            self.draw(engine)

    def on_interrupt(self, engine: Training) -> None:
        self.writer.flush()

    def on_end(self, engine: Training) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()

    def state_dict(self) -> dict[str, object]:
        """Nothing; but who asks is about to claim that this step is done, and so its pictures have to be."""
        self.writer.flush()
        return {}

    def is_due(self, engine: Training) -> bool:
        """Whether pictures are made at this step."""
        return engine.is_due(self.every) or engine.step == min(FIRST, self.every)

    def write(self, engine: Training) -> None:
        """Write all pictures of this step, now."""
        self.draw(engine)
        self.writer.flush()

    def draw(self, engine: Training) -> None:
        """Make all pictures of this step, and have them written."""
        self._draw(engine, at_start=False)

    def _draw(self, engine: Training, at_start: bool) -> None:
        step = 0 if at_start else engine.step
        with evaluating(engine.objective.model):
            scene = _scene(engine, self.folder.parent, step)
            for name, picture in self.walkers.items():
                if picture.at_start != at_start or picture.at_end:
                    continue
                with isolated(0, engine.device), picture_errors(name):
                    drawings = picture.drawings(scene)
                for drawing in drawings:
                    self.writer.submit(self._writing(name, picture, drawing.detached(), step, engine.config.seed))

    def _writing(self, name: str, picture: Picture, drawing: Drawing, step: int, seed: int) -> Callable[[], None]:
        folder = self.folder.parent / ANIMATIONS if drawing.is_moving else self.folder
        folders = [folder / HISTORY] * picture.history + [folder]
        return lambda: write_drawing(drawing, name, folders, step, seed) and None


@contextlib.contextmanager
def picture_errors(name: str) -> Iterator[None]:
    """What a picture refuses inside is told with its name in the config."""
    try:
        yield
    except ImagesError:
        raise
    except UserError as error:
        raise UserError(f"visualisation.{name}.{error}") from error


def write_drawing(drawing: Drawing, name: str, folders: list[Path], step: int, seed: int) -> list[Path]:
    """Write the drawing's files and their JSON file into the folders, of those called history only the PNG and with the
    step in its name; returns the files of the last folder.
    """
    with picture_errors(name):
        files, details = drawing.encode()
    record = {"picture": drawing.name or name, "step": step, "seed": seed, "range": [0, 1], **details}
    about = _as_lines(record)
    written: list[Path] = []
    for folder in folders:
        is_history = folder.name == HISTORY
        stem = folder / (of_step(name, step) if is_history else drawing.name or name)
        written = []
        for ending, data in files.items():
            if ending == ".png" or not is_history:
                written.append(stem.with_name(stem.name + ending))
                write_atomically(written[-1], data)
        if files:
            write_atomically(stem.with_name(stem.name + ".json"), about)
    return written


def _as_lines(record: Mapping[str, Any]) -> bytes:
    """JSON with a line for each key: with one for each number, Python takes ten times as long."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def picture_state(
    model: VAE, subset: Subset, step: int, device: torch.device, corruption: Corruption | None = None
) -> State:
    """What the model makes of the images that pictures of that split are made of, and what is known of them. Posteriors
    are those of the clean images; what is decoded comes from those that the `corruption` has spoiled.
    """
    indices = picture_indices(subset, BATCH)
    images = subset.data.gather(indices)
    state = _Forward({X: images, Y_TRUE: images, MODEL: model, STEP: step, DEVICE: device})
    state[FACTORS] = subset.data.factors(indices)
    with evaluating(model), isolated(0, device):
        state.sample = model.encode(images, state)
    state[POSTERIORS] = tuple(state[posterior_key(space)] for space in range(len(model.latent_dims)))
    if seen := spoiled(images, corruption):
        state.update(seen)
        with evaluating(model), isolated(0, device):
            state.sample = model.encode(state[SPOILED])
    return state


def spoiled(images: Tensor, corruption: Corruption | None) -> State:
    """What the state of a denoising run's pictures has besides: the model's input, always the same; else nothing."""
    with isolated(seed_for(0, "spoiled"), images.device):
        seen = images if corruption is None else corruption(images)
    return {} if seen is images else {SPOILED: seen}


class _Forward(dict[StateKey, Any]):
    """The state of a forward pass; `sample` is decoded when somebody asks for its images, which few pictures do."""

    sample: Sample

    def __missing__(self, key: StateKey) -> Any:
        if key not in (Y_PRED, Y_RAW):
            raise KeyError(key)
        with evaluating(self[MODEL]):
            self[Y_PRED] = self[MODEL].decode(self.sample, self)
        return self[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in (Y_PRED, Y_RAW)

    def get(self, key: StateKey, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default


class LazyState(dict[StateKey, Any]):
    """A state whose images, and what follows from them, are made when somebody asks for them: `known` is there."""

    def __init__(self, known: State, make: Callable[[], State]) -> None:
        super().__init__(known)
        self._make = make

    @cached_property
    def rest(self) -> State:
        """What is not known beforehand, made when first asked for."""
        return self._make()

    def __missing__(self, key: StateKey) -> Any:
        return self.rest[key]

    def __contains__(self, key: object) -> bool:
        """Of the images not, while nobody has asked for them: a walker looks at their size if they are at hand."""
        if super().__contains__(key) or (key is X and "rest" not in self.__dict__):
            return super().__contains__(key)
        return key in self.rest

    def get(self, key: StateKey, default: Any = None) -> Any:
        return super().get(key) if super().__contains__(key) else self.rest.get(key, default)


def picture_images(subset: Subset, count: int) -> Tensor:
    """The images that pictures are made of, (count or fewer, C, H, W): what of the showcase lies in the subset, then a
    choice of the others that is always the same. Of a set that knows the factors of its images, the whole showcase.
    """
    return subset.data.gather(picture_indices(subset, count))


def picture_indices(subset: Subset, count: int) -> Tensor:
    """The indices in the data set of the images that pictures are made of, (count or fewer,)."""
    showcase = torch.tensor(subset.data.showcase(), dtype=torch.int64, device=subset.indices.device)
    if not (
        len(showcase) and subset.data.factors(showcase)
    ):  # of one that was trained on, a validation picture would show too much
        showcase = showcase[torch.isin(showcase, subset.indices)]
    chosen = permutation(len(subset), seed_for(0, "pictures"))[: count + len(showcase)]
    others = subset.indices[chosen.to(subset.indices.device)]
    return torch.cat([showcase, others[~torch.isin(others, showcase)]])[:count]


def chosen_images(subset: Subset, count: int) -> tuple[ImageData, Tensor]:
    """The data set, and the indices of so many of the images that pictures are made of, or of all that there are."""
    return subset.data, picture_indices(subset, count)


def _scene(engine: Training, folder: Path, step: int) -> Scene:
    def subset(phase: Phase) -> Subset:
        return engine.train if phase == "train" else engine.validation

    @cache
    def state(phase: Phase) -> State:
        return picture_state(engine.objective.model, subset(phase), engine.step, engine.device, engine.corruption)

    def chosen(phase: Phase, count: int) -> tuple[ImageData, Tensor]:
        return chosen_images(subset(phase), count)

    return Scene(step, engine.total_steps, folder, state, engine.schedules, chosen)
