"""A model that can be read off its pictures: codes are the pixels of the images, and decoding puts them back."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from vae_runner.auto_encoder import VAE
from vae_runner.latent_space import LatentSpace
from vae_runner.likelihood import Gaussian
from vae_runner.state import MODEL, STEP, State, X
from vae_runner.visualisation import Grid, LatentWalker


def unit_normal(raw: Tensor) -> Normal:
    return Normal(raw, torch.ones_like(raw))


class Space(LatentSpace):
    """Any prior; a posterior made of one number for each dimension, around which it lies unless told otherwise."""

    def __init__(
        self, dims: int, prior: Distribution | None = None, posterior: Callable[[Tensor], Distribution] = unit_normal
    ) -> None:
        nn.Module.__init__(self)  # what the base's constructor demands of a prior is no matter here
        self.dims = self.num_parameters = dims
        self._prior = (prior or Normal(0.0, 1.0)).expand((dims,))
        self._posterior = posterior

    def prior(self) -> Distribution:
        return self._prior

    def posterior(self, raw: Tensor) -> Distribution:
        return self._posterior(raw)


class Copy(nn.Module):
    """An encoder whose features are the four pixels."""

    num_features = 4

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def make_state(*spaces: Space, images: int = 6) -> State:
    """A model with these latent spaces, of four dimensions together (default: one), and images (1, 2, 2)."""
    vae = VAE(Copy(), spaces or (Space(4),), nn.Identity(), Gaussian())
    with torch.no_grad():
        vae.head.weight.copy_(torch.eye(4))
        vae.head.bias.zero_()
    vae.decoder = nn.Unflatten(1, (1, 2, 2))
    x = torch.rand(images, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return {X: x, MODEL: vae.eval(), STEP: 7}


@torch.no_grad()
def run(walker: LatentWalker, state: State) -> Grid:
    return walker(state)


def codes(grid: Grid, *shape: int) -> Tensor:
    """The codes that a grid of the copying model shows, (*shape, 4)."""
    return grid.images.reshape(*shape, 4)
