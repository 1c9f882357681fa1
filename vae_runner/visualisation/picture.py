"""What a config names under `visualisation`: a `Picture`, which looks at a `Scene` and makes `Drawing`s.

A picture runs in the training's thread, and takes from the model all that it needs; what it returns holds nothing of
the model any more, so that another thread can draw, encode and write it while the training goes on.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from vae_runner.auto_encoder import VAE, AutoEncoderBase
from vae_runner.datasets.base import ImageData
from vae_runner.drawing.encoded import Drawing
from vae_runner.errors import UserError
from vae_runner.state import State

__all__ = ["BATCH", "Past", "Phase", "Picture", "Scene", "check_space"]

BATCH = 256  # images that a picture sees
Phase = Literal["train", "validation"]


@dataclass(frozen=True)
class Past:
    """The weights of a step that a run has been at, in a file. Inside `put_in(model)` the model has them; they are read
    when it is entered, which raises `UserError` where they are not whole, or of another model.

    Example:
        >>> from contextlib import nullcontext
        >>> with Past(100, Path("last.pt"), nullcontext).put_in("the model") as model:
        ...     model
        'the model'
    """

    step: int
    file: Path
    put_in: Callable[[VAE], AbstractContextManager[object]]


@dataclass(frozen=True)
class Scene:
    """What a picture sees of a run.

    Args:
        step, total_steps: optimiser steps done, and those of the whole run.
        folder: the run's folder, with its logs and its history of grids.
        state: the state of the model's forward pass on the images that pictures of a split are made of.
        schedules: maps steps (N,) to the value of each schedule there, (N,).
        chosen: of a split the data set and the indices of the images that pictures show, so many or all.
        past: the steps of the run, besides the model's own, whose weights are there.

    Example:
        >>> scene = Scene(step=50, total_steps=200, folder=Path("run"), state=dict, schedules=dict)
        >>> scene.step / scene.total_steps  # of the run is done
        0.25
    """

    step: int
    total_steps: int
    folder: Path
    state: Callable[[Phase], State]
    schedules: Callable[[Tensor], dict[str, Tensor]]
    chosen: Callable[[Phase, int], tuple[ImageData, Tensor]] | None = None
    past: Callable[[], Sequence[Past]] = tuple


class Picture:
    """Base class: override `drawings`.

    Attributes:
        at_start: drawn before the first step rather than at every picture time.
        at_end: a page, which is made when the run ends.
        history: whether a copy of every step is kept.
        compares: whether weights of earlier steps are shown, and a run has to keep them.

    Example:
        >>> import torch
        >>> from vae_runner.visualisation.image_grid import Grid
        >>> class Progress(Picture):  # a square that gets brighter
        ...     def drawings(self, scene):
        ...         return [Grid(torch.full((1, 1, 8, 8), scene.step / scene.total_steps), row_size=1)]
        >>> Progress().drawings(Scene(50, 200, Path("run"), state=dict, schedules=dict))[0].images.mean()
        tensor(0.2500)
    """

    at_start: ClassVar[bool] = False
    at_end: ClassVar[bool] = False
    history: ClassVar[bool] = True
    compares: bool = False

    def prepare(self, model: VAE, data: ImageData) -> None:
        """Called once before training, with the model and the whole data set.

        Raises:
            UserError: one line that begins with the name of the argument, where the picture does not fit them.
        """

    def drawings(self, scene: Scene) -> list[Drawing]:
        """Returns what is to be written now."""
        raise NotImplementedError(f"{type(self).__name__} has no drawings")


def check_space(space_id: int | None, model: AutoEncoderBase) -> None:
    """Raises `UserError` where the model has no such latent space."""
    if space_id is not None and not 0 <= space_id < len(model.latent_dims):
        raise UserError(f"space_id: there is no latent space {space_id}, the model has {len(model.latent_dims)}")
