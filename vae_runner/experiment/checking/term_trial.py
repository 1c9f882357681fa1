"""Whether a term can be of the latent spaces that it is for: tried once on their distributions, before training."""

import logging
from collections.abc import Mapping, Sequence

from torch.distributions import Distribution

from vae_runner.distributions import Mixture, OneHot
from vae_runner.divergence import DivergenceBase, MonteCarloKL, WeightedParts, plain_kl
from vae_runner.errors import UserError
from vae_runner.state import posterior_key, prior_key, sample_key

__all__ = ["Pair", "check_learned", "check_recons", "pair_name", "try_term"]

log = logging.getLogger(__name__)

Pair = tuple[Distribution, Distribution]  # q and p


def pair_name(pair: Pair) -> str:
    """KL(q || p), for people."""
    return f"KL({type(pair[0]).__name__} || {type(pair[1]).__name__})"


def try_term(made: DivergenceBase, key: str, pairs: Sequence[Pair], space_id: int | None) -> None:
    """Try a term of one latent space, or over all of them where it has none. `key` is its place in the config.

    Raises `UserError` where it is a KL of a pair that has no closed form and was not asked to be estimated, where that
    is infinite, or where the term itself refuses the pair.
    """
    numbers = range(len(pairs)) if space_id is None else (space_id,)
    if made.is_of_numbers and any(isinstance(pairs[number][0], OneHot) for number in numbers):
        raise UserError(
            f"{key}: {type(made).__name__} is of latents that are numbers, and not of a categorical space's classes; "
            "give each latent space a term of its own, divergence=per_space, or take another"
        )
    if space_id is not None and made.is_kl:
        _try_kl(made, pairs[space_id], key, space_id)
    elif isinstance(made, WeightedParts) and made.needs_kl:
        for number in numbers:
            kl = plain_kl(posterior_key(number), prior_key(number), made.samples)  # of which it is a part
            _try_kl(kl, pairs[number], key, number)
    try:
        made.check_spaces(*zip(*(pairs[number] for number in numbers), strict=True))
    except ValueError as error:
        raise UserError(f"{key}: {error}") from error


def check_recons(terms: Mapping[str, DivergenceBase]) -> None:
    """Raise `UserError` where several terms each take the reconstruction off the loss for one of their own."""
    takers = [name for name, term in terms.items() if term.replaces_recon]
    if len(takers) > 1:
        raise UserError(
            f"divergence: {' and '.join(takers)} each put a reconstruction in the place of the loss's; one can"
        )


def check_learned(terms: Mapping[str, DivergenceBase], pairs: Sequence[Pair]) -> None:
    """Raise `UserError` where a prior's parameters would stay what they are, since no term trains them."""
    for space_id, (_, prior) in enumerate(pairs):
        moved = any(term.moves_prior and prior_key(space_id) in term.all_keys() for term in terms.values())
        if isinstance(prior, Mixture) and not moved:
            where = f"space{space_id}." if len(pairs) > 1 else ""
            raise UserError(
                f"distribution.{where}prior: none of the terms trains a prior that learns, for which one needs "
                "KL(q||p): take a divergence that has it, or a prior that is fixed"
            )


def _try_kl(divergence: DivergenceBase, pair: Pair, key: str, space_id: int) -> None:
    """Compute a KL of a latent space's posterior from its prior once."""
    if isinstance(divergence, MonteCarloKL) and isinstance(pair[0], OneHot):
        raise UserError(f"{key}.samples: the KL of classes has a closed form; set {key}.samples=null")
    try:
        parts = {posterior_key: pair[0], prior_key: pair[1], sample_key: pair[0].rsample()}
        value = divergence.loss({key_of(space_id): part for key_of, part in parts.items()})
    except NotImplementedError:
        raise UserError(
            f"{pair_name(pair)} has no closed form; {key}.samples=16 estimates it from 16 samples"
        ) from None
    if not value.isfinite():
        raise UserError(f"{pair_name(pair)} is infinite: the prior has to cover all that the posterior can reach")
    if isinstance(divergence, MonteCarloKL):
        log.info("%s is a Monte-Carlo estimate from %s samples", pair_name(pair), divergence.samples)
