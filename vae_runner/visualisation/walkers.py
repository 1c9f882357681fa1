"""Walkers: from a model and a batch of images, both in the state, to a grid of decoded images.

Whoever runs a walker (`Pictures` in `callbacks`) does so in evaluation mode, without gradients and under a generator of
its own, so that training is the same with it and without it. A new one overrides `vis`, or `grid` to add labels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, BinaryIO

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vae_runner.auto_encoder import VAE, as_sample
from vae_runner.errors import UserError
from vae_runner.randomness import isolated
from vae_runner.signature import enforced, positive
from vae_runner.state import MODEL, STEP, Y_PRED, State, StateKey, X
from vae_runner.visualisation.grid import Grid, save

__all__ = [
    "DataViewer",
    "LatentWalker",
    "LinSpaceWalker",
    "PriorSampler",
    "RandomWalker",
    "ReconstructionPairs",
    "ReconstructionViewer",
]

Count = Annotated[int, positive]


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


@enforced
class DataViewer(LatentWalker):
    """The first images of the batch, as the model is given them."""

    def __init__(self, num_images: Count = 32, row_size: Count = 8) -> None:
        super().__init__(same_image=False, row_size=row_size)
        self.num_images = num_images

    def vis(self, state: State) -> Tensor:
        return state[self.data_key][: self.num_images]

    def grid(self, state: State) -> Grid:
        return Grid(self.vis(state), self.row_size, title="data")


@enforced
class ReconstructionViewer(LatentWalker):
    """The reconstructions that are in the state, under `recon_key`."""

    def __init__(self, row_size: Count = 8, recon_key: StateKey = Y_PRED) -> None:
        super().__init__(same_image=False, row_size=row_size)
        self.recon_key = recon_key

    def vis(self, state: State) -> Tensor:
        return state[self.recon_key]


@enforced
class ReconstructionPairs(LatentWalker):
    """Rows of input images, each over the row of its reconstructions, from the posterior's mean."""

    def __init__(self, num_images: Count = 16, row_size: Count = 8) -> None:
        super().__init__(same_image=False, row_size=row_size)
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


@enforced
class LinSpaceWalker(LatentWalker):
    """One row for each walked dimension: its value goes from `lin_start` to `lin_end` in `lin_steps` steps.

    dims_to_walk   list of dimensions; None: all of them, the one with the largest KL first
    zero_init      dimensions that are not walked are 0; else they are what the encoder gives (the posterior's mean)
    same_image     walk every dimension from the first image; else dimension i from image i (again from the first where
                   there are fewer images than dimensions)
    """

    def __init__(
        self,
        lin_start: float = -1,
        lin_end: float = 1,
        lin_steps: Count = 8,
        dims_to_walk: Sequence[int] | None = (0,),
        zero_init: bool = False,
        same_image: bool = False,
    ) -> None:
        super().__init__(same_image=same_image, row_size=lin_steps)
        self.lin_start, self.lin_end, self.lin_steps = lin_start, lin_end, lin_steps
        self.dims_to_walk = None if dims_to_walk is None else list(dims_to_walk)
        self.zero_init = zero_init

    def check(self, latent_dims: Sequence[int]) -> None:
        super().check(latent_dims)
        size = latent_dims[self.space_id]
        if wrong := [dim for dim in self.dims_to_walk or () if not 0 <= dim < size]:
            raise UserError(f"dims_to_walk: {wrong[0]} is not one of the {size} latent dimensions, 0 to {size - 1}")

    def vis(self, state: State) -> Tensor:
        return self.grid(state).images

    def grid(self, state: State) -> Grid:
        model, images = state[MODEL], state[self.data_key]
        self.check(model.latent_dims)
        kl = kl_per_dimension(model, images, self.space_id)
        dims = self._dims(kl)
        values = torch.linspace(self.lin_start, self.lin_end, self.lin_steps, device=images.device)
        parts = [self._start(part, len(dims)) for part in mean_code(model, images)]
        walked = parts[self.space_id].repeat_interleave(self.lin_steps, 0)  # (dims * steps, D)
        rows = torch.arange(len(walked), device=images.device)
        walked[rows, torch.tensor(dims, device=images.device).repeat_interleave(self.lin_steps)] = values.repeat(
            len(dims)
        )
        codes = [
            walked if i == self.space_id else part.repeat_interleave(self.lin_steps, 0) for i, part in enumerate(parts)
        ]
        return Grid(
            model.decode(as_sample(codes)),
            self.lin_steps,
            title=f"latent traversal, step {state[STEP]:,}",
            caption="each row moves one latent, all others stay; nats: its KL, the information it carries",
            row_labels=[f"z{dim}   {kl[dim]:.2f} nats" for dim in dims],
            column_labels=[f"{value:+.2f}" for value in (values + 0.0).tolist()],
            details={"dims": dims, "values": values.tolist(), "kl_nats": kl.tolist(), "codes": _as_lists(codes)},
        )

    def _dims(self, kl: Tensor) -> list[int]:
        if self.dims_to_walk is not None:
            return self.dims_to_walk
        return kl.argsort(descending=True, stable=True).tolist()

    def _start(self, code: Tensor, count: int) -> Tensor:
        """The code (count, D) that each walked dimension starts from, of the codes (B, D) of the batch."""
        if self.zero_init:
            return torch.zeros(count, code.shape[1], device=code.device)
        chosen = torch.arange(count, device=code.device) % (1 if self.same_image else len(code))
        return code[chosen]


@enforced
class RandomWalker(LatentWalker):
    """Decoded random codes, the same at every call, so that pictures of two steps can be compared.

    var          variance (a number, or a tensor of one for each dimension)
    uniform      codes uniform in [-var, var) instead of normal with variance var
    """

    def __init__(
        self, var: float | Tensor = 1, num_images: Count = 32, uniform: bool = False, row_size: Count = 8
    ) -> None:
        super().__init__(same_image=False, row_size=row_size)
        self.var, self.num_images, self.uniform = var, num_images, uniform

    def vis(self, state: State) -> Tensor:
        return self.grid(state).images

    def grid(self, state: State) -> Grid:
        device = state[self.data_key].device
        codes = [self._codes(dims).to(device) for dims in state[MODEL].latent_dims]
        return Grid(
            state[MODEL].decode(as_sample(codes)),
            self.row_size,
            title=f"random codes, {'uniform' if self.uniform else 'normal'}, step {state[STEP]:,}",
            details={"codes": _as_lists(codes)},
        )

    def _codes(self, dims: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        var = torch.as_tensor(self.var, dtype=torch.get_default_dtype())
        if self.uniform:
            return (torch.rand(self.num_images, dims, generator=generator) * 2 - 1) * var
        return torch.randn(self.num_images, dims, generator=generator) * var.sqrt()


@enforced
class PriorSampler(LatentWalker):
    """Decoded samples of the model's own prior, all latent spaces together, the same codes at every call."""

    def __init__(self, num_images: Count = 32, row_size: Count = 8) -> None:
        super().__init__(same_image=False, row_size=row_size)
        self.num_images = num_images

    def vis(self, state: State) -> Tensor:
        return self.grid(state).images

    def grid(self, state: State) -> Grid:
        with isolated(0, state[self.data_key].device):
            codes = [prior.sample((self.num_images,)) for prior in state[MODEL].priors()]
        return Grid(
            state[MODEL].decode(as_sample(codes)),
            self.row_size,
            title=f"samples from the prior, step {state[STEP]:,}",
            details={"codes": _as_lists(codes)},
        )


def mean_code(model: VAE, images: Tensor) -> list[Tensor]:
    """The posterior's mean of each image, (B, D), for each latent space."""
    return [posterior.mean for posterior in model.posteriors(images)]


def kl_per_dimension(model: VAE, images: Tensor, space_id: int) -> Tensor:
    """KL(q(z_d|x) || p(z_d)), the mean over the images, (D,), nats."""
    posterior, prior = model.posteriors(images)[space_id], model.priors()[space_id]
    return _expanded_kl(posterior, prior).mean(0).cpu()


def _expanded_kl(posterior: Distribution, prior: Distribution) -> Tensor:
    return kl_divergence(posterior, prior.expand(posterior.batch_shape))


def _as_lists(codes: Sequence[Tensor]) -> list[list[list[float]]]:
    return [part.tolist() for part in codes]


def _fill_rows(images: Tensor, shown: int, row_size: int) -> Tensor:
    """Pairs of rows, the last pair filled with white where it is not complete: (even multiple of row_size, C, H, W)."""
    missing = -shown % row_size
    if not missing:
        return images
    blank = images.new_ones(missing, *images.shape[1:])
    last = shown % row_size
    return torch.cat([images[:-last], blank, images[-last:], blank])
