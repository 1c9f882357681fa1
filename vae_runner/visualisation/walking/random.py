"""Walkers that decode random codes, the same at every call, so that pictures of two steps can be compared."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import AutoEncoderBase
from vae_runner.errors import UserError
from vae_runner.randomness import isolated, seed_for
from vae_runner.signature import Limit, enforced
from vae_runner.state import MODEL, State
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.walking.priors import family, on_whole_line, why_not
from vae_runner.visualisation.walking.walker import (
    Count,
    LatentWalker,
    Phase,
    Scale,
    SpaceId,
    as_lists,
    decoded,
    filled,
    in_rows,
    titled,
)

__all__ = ["PriorSampler", "RandomWalker"]


def _is_variance(value: float | Tensor | Sequence[float]) -> bool:
    var = torch.as_tensor(value)
    return var.numel() > 0 and bool((var >= 0).all())


finite = Limit("must be finite", lambda value: bool(torch.as_tensor(value).isfinite().all()))
variance = Limit("must not be negative", _is_variance, finite)
Variance = Annotated[float, variance] | Annotated[Tensor, variance] | Annotated[Sequence[float], variance]


class Sampler(LatentWalker):
    """Base class: `num_images` codes, from `draw` in a space that varies, of the batch's images in any other."""

    def __init__(
        self, num_images: int, row_size: int, space_id: int | None, phase: Phase, scale: int | None = None
    ) -> None:
        super().__init__(False, row_size, space_id, phase, scale)
        self.num_images = num_images

    def draw(self, prior: Distribution) -> Tensor:
        """Returns random codes (num_images, D) for a space of that prior, from the global generators."""
        raise NotImplementedError(f"{type(self).__name__} has no draw")

    def title(self, priors: Sequence[Distribution]) -> str:
        """Returns what the codes are, of spaces with these priors that vary."""
        raise NotImplementedError(f"{type(self).__name__} has no title")

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int]:
        return f"num_images={self.num_images}", *in_rows(self.num_images, self.row_size)

    def vis(self, state: State) -> Tensor:
        return self.grid(state).images

    def grid(self, state: State) -> Grid:
        model = state[MODEL]
        self.check(model)
        priors = {space: model.priors()[space] for space in self.spaces(model)}
        drawn = {}
        for space, prior in priors.items():
            with isolated(seed_for(0, "random codes", space), prior.mean.device):
                drawn[space] = self.draw(prior)
        codes = filled(drawn, state, self.data_key)
        return Grid(
            decoded(model, codes),
            self.row_size,
            title=titled(self.title(list(priors.values())), state),
            details={"codes": as_lists(codes)},
        )


@enforced
class RandomWalker(Sampler):
    """Decoded random codes of a chosen variance; those of a space whose prior does not cover the whole line, such as an
    exponential's, or is learned, are drawn from this prior instead.

    Args:
        var: variance (a number, or one for each dimension); refused where no space takes notice of it.
        uniform: codes uniform in [-var, var) instead of normal with variance var.
        space_id: the space that varies, the others hold the codes of the batch's images; None: all of them.

    Example:
        >>> model = AutoEncoderBase(latent_dims=1)
        >>> model.decode = lambda code: code.view(-1, 1, 1, 1)  # one pixel, as bright as its code
        >>> images = RandomWalker(var=4, num_images=10_000)({MODEL: model}).images
        >>> round(images.std().item(), 1)
        2.0
    """

    def __init__(
        self,
        var: Variance = 1,
        num_images: Count = 32,
        uniform: bool = False,
        row_size: Count = 8,
        space_id: SpaceId = None,
        phase: Phase = "validation",
        scale: Scale = None,
    ) -> None:
        super().__init__(num_images, row_size, space_id, phase, scale)
        self.var = var if isinstance(var, Tensor) else torch.tensor(var, dtype=torch.get_default_dtype())
        self.uniform = uniform

    def check(self, model: AutoEncoderBase) -> None:
        super().check(model)
        priors = [model.priors()[space] for space in self.spaces(model)]
        free = [prior for prior in priors if on_whole_line(prior)]
        changed = "uniform" if self.uniform else "var" if bool((self.var != 1).any()) else None
        if changed and not free:
            names = ", ".join(dict.fromkeys(map(family, priors)))
            raise UserError(
                f"{changed}: codes are drawn from the prior {names}, {why_not(priors[0])}; "
                "leave var=1 and uniform=false"
            )
        for prior in free:
            if self.var.dim() > 1 or self.var.numel() not in (1, len(prior.mean)):
                raise UserError(f"var: {self.var.numel()} numbers for a latent space of {len(prior.mean)} dimensions")

    def draw(self, prior: Distribution) -> Tensor:
        if not on_whole_line(prior):
            return prior.sample((self.num_images,))
        mean, var = prior.mean, self.var.to(prior.mean)
        shape = (self.num_images, len(mean))  # drawn on the CPU: the same codes on every device
        if self.uniform:
            return (torch.rand(shape) * 2 - 1).to(mean) * var
        return torch.randn(shape).to(mean) * var.sqrt()

    def title(self, priors: Sequence[Distribution]) -> str:
        free = "uniform" if self.uniform else "normal"
        kinds = dict.fromkeys(free if on_whole_line(prior) else "of the prior" for prior in priors)
        return f"random codes, {' and '.join(kinds)}"


@enforced
class PriorSampler(Sampler):
    """Decoded samples of the model's own prior.

    Args:
        space_id: the space that varies, the others hold the codes of the batch's images; None: all of them.

    Example:
        >>> model, sampler = AutoEncoderBase(latent_dims=1), PriorSampler(num_images=100)
        >>> model.decode = lambda code: code.view(-1, 1, 1, 1)  # one pixel, as bright as its code
        >>> torch.equal(sampler({MODEL: model}).images, sampler({MODEL: model}).images)  # the same at every step
        True
    """

    def __init__(
        self,
        num_images: Count = 32,
        row_size: Count = 8,
        space_id: SpaceId = None,
        phase: Phase = "validation",
        scale: Scale = None,
    ) -> None:
        super().__init__(num_images, row_size, space_id, phase, scale)

    def draw(self, prior: Distribution) -> Tensor:
        return prior.sample((self.num_images,))

    def title(self, priors: Sequence[Distribution]) -> str:
        return "samples from the prior"
