"""What a walker is: from a model and a batch of images, both in the state, to a grid of decoded images.

Whoever runs a walker (`Pictures` in `callbacks`) does so in evaluation mode, without gradients and under a generator of
its own, so that training is the same with it and without it. A new one overrides `vis`, or `grid` to add labels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from vae_runner.auto_encoder import VAE
from vae_runner.errors import UserError
from vae_runner.state import State, StateKey, X
from vae_runner.visualisation.grid import Grid, save

__all__ = ["LatentWalker", "mean_code"]


class LatentWalker:
    """Base class: `vis` says which images, the methods `for_...`, `on_...` and `to_...` what of, when and where to.

    same_image   walk all latent dimensions from the same image; else each dimension has an image of its own
    row_size     images in each row; fewer images make a narrower grid
    """

    def __init__(self, same_image: bool, row_size: int) -> None:
        self.same_image = same_image
        self.row_size = row_size
        self.data_key: StateKey = X
        self.space_id = 0
        self.phase = "validation"
        self._file: str | Path | BinaryIO | None = None
        self._state_key: StateKey | None = None

    def for_data(self, data_key: StateKey) -> "LatentWalker":
        """Act on the images under that key of the state (default: X); returns self."""
        self.data_key = data_key
        return self

    def for_space(self, space_id: int) -> "LatentWalker":
        """Vary that latent space, of a model that has several (default: 0); returns self."""
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
        """Put the images (N, C, H, W) there in the state whenever the walker is called; returns self."""
        self._state_key = state_key
        return self

    def check(self, latent_dims: Sequence[int]) -> None:
        """Raises `UserError` where the walker does not fit a model with these latent spaces; before training starts."""
        if not 0 <= self.space_id < len(latent_dims):
            raise UserError(f"there is no latent space {self.space_id}, the model has {len(latent_dims)}")

    def vis(self, state: State) -> Tensor:
        """Returns the images to be shown, (N, C, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} has no vis")

    def grid(self, state: State) -> Grid:
        """Returns the images with their labels."""
        return Grid(self.vis(state), self.row_size)

    def __call__(self, state: State) -> Grid:
        """Make the grid, and put it where `to_file` and `to_key` said; returns it."""
        grid = self.grid(state)
        if self._state_key is not None:
            state[self._state_key] = grid.images
        if self._file is not None:
            save(grid, self._file)
        return grid


def mean_code(model: VAE, images: Tensor) -> list[Tensor]:
    """The posterior's mean of each image, (B, D), for each latent space."""
    return [posterior.mean for posterior in model.posteriors(images)]
