"""What a walker is: from a model and a batch of images, both in the state, to a grid of decoded images.

A walker that is called puts the model into evaluation mode and keeps no gradients; whoever runs it in a training
(`Pictures` in `callbacks`) does so under a generator of its own, so that training is the same with it and without it. A
new one overrides `vis`, or `grid` to add labels.

Codes are what a model's `encode` returns and its `decode` takes: (B, D) for one latent space, a tuple of them for
several. A walker varies all spaces, or the one that was chosen (`space_id`); then the others hold the codes of the
batch's images (a VAE's: the posterior's means), image i in sample or row i of the grid, and again from the first where
there are fewer images.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import AutoEncoderBase, as_sample, evaluating
from vae_runner.datasets.base import ImageData
from vae_runner.drawing.encoded import Drawing
from vae_runner.drawing.layout import check_size
from vae_runner.errors import UserError
from vae_runner.signature import Limit, non_negative, positive
from vae_runner.state import FACTORS, FOLLOWED, MODEL, POSTERIORS, STEP, State, StateKey, X
from vae_runner.visualisation.association import Follows, followed
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.picture import BATCH, Phase, Picture, Scene, check_space

__all__ = ["Count", "LatentWalker", "Phase", "Scale", "SpaceId", "as_lists", "decoded", "filled", "followed_of"]
__all__ += ["has_posteriors", "in_rows", "one_for_each", "posteriors_of", "titled"]

AT_ONCE = 1024  # codes that are decoded together: the layers of a network take more memory than its images
Count = Annotated[int, positive, Limit("must be at most 1,000,000", lambda value: value <= 1_000_000)]
SpaceId = Annotated[int, non_negative] | None
Scale = Annotated[int, positive] | None  # whole factor by which images are enlarged; None: a readable size


class LatentWalker(Picture):
    """Base class: `vis` says which images, the methods `for_...`, `on_...` and `to_...` what of, when and where to.

    Args:
        same_image: walk all latent dimensions from the same image; else each dimension has an image of its own.
        row_size: images in each row; fewer images make a narrower grid.
        space_id: the latent space that varies; None: all of them.
        phase: the split whose images the walker acts on.
        scale: whole factor by which images are enlarged; None: a readable size.

    Example:
        >>> class MeanImage(LatentWalker):
        ...     def vis(self, state):
        ...         return state[X].mean(0, keepdim=True)
        >>> MeanImage(same_image=True, row_size=1)({X: torch.rand(5, 1, 8, 8)}).images.shape
        torch.Size([1, 1, 8, 8])
    """

    def __init__(
        self,
        same_image: bool,
        row_size: int,
        space_id: SpaceId = None,
        phase: Phase = "validation",
        scale: Scale = None,
    ) -> None:
        self.same_image = same_image
        self.row_size = row_size
        self.data_key: StateKey = X
        self.space_id = space_id
        self.phase: Phase = phase
        self.scale = scale
        self._file: str | Path | BinaryIO | None = None
        self._state_key: StateKey | None = None

    def for_data(self, data_key: StateKey) -> "LatentWalker":
        """Act on the images under that key of the state (default: X); returns self."""
        self.data_key = data_key
        return self

    def for_space(self, space_id: int) -> "LatentWalker":
        """Vary that latent space, of a model that has several (default: all of them); returns self."""
        self.space_id = space_id
        return self

    def on_train(self) -> "LatentWalker":
        """Act on images of the training set; returns self."""
        self.phase = "train"
        return self

    def on_val(self) -> "LatentWalker":
        """Act on images of the validation set (default); returns self."""
        self.phase = "validation"
        return self

    def to_file(self, file: str | Path | BinaryIO) -> "LatentWalker":
        """Write the picture there whenever the walker is called; returns self."""
        self._file = file
        return self

    def to_key(self, state_key: StateKey) -> "LatentWalker":
        """Put the grid's images (N, C, H, W) there in the state whenever the walker is called; returns self."""
        self._state_key = state_key
        return self

    def prepare(self, model: AutoEncoderBase, data: ImageData) -> None:
        """Called once before training, with the model and the whole data set: `check`, and look up what is asked of the
        data.

        Raises:
            UserError: one line that begins with the name of the argument.
        """
        self.check(model)
        self.check_size(model, (min(len(data), BATCH), *data.image_shape))

    def check(self, model: AutoEncoderBase) -> None:
        """Raises `UserError` where the walker does not fit the model; the line begins with the name of the argument."""
        check_space(self.space_id, model)

    def check_size(self, model: AutoEncoderBase, shape: Sequence[int]) -> None:
        """Raises `UserError` where the grid made from a batch of that shape, (B, C, H, W), would be absurdly large."""
        if (size := self.grid_size(model, shape[0])) is not None:
            check_size(*size, shape[-2:], self.scale)

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int] | None:
        """Returns what is known of the grid before it is made of `batch` images: the setting that its size comes of,
        and its rows and columns at most. None where nothing is known.
        """
        return None

    def spaces(self, model: AutoEncoderBase) -> list[int]:
        """Returns the numbers of the latent spaces that vary."""
        return list(range(len(model.latent_dims))) if self.space_id is None else [self.space_id]

    def vis(self, state: State) -> Tensor:
        """Returns the images to be shown, (N, C, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} has no vis")

    def grid(self, state: State) -> Grid:
        """Returns the images with their labels."""
        return Grid(self.vis(state), self.row_size)

    def __call__(self, state: State) -> Grid:
        """Make the grid, in evaluation mode and without gradients, which are then as they were, and put it where
        `to_file` and `to_key` said; returns it.
        """
        with evaluating(state[MODEL]) if MODEL in state else torch.no_grad():
            if MODEL in state and self.data_key in state:
                self.check(state[MODEL])
                self.check_size(state[MODEL], state[self.data_key].shape)
            grid = self.grid(state)
        grid.images, grid.scale = grid.images.detach(), grid.scale or self.scale  # it may show what the state has
        if self._state_key is not None:
            state[self._state_key] = grid.images
        if self._file is not None:
            grid.save(self._file)
        return grid

    def drawings(self, scene: Scene) -> list[Drawing]:
        return [self(scene.state(self.phase))]


def posteriors_of(state: State, key: StateKey = X) -> tuple[Distribution, ...]:
    """Returns q(z|x) of the images under `key`, for each latent space: the state's own where it has them.

    Raises:
        UserError: where the model has none.
    """
    known = state.get(POSTERIORS) if key is X else None
    if known is None and not has_posteriors(state[MODEL]):
        raise UserError(f"model: {type(state[MODEL]).__name__} has no posteriors(x), of which this picture is made")
    return state[MODEL].posteriors(state[key]) if known is None else known


def has_posteriors(model: AutoEncoderBase) -> bool:
    """Returns whether the model has more to say of an image than its code."""
    return hasattr(model, "posteriors")


def followed_of(state: State, key: StateKey = X) -> list[list[Follows | None]]:
    """Returns the factor that each dimension follows over the images under `key`, [space][dimension]; found out once,
    where the state has the posteriors.
    """
    is_known = key is X and POSTERIORS in state
    if is_known and FOLLOWED in state:
        return state[FOLLOWED]
    found = [followed(posterior.mean, state.get(FACTORS) or {}) for posterior in posteriors_of(state, key)]
    if is_known:
        state[FOLLOWED] = found
    return found


def one_for_each(code: Tensor, count: int, same_image: bool = False) -> Tensor:
    """Returns the codes (count, D) that `count` rows start from, of those (B, D) of the batch: the first for all of
    them, or number i for row i, and again from the first where there are fewer.
    """
    return code[torch.arange(count, device=code.device) % (1 if same_image else len(code))]


def filled(varied: Mapping[int, Tensor], state: State, key: StateKey) -> list[Tensor]:
    """Returns the codes (N, D) of all latent spaces: those of the spaces that vary, and in any other the code of image
    i under `key` in row i, and again from the first where there are fewer.
    """
    model, count = state[MODEL], len(next(iter(varied.values())))
    if len(varied) == len(model.latent_dims):  # no image is needed
        return [varied[space] for space in range(len(varied))]
    held = model.codes(state[key][:count])
    return [varied.get(space, one_for_each(code, count)) for space, code in enumerate(held)]


def decoded(model: AutoEncoderBase, codes: Sequence[Tensor]) -> Tensor:
    """Returns the images (N, C, H, W) of the codes (N, D) of each latent space, decoded `AT_ONCE` at a time."""
    parts = [model.decode(as_sample(part)) for part in zip(*(code.split(AT_ONCE) for code in codes), strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def in_rows(count: int, row_size: int) -> tuple[int, int]:
    """Returns the rows and the columns of a grid of so many images."""
    columns = min(row_size, count)
    return -(-count // columns), columns


def titled(text: str, state: State) -> str:
    """Returns a picture's title: what it is, and the step where the state knows it."""
    return f"{text}, step {state[STEP]:,}" if STEP in state else text


def as_lists(codes: Sequence[Tensor]) -> list[list[list[float]]]:
    """Returns codes as plain lists, [space][sample][dimension], for the file beside a picture."""
    return [part.tolist() for part in codes]
