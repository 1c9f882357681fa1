"""A mixture of Gaussians with full covariances, fitted to the codes of images.

Where the codes of images do not fill the prior, what is drawn of the prior decodes to blobs, however sharp the
reconstructions are. A mixture fitted after training follows the codes (Ghosh et al. 2020, arXiv 1903.12436, ten
components). It is fitted to samples of q(z|x), one for each image, as the decoder was trained on these. scikit-learn
fits it, extra `evaluate`.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_runner.auto_encoder import VAE, as_tuple
from vae_runner.datasets.base import ImageData
from vae_runner.evaluation.learners import fitted, learner
from vae_runner.randomness import isolated

__all__ = ["GaussianMixture", "drawn_codes_of", "fit_mixture", "why_no_mixture"]

BATCH = 256  # images that are encoded together


@dataclass(frozen=True)
class GaussianMixture:
    """sum_k w_k N(m_k, L_k L_k^T).

    Args:
        weights: w (K,), float64.
        means: m (K, D).
        lower: L (K, D, D), lower triangles.

    Example:
        >>> one = GaussianMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
        >>> one.draw(3, np.random.default_rng(0)).shape
        torch.Size([3, 2])
    """

    weights: np.ndarray
    means: np.ndarray
    lower: np.ndarray

    def draw(self, count: int, generator: np.random.Generator, temperature: float = 1.0) -> Tensor:
        """Returns codes (count, D) float32, with standard deviations that are `temperature` times a component's."""
        chosen = generator.choice(len(self.weights), count, p=self.weights / self.weights.sum())
        noise = generator.standard_normal((count, self.means.shape[1]))
        drawn = self.means[chosen] + temperature * np.einsum("nij,nj->ni", self.lower[chosen], noise)
        return torch.from_numpy(drawn.astype(np.float32))


def drawn_codes_of(model: VAE, data: ImageData, indices: Tensor, seed: int, device: torch.device) -> Tensor:
    """Returns a sample of q(z|x) for each of those images, (N, D) float64, those of all spaces beside each other; the
    same seed gives the same.
    """
    found = []
    with isolated(seed, device), torch.no_grad():
        for part in indices.split(BATCH):
            found.append(torch.cat(as_tuple(model.encode(data.gather(part).to(device))), 1).double().cpu())
    return torch.cat(found)


def fit_mixture(codes: Tensor, components: int, seed: int = 0) -> GaussianMixture:
    """Returns the mixture fitted to codes (N, D), those of all latent spaces beside each other.

    Raises:
        UserError: where scikit-learn is not installed.
    """
    model = learner("mixture").GaussianMixture(components, covariance_type="full", random_state=seed)
    found, _ = fitted(model, codes.double().cpu().numpy(), None)  # type: ignore[arg-type]
    return GaussianMixture(found.weights_, found.means_, np.linalg.cholesky(found.covariances_))


def why_no_mixture(priors: Sequence[Distribution]) -> str:
    """Returns why none can be fitted to codes of spaces with these priors, a sentence without its end; or nothing."""
    if not all(prior.support is constraints.real for prior in priors):
        return "Gaussians would leave what the prior covers"
    if importlib.util.find_spec("sklearn") is None:
        return "a mixture needs scikit-learn: pip install 'vae_runner[evaluate]'"
    return ""
