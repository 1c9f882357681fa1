"""Whether pixels can be dark: a likelihood, a decoder and latents that fit each other, and together could not learn."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from vae_runner.architectures import LinearDecoder
from vae_runner.latent_space import CategoricalSpace, ExponentialSpace, GammaSpace, UniformSpace, WeibullSpace
from vae_runner.likelihood import Bernoulli
from vae_runner.signature import locate

__all__ = ["check_brightness"]


def check_brightness(config: Mapping[str, Any], spaces: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line where logits are W z (+ b) with nothing below 0 in W, z and b: probabilities from 0.5 up."""
    decoder = config["architecture"]["decoder"]
    adds = _is_a(decoder, LinearDecoder) and decoder.get("non_negative", True)
    if not (adds and all(map(_is_non_negative, spaces)) and _is_a(config["likelihood"], Bernoulli)):
        return []
    return [
        "architecture/decoder=linear: with weights and latents of 0 or above, likelihood=bernoulli makes no pixel "
        "darker than 0.5; set likelihood=gaussian, or architecture.decoder.non_negative=false"
    ]


def _is_non_negative(space: Mapping[str, Any]) -> bool:
    """Whether all codes of a latent space's posterior are 0 or above."""
    if not _is_a(space, UniformSpace):
        return _is_a(space, CategoricalSpace, ExponentialSpace, GammaSpace, WeibullSpace)
    low = (space.get("prior") or {}).get("low")  # of a uniform prior, inside which the posterior stays
    return low is not None and bool((torch.as_tensor(low) >= 0).all())


def _is_a(node: Mapping[str, Any], *kinds: type) -> bool:
    target = locate(node["_target_"])
    return isinstance(target, type) and issubclass(target, kinds)
