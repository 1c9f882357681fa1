"""Latent spaces: how numbers that a network puts out become a posterior q(z|x), and what the prior p(z) is."""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.distributions import SimpleNormal
from vae_runner.signature import enforced, positive

__all__ = ["LatentSpace", "NormalSpace"]


class LatentSpace(nn.Module):
    """Base class: `dims` latent dimensions, `num_parameters` numbers of the network for each image."""

    def __init__(self, dims: int, num_parameters: int) -> None:
        super().__init__()
        self.dims = dims
        self.num_parameters = num_parameters

    def posterior(self, raw: Tensor) -> Distribution:
        """Returns q(z|x), batch shape (B, dims), from (B, num_parameters); in float32."""
        raise NotImplementedError(f"{type(self).__name__} has no posterior")

    def prior(self) -> Distribution:
        """Returns p(z), batch shape (dims,)."""
        raise NotImplementedError(f"{type(self).__name__} has no prior")


@enforced
class NormalSpace(LatentSpace):
    """q(z|x) = N(mu(x), e^lv(x)), diagonal, and p(z) = N(`prior_mu`, e^`prior_logvar`)."""

    prior_mu: Tensor
    prior_logvar: Tensor

    def __init__(self, dims: Annotated[int, positive] = 10, prior_mu: float = 0.0, prior_logvar: float = 0.0) -> None:
        super().__init__(dims, 2 * dims)
        self.register_buffer("prior_mu", torch.full((dims,), float(prior_mu)))
        self.register_buffer("prior_logvar", torch.full((dims,), float(prior_logvar)))

    def posterior(self, raw: Tensor) -> SimpleNormal:
        mu, logvar = raw.float().chunk(2, dim=1)
        return SimpleNormal(mu, logvar)

    def prior(self) -> SimpleNormal:
        return SimpleNormal(self.prior_mu, self.prior_logvar)
