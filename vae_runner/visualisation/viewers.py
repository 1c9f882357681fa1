"""Walkers that stay where they are: the data, and its reconstructions, by all latent spaces together."""

import torch
from torch import Tensor

from vae_runner.auto_encoder import AutoEncoderBase, as_sample
from vae_runner.signature import enforced
from vae_runner.state import MODEL, Y_PRED, Y_RAW, State, StateKey
from vae_runner.visualisation.grid import Grid
from vae_runner.visualisation.walker import Count, LatentWalker, Phase, Scale, in_rows, titled

__all__ = ["DataViewer", "ReconstructionPairs", "ReconstructionViewer"]


@enforced
class DataViewer(LatentWalker):
    """The first images of the batch, as the model is given them."""

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
    """The reconstructions that are in the state, under `recon_key`."""

    def __init__(self, row_size: Count = 8, recon_key: StateKey = Y_PRED, phase: Phase = "validation") -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase)
        self.recon_key = recon_key

    def vis(self, state: State) -> Tensor:
        return state[self.recon_key]


@enforced
class ReconstructionPairs(LatentWalker):
    """Rows of input images, each over the row of its reconstructions, from the posterior's mean, with their nats."""

    def __init__(
        self, num_images: Count = 16, row_size: Count = 8, phase: Phase = "validation", scale: Scale = None
    ) -> None:
        super().__init__(same_image=False, row_size=row_size, phase=phase, scale=scale)
        self.num_images = num_images

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int]:
        rows, columns = in_rows(min(self.num_images, batch), self.row_size)
        return f"num_images={self.num_images}", 2 * rows, columns

    def vis(self, state: State) -> Tensor:
        images, decoded, _ = self._reconstructed(state)
        return _interleaved(images, decoded, self.row_size)

    def grid(self, state: State) -> Grid:
        images, decoded, nats = self._reconstructed(state)
        row_size = min(self.row_size, len(images))
        pairs = _interleaved(images, decoded, row_size)
        return Grid(
            _fill_rows(pairs, len(images), row_size),
            row_size,
            title=titled("reconstruction", state),
            caption=f"below each pair: -log p(x|z) in nats, mean {nats.mean():.1f}; z is the mean of q(z|x)",
            row_labels=["input", "output"] * -(-len(images) // row_size),
            tile_captions=_captions(nats, row_size),
            details={"nats": nats.tolist()},
        )

    def _reconstructed(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """The images, what they are decoded to (N, C, H, W), and -log p(x|z) of each, (N,) nats."""
        model, images = state[MODEL], state[self.data_key][: self.num_images]
        made: State = {}
        decoded = model.decode(as_sample(model.codes(images)), made)
        return images, decoded, model.likelihood.nll(made[Y_RAW], images)


def _interleaved(images: Tensor, decoded: Tensor, row_size: int) -> Tensor:
    """Rows of images, each over the row of its reconstructions."""
    rows = zip(images.split(row_size), decoded.split(row_size), strict=True)
    return torch.cat([part for pair in rows for part in pair])


def _captions(nats: Tensor, row_size: int) -> list[str]:
    """One for each image of the grid: nothing below inputs, the figure below outputs."""
    rows = ([f"{value:.1f}" for value in row.tolist()] for row in nats.split(row_size))
    return [text for row in rows for text in [""] * row_size + row]


def _fill_rows(images: Tensor, shown: int, row_size: int) -> Tensor:
    """Pairs of rows, the last pair filled with white where it is not complete: (even multiple of row_size, C, H, W)."""
    missing = -shown % row_size
    if not missing:
        return images
    blank = images.new_ones(missing, *images.shape[1:])
    last = shown % row_size
    return torch.cat([images[:-last], blank, images[-last:], blank])
