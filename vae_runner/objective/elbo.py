"""What is measured of a model, always from q and p, whatever it is trained by: nats per image.

    recon = E_x E_q(z|x)[-log p(x|z)],    kl = sum_d E_x KL(q(z_d|x) || p(z_d)),    -ELBO = recon + kl

(Kingma & Welling 2014, arXiv 1312.6114, equation 3). A KL is that of a term that says it is this very one, which is
then computed once; else the closed form of the pair; else log q(z|x) - log p(z) at the sample that is decoded, whose
mean is the KL, and for which nothing is drawn.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vae_runner.distributions import log_ratio
from vae_runner.divergence import DivergenceBase
from vae_runner.evaluation import ActiveUnits, Means
from vae_runner.likelihood import Likelihood
from vae_runner.state import METRICS, State, StateKey, kl_key, posterior_key, prior_key, sample_key

__all__ = ["Evidence", "measure", "shared_kl", "space_prefix"]


def measure(state: State, shared: Sequence[StateKey | None], closed: Sequence[bool]) -> dict[str, Tensor]:
    """Returns `kl` () over all spaces and `kl_dims` (D,), the batch means; of several spaces `space0/kl` and so on.

    For each space: where its KL is found, if a term leaves it, and whether it has a closed form.
    """
    measured = {}
    for space_id, (key, is_closed) in enumerate(zip(shared, closed, strict=True)):
        kl = state[key].detach() if key is not None and key in state else _kl(state, space_id, is_closed)
        prefix = space_prefix(space_id, len(shared))
        measured[f"{prefix}kl"], measured[f"{prefix}kl_dims"] = kl.sum(1).mean(), kl.mean(0)
    measured["kl"] = sum(measured[f"{space_prefix(space_id, len(shared))}kl"] for space_id in range(len(shared)))
    return measured


def space_prefix(space_id: int, spaces: int) -> str:
    """Returns what stands before the names of a latent space's figures."""
    return f"space{space_id}/" if spaces > 1 else ""


def shared_kl(terms: Sequence[DivergenceBase], space_id: int) -> StateKey | None:
    """Returns where the first term that is KL(q||p) of the space leaves it; the term is told, if it had no place."""
    for term in terms:
        ends = (term.keys.get("input"), term.keys.get("target"))
        if term.is_kl and ends == (posterior_key(space_id), prior_key(space_id)):
            term.state_key = term.state_key or kl_key(space_id)
            return term.state_key
    return None


def _kl(state: State, space_id: int, is_closed: bool) -> Tensor:
    """KL(q||p) of each image and dimension, (B, D)."""
    q, p = state[posterior_key(space_id)], state[prior_key(space_id)]
    with torch.no_grad():
        return kl_divergence(q, p) if is_closed else log_ratio(q, p, state[sample_key(space_id)])


class Evidence:
    """The figures of a whole set of images, summed up over its batches on their device; `read` waits for it, once.

    Example:
        >>> from vae_runner.distributions import SimpleNormal
        >>> from vae_runner.likelihood import Bernoulli
        >>> figures = {"recon": torch.tensor(90.0), "kl": torch.tensor(10.0)}
        >>> evidence = Evidence(Bernoulli(), spaces=1)
        >>> evidence.add({METRICS: figures, posterior_key(): SimpleNormal(torch.zeros(8, 2), 0.0)}, images=8)
        >>> evidence.read(image_shape=(1, 8, 8))["neg_elbo"]
        100.0
    """

    def __init__(self, likelihood: Likelihood, spaces: int) -> None:
        self.likelihood, self.spaces = likelihood, spaces
        self._means, self._active = Means(), ActiveUnits()

    def add(self, state: State, images: int) -> None:
        """Add the state of a batch of so many images."""
        self._means.add(state[METRICS], weight=images)
        self._active.add([state[posterior_key(space_id)] for space_id in range(self.spaces)])

    def read(self, image_shape: tuple[int, int, int]) -> dict[str, float | list[float]]:
        """Returns the means of all metrics and the active units, and first `neg_elbo` = recon + kl, and what it is for
        each number of an image, `bits_per_dim`, as its likelihood defines it.
        """
        result: dict[str, float | list[float]] = {**self._means.read(), **self._active.read()}
        neg_elbo = cast(float, result["recon"]) + cast(float, result["kl"])
        bits = self.likelihood.bits_per_dim(neg_elbo, math.prod(image_shape))
        return {"neg_elbo": neg_elbo, "bits_per_dim": bits, **result}
