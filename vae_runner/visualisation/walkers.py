"""Walkers through latent space: along its dimensions, and at random."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vae_runner.auto_encoder import VAE, as_sample
from vae_runner.errors import UserError
from vae_runner.randomness import isolated
from vae_runner.signature import enforced, positive
from vae_runner.state import MODEL, STEP, State
from vae_runner.visualisation.grid import Grid
from vae_runner.visualisation.walker import LatentWalker, mean_code

__all__ = ["LinSpaceWalker", "PriorSampler", "RandomWalker"]

Count = Annotated[int, positive]


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
            column_labels=[f"{round(value, 2) + 0.0:+.2f}" for value in values.tolist()],
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


def kl_per_dimension(model: VAE, images: Tensor, space_id: int) -> Tensor:
    """KL(q(z_d|x) || p(z_d)), the mean over the images, (D,), nats."""
    posterior, prior = model.posteriors(images)[space_id], model.priors()[space_id]
    return kl_divergence(posterior, prior.expand(posterior.batch_shape)).mean(0).cpu()


def _as_lists(codes: Sequence[Tensor]) -> list[list[list[float]]]:
    return [part.tolist() for part in codes]
