"""Walkers that stay where they are: the data, and its reconstructions, by all latent spaces together."""

import torch
from torch import Tensor

from vae_runner.auto_encoder import as_sample
from vae_runner.signature import enforced
from vae_runner.state import MODEL, STEP, Y_PRED, State, StateKey
from vae_runner.visualisation.grid import Grid
from vae_runner.visualisation.walker import Count, LatentWalker, Phase, mean_code

__all__ = ["DataViewer", "ReconstructionPairs", "ReconstructionViewer"]


@enforced
class DataViewer(LatentWalker):
    """The first images of the batch, as the model is given them."""

    def __init__(self, num_images: Count = 32, row_size: Count = 8, phase: Phase = "validation") -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase)
        self.num_images = num_images

    def vis(self, state: State) -> Tensor:
        return state[self.data_key][: self.num_images]

    def grid(self, state: State) -> Grid:
        return Grid(self.vis(state), self.row_size, title="data")


@enforced
class ReconstructionViewer(LatentWalker):
    """The reconstructions that are in the state, under `recon_key`."""

    def __init__(self, row_size: Count = 8, recon_key: StateKey = Y_PRED, phase: Phase = "validation") -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase)
        self.recon_key = recon_key

    def vis(self, state: State) -> Tensor:
        return state[self.recon_key]


@enforced
class ReconstructionPairs(LatentWalker):
    """Rows of input images, each over the row of its reconstructions, from the posterior's mean."""

    def __init__(self, num_images: Count = 16, row_size: Count = 8, phase: Phase = "validation") -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase)
        self.num_images = num_images

    def vis(self, state: State) -> Tensor:
        images = state[self.data_key][: self.num_images]
        decoded = state[MODEL].decode(as_sample(mean_code(state[MODEL], images)))
        rows = zip(images.split(self.row_size), decoded.split(self.row_size), strict=True)
        return torch.cat([part for pair in rows for part in pair])

    def grid(self, state: State) -> Grid:
        images = self.vis(state)
        shown = len(images) // 2
        row_size = min(self.row_size, shown)
        full_rows = -(-shown // row_size)
        return Grid(
            _fill_rows(images, shown, row_size),
            row_size,
            title=f"reconstruction, step {state[STEP]:,}",
            row_labels=["input", "output"] * full_rows,
        )


def _fill_rows(images: Tensor, shown: int, row_size: int) -> Tensor:
    """Pairs of rows, the last pair filled with white where it is not complete: (even multiple of row_size, C, H, W)."""
    missing = -shown % row_size
    if not missing:
        return images
    blank = images.new_ones(missing, *images.shape[1:])
    last = shown % row_size
    return torch.cat([images[:-last], blank, images[-last:], blank])
