"""The KL divergence of any two distributions, by sampling.

KL(p||q) = E_p [ln p(x) - ln q(x)]  ~  mean over S draws x_s ~ p    Kingma & Welling 2014, arXiv 1312.6114, equation 6
"""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["log_density", "log_ratio", "monte_carlo_kl"]


def monte_carlo_kl(p: Distribution, q: Distribution, samples: int = 1) -> Tensor:
    """Returns the mean of log p - log q over `samples` reparameterised draws of p: (batch, dims), nats.

    Unbiased, and so are its gradients to the parameters of p and q; its error falls with the root of `samples`. It is
    inf where a draw is outside of the support of q; a q that validates its arguments (torch's default) raises there.
    """
    if samples < 1:
        raise ValueError(f"monte_carlo_kl: samples must be at least 1, but it is {samples}")
    return log_ratio(p, q, p.rsample((samples,))).mean(0)


def log_ratio(p: Distribution, q: Distribution, x: Tensor) -> Tensor:
    """Returns log p(x) - log q(x) of each draw x of p, nats: in the mean over draws it is KL(p||q)."""
    return p.log_prob(x) - log_density(q, x)


def log_density(q: Distribution, x: Tensor) -> Tensor:
    """Returns log q(x), -inf outside of the support, where torch's own unvalidated densities are anything."""
    try:
        support = q.support
    except NotImplementedError:  # a user's own, of which only log_prob is asked
        return q.log_prob(x)
    if support is constraints.real:
        return q.log_prob(x)
    return torch.where(support.check(x), q.log_prob(x), -math.inf)
