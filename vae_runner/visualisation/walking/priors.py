"""What walkers ask of a prior p(z), batch shape (D,), whatever its family: where its codes lie, and what its KL is.

A walk over standard scores s goes through the quantiles

    z(s) = icdf(Phi(s)),    Phi the cdf of N(0, 1),

which is s itself where p = N(0, 1), and covers the same part of the probability for every other family.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence

from vae_runner.distributions import Mixture, OneHot, monte_carlo_kl
from vae_runner.errors import UserError
from vae_runner.randomness import isolated

__all__ = [
    "centre",
    "family",
    "inside",
    "is_choice",
    "is_learned",
    "kl_per_dimension",
    "on_whole_line",
    "quantile",
    "why_not",
]

SAMPLES = 64  # of each posterior, where a KL has no closed form


def family(prior: Distribution) -> str:
    """Returns the prior's name, for messages."""
    return type(prior).__name__


def is_learned(prior: Distribution) -> bool:
    """Returns whether it lies where training has brought it."""
    return isinstance(prior, Mixture)


def on_whole_line(prior: Distribution) -> bool:
    """Returns whether every real number is a possible code, around 0, so that -1 to 1 means something."""
    return prior.support is constraints.real and not is_learned(prior)


def is_choice(prior: Distribution) -> bool:
    """Returns whether a code is the vector of one of several classes, so that no number of it moves alone."""
    return isinstance(prior, OneHot)


def why_not(prior: Distribution) -> str:
    """Returns why a prior is not `on_whole_line`, for messages."""
    return "which is learned and need not lie around 0" if is_learned(prior) else "which does not cover the whole line"


def inside(prior: Distribution, values: Tensor) -> Tensor:
    """Returns whether each value (..., D) is finite and a possible code, (..., D) bool."""
    return prior.support.check(values) & values.isfinite()


def quantile(prior: Distribution, probability: Tensor, argument: str) -> Tensor:
    """Returns the quantiles (N, D) of the probabilities (N,), for each dimension.

    Raises:
        UserError: about that argument of the walker, where the family has no icdf.
    """
    like = prior.mean
    try:
        return prior.icdf(probability.to(like)[:, None].expand(-1, *like.shape))
    except NotImplementedError:
        raise UserError(f"{argument}: the prior {family(prior)} has no icdf, so its quantiles are not known") from None


def centre(prior: Distribution) -> Tensor:
    """Returns 0 where it lies inside the support, else, and where the prior is learned, its mean, (D,)."""
    mean = prior.mean
    if is_learned(prior):
        return mean
    tiny = torch.full_like(mean, torch.finfo(mean.dtype).tiny)
    interior = prior.support.check(tiny) & prior.support.check(-tiny)
    return torch.where(interior, 0.0, mean)


def kl_per_dimension(posterior: Distribution, prior: Distribution) -> Tensor:
    """Returns KL(q(z_d|x) || p(z_d)), the mean over the images of q's batch shape (B, D): (D,), nats, on the CPU.

    Where the pair has no closed form, it is estimated from samples, always the same.
    """
    prior = prior.expand(posterior.batch_shape)
    try:
        kl = kl_divergence(posterior, prior)
    except NotImplementedError:
        kl = _estimated_kl(posterior, prior)
    return kl.mean(0).cpu()


def _estimated_kl(posterior: Distribution, prior: Distribution) -> Tensor:
    with isolated(0, posterior.mean.device):
        try:
            return monte_carlo_kl(posterior, prior, SAMPLES)
        except ValueError:  # of a prior that validates its arguments: a sample lies outside of its support
            return torch.full_like(posterior.mean, torch.inf)
