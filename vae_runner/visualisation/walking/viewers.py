"""Walkers that stay where they are: the data, and its reconstructions, by all latent spaces together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_runner.auto_encoder import AutoEncoderBase, as_sample
from vae_runner.signature import enforced
from vae_runner.state import MODEL, SPOILED, Y_PRED, Y_RAW, State, StateKey, X
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.walking.walker import Count, LatentWalker, Phase, Scale, in_rows, titled

__all__ = ["DataViewer", "ReconstructionPairs", "ReconstructionViewer"]


@enforced
class DataViewer(LatentWalker):
    """The first images of the batch, as the model is given them.

    Example:
        >>> DataViewer(num_images=2)({X: torch.rand(5, 1, 8, 8)}).images.shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self, num_images: Count = 32, row_size: Count = 8, phase: Phase = "validation", scale: Scale = None
    ) -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase, scale=scale)
        self.num_images = num_images

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int]:
        return f"num_images={self.num_images}", *in_rows(min(self.num_images, batch), self.row_size)

    def vis(self, state: State) -> Tensor:
        return state[self.data_key][: self.num_images]

    def grid(self, state: State) -> Grid:
        return Grid(self.vis(state), self.row_size, title="data")


@enforced
class ReconstructionViewer(LatentWalker):
    """The reconstructions that are in the state, under `recon_key`.

    Example:
        >>> ReconstructionViewer()({Y_PRED: torch.rand(5, 1, 8, 8)}).images.shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(self, row_size: Count = 8, recon_key: StateKey = Y_PRED, phase: Phase = "validation") -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase)
        self.recon_key = recon_key

    def vis(self, state: State) -> Tensor:
        return state[self.recon_key]


@enforced
class ReconstructionPairs(LatentWalker):
    """Rows of input images, each over the row of its reconstructions, from the posterior's mean, with their nats.

    Of a denoising run, whose state has `SPOILED`: the spoiled images, what is made of them, and the clean ones.

    Example:
        >>> ReconstructionPairs(num_images=16, row_size=8).grid_size(AutoEncoderBase(latent_dims=2), batch=256)
        ('num_images=16', 4, 8)
    """

    def __init__(
        self, num_images: Count = 16, row_size: Count = 8, phase: Phase = "validation", scale: Scale = None
    ) -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase, scale=scale)
        self.num_images = num_images

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int]:
        rows, columns = in_rows(min(self.num_images, batch), self.row_size)
        return f"num_images={self.num_images}", 2 * rows, columns

    def vis(self, state: State) -> Tensor:
        kinds, _ = self._reconstructed(state)
        return _interleaved(list(kinds.values()), self.row_size)

    def grid(self, state: State) -> Grid:
        kinds, nats = self._reconstructed(state)
        row_size = min(self.row_size, len(nats))
        spoiled = "spoiled" in kinds
        below = "below each three: -log p(x|z) in nats, x clean" if spoiled else "below each pair: -log p(x|z) in nats"
        return Grid(
            _interleaved([_filled(images, row_size) for images in kinds.values()], row_size),
            row_size,
            title=titled("reconstruction", state),
            caption=f"{below}, mean {nats.mean():.1f}; z is the mean of q(z|{'spoiled x' if spoiled else 'x'})",
            row_labels=[*kinds] * -(-len(nats) // row_size),
            tile_captions=_captions(nats, row_size, len(kinds)),
            details={"nats": nats.tolist()},
        )

    def _reconstructed(self, state: State) -> tuple[dict[str, Tensor], Tensor]:
        """Images (N, C, H, W) of each kind by its name, from above to below, and -log p(x|z) of each, (N,) nats."""
        model, images = state[MODEL], state[self.data_key][: self.num_images]
        spoiled = state.get(SPOILED) if self.data_key is X else None
        seen = images if spoiled is None else spoiled[: self.num_images]
        made: State = {}
        decoded = model.decode(as_sample(model.codes(seen)), made)
        clean = {} if spoiled is None else {"clean": images}
        kinds = {"input" if spoiled is None else "spoiled": seen, "output": decoded, **clean}
        return kinds, model.likelihood.nll(made[Y_RAW], images)


def _interleaved(kinds: Sequence[Tensor], row_size: int) -> Tensor:
    """A row of each kind of image, one below the other, and so on with their next rows."""
    blocks = zip(*(images.split(row_size) for images in kinds), strict=True)
    return torch.cat([row for block in blocks for row in block])


def _captions(nats: Tensor, row_size: int, kinds: int) -> list[str]:
    """One for each image of the grid: the figure below the last of so many kinds, nothing below the others."""
    rows = ([f"{value:.1f}" for value in row.tolist()] for row in nats.split(row_size))
    return [text for row in rows for text in [""] * row_size * (kinds - 1) + row]


def _filled(images: Tensor, row_size: int) -> Tensor:
    """The images, their last row filled up with white: (multiple of row_size, C, H, W)."""
    return torch.cat([images, images.new_ones(-len(images) % row_size, *images.shape[1:])])
