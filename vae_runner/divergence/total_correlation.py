"""The KL to the prior in three parts, and a weight for each: beta-TCVAE (Chen et al. 2018, arXiv 1802.04942).

With q(z) the mean of q(z|x) over the N training images,

    KL = I(x; z) + TC + DWKL,     I    = E[log q(z|x) - log q(z)],           mi
                                  TC   = E[log q(z) - log prod_d q(z_d)],    tc
                                  DWKL = E[log prod_d q(z_d) - log p(z)],    dwkl
    loss = alpha I + beta TC + gamma DWKL.

log q(z) is estimated from the batch's own B posteriors: with E_ijd = log q(z_i,d | x_j), z_i the sample that is
decoded,

    log q(z_i) = logsumexp_j(w_ij + sum_d E_ijd),    log prod_d q(z_i,d) = sum_d logsumexp_j(w_ij + E_ijd).

    mws   minibatch weighted:    w_ij = -log(N B)                           their appendix C.1; biased, exact as B -> N
    mss   minibatch stratified:  w_ii = log 1/N, w_i,i+1 = log (N - M)/(N M), else log 1/M, M = B - 1      appendix C.2

Each row of the stratified weights sums to one, so that its own image counts as one of N, not as one of B. The three
parts sum to the mean of log q(z|x) - log p(z) whatever the weights are.
"""

import math
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.distributions import log_density
from vae_runner.distributions.special import log_sum_exp
from vae_runner.divergence.composite import WeightedParts
from vae_runner.schedule import Schedule
from vae_runner.signature import enforced, non_negative, positive
from vae_runner.state import StateKey

__all__ = ["Decomposition", "TotalCorrelation", "decompose", "mss_weights", "mws_weights", "pairwise_log_prob"]

Weight = Annotated[float, non_negative] | Schedule


class Decomposition(NamedTuple):
    """What the KL to the prior is made of, (), nats, and the estimates log q(z_i) and log prod_d q(z_i,d), (B,).

    Example:
        >>> posterior, z = torch.distributions.Normal(torch.zeros(3, 2), 1.0), torch.randn(3, 2)  # nothing of x
        >>> log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        >>> parts = decompose(pairwise_log_prob(posterior, z), mss_weights(3, 3, z), log_prior)
        >>> [round(abs(part.item()), 4) for part in parts[:3]]
        [0.0, 0.0, 0.0]
    """

    mi: Tensor
    tc: Tensor
    dwkl: Tensor
    log_qz: Tensor
    log_prod_qz: Tensor


def mws_weights(batch: int, num_images: int, like: Tensor) -> Tensor:
    """Returns the logarithms of the weights of minibatch weighted sampling, (B, B)."""
    return like.new_full((batch, batch), -math.log(num_images * batch))


def mss_weights(batch: int, num_images: int, like: Tensor) -> Tensor:
    """Returns the logarithms of the weights of minibatch stratified sampling, (B, B); each row is a mean's.

    A single image, as a set's last batch may be, stands for all: weight one.
    """
    if batch == 1:
        return like.new_zeros((1, 1))
    others = batch - 1
    rows = torch.arange(batch, device=like.device)
    ahead = (rows - rows.unsqueeze(1)) % batch  # of row i: how far column j is behind i, around the end
    rest = math.log((num_images - others) / (num_images * others))
    weights = like.new_full((batch, batch), -math.log(others)).masked_fill(ahead == 1, rest)
    return weights.masked_fill(ahead == 0, -math.log(num_images))


def pairwise_log_prob(posterior: Distribution, sample: Tensor) -> Tensor:
    """Returns E_ijd = log q(z_i,d | x_j), (B, B, D), of the samples z (B, D)."""
    return log_density(posterior, sample.unsqueeze(1))


def decompose(pairs: Tensor, weights: Tensor, log_prior: Tensor) -> Decomposition:
    """Returns the three parts, of E (B, B, D), log weights (B, B) and log p(z_i), (B,)."""
    log_qz = log_sum_exp(weights + pairs.sum(2), 1)
    log_prod_qz = log_sum_exp(weights.unsqueeze(2) + pairs, 1).sum(1)
    log_posterior = torch.diagonal(pairs).sum(0)  # log q(z_i | x_i)
    mi, tc = (log_posterior - log_qz).mean(), (log_qz - log_prod_qz).mean()
    return Decomposition(mi, tc, (log_prod_qz - log_prior).mean(), log_qz, log_prod_qz)


@enforced
class TotalCorrelation(WeightedParts):
    """alpha I(x; z) + beta TC + gamma DWKL over the dimensions of all latent spaces, estimated within the batch.

    Any family that has `log_prob` will do. Logged: `mi`, `tc`, `dwkl`, nats.

    Args:
        input_keys, target_keys, sample_keys, dims, num_images, batch_size: facts of the run, see `objective.facts`.
        alpha, beta, gamma: the weights, numbers or schedules.
        estimator: mss, minibatch stratified, or mws, minibatch weighted.

    Raises:
        ValueError: where there is but one latent, which has no total correlation, or where the batch is less than 2 or
            more than the training set.

    Example:
        >>> keys = (StateKey("q"),), (StateKey("p"),), (StateKey("z"),)
        >>> term = TotalCorrelation(*keys, dims=10, num_images=1000, batch_size=64, beta=6.0)
        >>> {name: weight.item() for name, weight in term.scheduled().items()}
        {'alpha': 1.0, 'beta': 6.0, 'gamma': 1.0}
    """

    is_of_numbers = True

    def __init__(
        self,
        input_keys: tuple[StateKey, ...],
        target_keys: tuple[StateKey, ...],
        sample_keys: tuple[StateKey, ...],
        dims: int,
        num_images: Annotated[int, positive],
        batch_size: Annotated[int, positive],
        alpha: Weight = 1.0,
        beta: Weight = 6.0,
        gamma: Weight = 1.0,
        estimator: Literal["mss", "mws"] = "mss",
    ) -> None:
        super().__init__(
            {"posteriors": input_keys, "priors": target_keys, "samples": sample_keys},
            {"alpha": alpha, "beta": beta, "gamma": gamma},
        )
        if dims < 2:
            raise ValueError("one latent has no total correlation; make distribution.dims at least 2")
        if not 2 <= batch_size <= num_images:
            raise ValueError(
                f"total correlation is estimated from pairs of training images; engine.batch_size must be from 2 to "
                f"their number, {num_images:,}, got {batch_size}"
            )
        self.num_images = num_images
        self._log_weights = mss_weights if estimator == "mss" else mws_weights

    def compute_parts(
        self, posteriors: tuple[Distribution, ...], priors: tuple[Distribution, ...], samples: tuple[Tensor, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        pairs = torch.cat([pairwise_log_prob(q, z) for q, z in zip(posteriors, samples, strict=True)], dim=2)
        first, *others = [log_density(p, z).sum(1) for p, z in zip(priors, samples, strict=True)]
        parts = decompose(pairs, self._log_weights(len(pairs), self.num_images, pairs), sum(others, first))
        term = self.weight("alpha") * parts.mi + self.weight("beta") * parts.tc + self.weight("gamma") * parts.dwkl
        return term, {"mi": parts.mi, "tc": parts.tc, "dwkl": parts.dwkl}
