"""Codes to be decoded: draws of the prior, or of a mixture of Gaussians that is fitted to codes of training images.

Where the codes of images do not fill the prior, samples of the prior are worse than reconstructions. A mixture of
Gaussians with full covariances, fitted after training, follows them better (Ghosh et al. 2020, arXiv 1903.12436, ten
components). It is fitted to samples of q(z|x), one for each image, as the decoder was trained on these.

`temperature` t draws nearer to the middle: of the prior z becomes m + t (z - m), m its mean; of a component of the
mixture the standard deviations are t times as large.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE, as_tuple
from vae_runner.datasets.split import Subset
from vae_runner.distributions import OneHot
from vae_runner.errors import UserError
from vae_runner.randomness import isolated, permutation, seed_for
from vae_runner.visualisation.walking.priors import on_whole_line

__all__ = ["COMPONENTS", "IMAGES", "of_mixture", "of_prior"]

COMPONENTS, IMAGES, BATCH = 10, 10_000, 256


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
    if not all(prior.support is torch.distributions.constraints.real for prior in model.priors()):
        raise UserError("from=mixture: Gaussians would leave what the prior covers; take from=prior")
    codes = _codes(model, train, images, seed, device)
    if len(codes) < components:
        raise UserError(f"components={components}: only {len(codes):,} images to fit them to")
    mixture = _sklearn().GaussianMixture(components, covariance_type="full", random_state=seed_for(seed, "fit") % 2**32)
    mixture.fit(codes)
    generator = np.random.default_rng(seed_for(seed, "mixture"))
    chosen = generator.choice(components, n, p=mixture.weights_ / mixture.weights_.sum())
    noise = generator.standard_normal((n, codes.shape[1]))
    lower = np.linalg.cholesky(mixture.covariances_)
    drawn = mixture.means_[chosen] + temperature * np.einsum("nij,nj->ni", lower[chosen], noise)
    return torch.from_numpy(drawn.astype(np.float32)).to(device).split(model.latent_dims, 1)


def _codes(model: VAE, train: Subset, images: int, seed: int, device: torch.device) -> np.ndarray:
    """A sample of q(z|x) for each of the images, (N, D) float64, the latent spaces one behind the other."""
    chosen = permutation(len(train), seed_for(seed, "images"))[:images].sort().values.to(train.indices.device)
    found = []
    with isolated(seed_for(seed, "codes"), device), torch.no_grad():
        for positions in chosen.split(BATCH):
            found.append(torch.cat(as_tuple(model.encode(train.batch(positions).to(device))), 1).double().cpu())
    return torch.cat(found).numpy()


def _sklearn() -> Any:
    try:
        return importlib.import_module("sklearn.mixture")
    except ImportError as error:
        raise UserError("from=mixture needs scikit-learn: pip install 'vae_runner[evaluate]'") from error
