"""The latents as a page shows them: what each carries, what it follows, and which values it takes.

A slider goes through standard scores s; the latent's value is the prior's quantile z(s) = icdf(Phi(s)), of which the
page has a table: s itself for N(0, 1), and the same part of the probability for every other family (`walking.priors`).
Drawing from the prior is then z(n), n of N(0, 1). Where a prior is learned its latents need not be independent: draws
of it are kept instead.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE
from vae_runner.errors import UserError
from vae_runner.randomness import isolated
from vae_runner.visualisation.association import Follows, followed
from vae_runner.visualisation.exploring.program import packed
from vae_runner.visualisation.walking.priors import is_choice, is_learned, kl_per_dimension, quantile
from vae_runner.visualisation.walking.traversal import latent_name

__all__ = ["draws_of", "latents_of", "spaces_of"]

DEAD_BELOW = 0.05  # nats
SCORES = torch.linspace(-4, 4, 81, dtype=torch.float64)  # at which a quantile is told
DRAWS = 500  # of a learned prior


def spaces_of(model: VAE) -> list[dict[str, Any]]:
    """Returns what the page knows of each latent space; of one of classes, how probable each is."""
    found, first = [], 0
    for number, (space, prior) in enumerate(zip(model.spaces, model.priors(), strict=True)):
        chances = prior.mean.tolist() if is_choice(prior) else None
        name = f"space{number}" if len(model.spaces) > 1 else ""
        found.append({"name": name, "family": space.family, "first": first, "dims": space.dims, "chances": chances})
        first += space.dims
    return found


def latents_of(model: VAE, posteriors: Sequence[Distribution], factors: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Returns what the page knows of each latent, those of all spaces one behind the other."""
    found: list[dict[str, Any]] = []
    for number, (posterior, prior) in enumerate(zip(posteriors, model.priors(), strict=True)):
        nats, table = kl_per_dimension(posterior, prior), _table(posterior.mean, prior)
        for dim, (carried, follows) in enumerate(zip(nats.tolist(), followed(posterior.mean, factors), strict=True)):
            known = {"name": latent_name(number, dim, len(posteriors) > 1), "space": number, "nats": _told(carried)}
            is_dead = not carried >= DEAD_BELOW
            table_of = None if table is None else [_told(value, 6) for value in table[:, dim].tolist()]
            found.append(known | {"dead": is_dead, "table": table_of} | _follows(None if is_dead else follows))
    return found


def draws_of(model: VAE) -> list[str | None]:
    """Returns draws (DRAWS, D) of each prior that is learned, packed; None of the others."""
    with isolated(0):
        return [
            packed(prior.sample((DRAWS,))) if is_learned(prior) else None
            for prior in model.priors()  # type: ignore[list-item]
        ]


def _table(codes: Tensor, prior: Distribution) -> Tensor | None:
    """The quantiles (81, D); of a family that does not know its own, evenly through the codes; None of classes."""
    if is_choice(prior):
        return None
    try:
        return quantile(prior, torch.special.ndtr(SCORES).to(codes), "explore").cpu()
    except UserError:
        low, high = codes.amin(0).cpu(), codes.amax(0).cpu()
        return torch.lerp(low, high, torch.linspace(0, 1, len(SCORES))[:, None])


def _follows(follows: Follows | None) -> dict[str, Any]:
    return {"factor": follows.factor if follows else None, "strength": _told(follows.strength) if follows else None}


def _told(value: float, digits: int = 4) -> float | None:
    """As JSON holds it: None where it is not finite."""
    return float(f"{value:.{digits}g}") if abs(value) < float("inf") else None
