"""Importance weights of samples of q(z|x), and what they say: the bound of log p(x), and how many samples count.

    log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x),    z_k ~ q(z|x)              Burda et al. 2016, arXiv 1509.00519

`objective.bound` trains by them, `unsupervised.log_evidence` measures by them.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.distributions import log_density

__all__ = ["effective_samples", "importance_bound", "prior_over_posterior"]


def importance_bound(log_weights: Tensor) -> Tensor:
    """Returns log (1/K) sum_k w_k of each image, (B,), nats, of log weights (K, B)."""
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))


def effective_samples(log_weights: Tensor) -> Tensor:
    """Returns 1 / sum_k w~_k^2 of each image, (B,), from 1 to K, of log weights (K, B)."""
    return 1 / torch.softmax(log_weights, 0).square().sum(0)


def prior_over_posterior(
    priors: Sequence[Distribution], posteriors: Sequence[Distribution], codes: Sequence[Tensor]
) -> Tensor:
    """Returns log p(z) - log q(z|x) of codes (K, B, D) of each space, (K, B)."""
    parts = zip(priors, posteriors, codes, strict=True)
    return torch.stack([(log_density(p, z) - q.log_prob(z)).sum(2) for p, q, z in parts]).sum(0)
