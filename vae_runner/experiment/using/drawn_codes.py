"""Codes to be decoded: draws of the prior, or of a mixture of Gaussians that is fitted to codes of training images.

Where the codes of images do not fill the prior, samples of the prior are worse than reconstructions, and a mixture
follows them better (`visualisation.gaussian_mixture`).

`temperature` t draws nearer to the middle: of the prior z becomes m + t (z - m), m its mean; of a component of the
mixture the standard deviations are t times as large.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE
from vae_runner.datasets.split import Subset
from vae_runner.distributions import OneHot
from vae_runner.errors import UserError
from vae_runner.randomness import isolated, permutation, seed_for
from vae_runner.visualisation.gaussian_mixture import drawn_codes_of, fit_mixture, why_no_mixture
from vae_runner.visualisation.walking.priors import on_whole_line

__all__ = ["COMPONENTS", "IMAGES", "of_mixture", "of_prior"]

COMPONENTS, IMAGES = 10, 10_000


def of_prior(model: VAE, n: int, seed: int, device: torch.device, temperature: float = 1.0) -> tuple[Tensor, ...]:
    """Returns `n` draws of p(z), (n, D) of each latent space; the same seed gives the same, those of `SavedRun.sample`.

    Raises `UserError` where the temperature would leave what the prior covers.
    """
    priors = model.priors()
    if temperature != 1:
        _check_temperature(priors, temperature)
    with isolated(seed_for(seed, "samples"), device), torch.no_grad():
        draws = [prior.sample((n,)) for prior in priors]
    if temperature == 1:
        return tuple(draws)
    return tuple(prior.mean + temperature * (z - prior.mean) for z, prior in zip(draws, priors, strict=True))


def _check_temperature(priors: Sequence[Distribution], temperature: float) -> None:
    if any(isinstance(prior, OneHot) for prior in priors):
        raise UserError(f"temperature={temperature:g}: classes are not drawn nearer to a middle; take temperature=1")
    if temperature > 1 and not all(on_whole_line(prior) for prior in priors):
        raise UserError(f"temperature={temperature:g} leaves what the prior covers; take 1 or less")


def of_mixture(
    model: VAE,
    train: Subset,
    n: int,
    seed: int,
    device: torch.device,
    temperature: float = 1.0,
    components: int = COMPONENTS,
    images: int = IMAGES,
) -> tuple[Tensor, ...]:
    """Returns `n` draws of the mixture that is fitted to codes of so many of the images of `train`; the same seed gives
    the same. Raises `UserError` where latents are not on the whole line, or scikit-learn is not installed.
    """
    if why := why_no_mixture(model.priors()):
        raise UserError(f"from=mixture: {why}; take from=prior")
    chosen = permutation(len(train), seed_for(seed, "images"))[:images].sort().values.to(train.indices.device)
    codes = drawn_codes_of(model, train.data, train.indices[chosen], seed_for(seed, "codes"), device)
    if len(codes) < components:
        raise UserError(f"components={components}: only {len(codes):,} images to fit them to")
    mixture = fit_mixture(codes, components, seed_for(seed, "fit") % 2**32)
    drawn = mixture.draw(n, np.random.default_rng(seed_for(seed, "mixture")), temperature)
    return drawn.to(device).split(model.latent_dims, 1)
