"""The divergences that a config names by their strength: the family is the distribution's, the KL that of the pair."""

from typing import Annotated, Literal

from vae_runner.divergence.base import DivergenceBase
from vae_runner.divergence.kl import ClosedFormKL, MonteCarloKL
from vae_runner.schedule import Schedule
from vae_runner.signature import Limit, non_negative, positive
from vae_runner.state import StateKey

__all__ = ["beta_kl", "capacity_kl", "plain_kl"]

Samples = Annotated[int, positive, Limit("must be at most 10,000", lambda value: value <= 10_000)] | None
Reduction = Literal["sum_mean", "sum_sum"]


def plain_kl(
    input_key: StateKey, target_key: StateKey, samples: Samples = None, reduction: Reduction = "sum_mean"
) -> DivergenceBase:
    """Returns the evidence lower bound's own KL term (Kingma & Welling 2014, arXiv 1312.6114).

    Args:
        samples: None: the closed form, `NotImplementedError` where the pair has none; a number: the Monte-Carlo
            estimate from so many samples.
        reduction: sum_mean: the mean over the batch; sum_sum: the sum over it, which grows with the batch size.
    """
    made = ClosedFormKL(input_key, target_key) if samples is None else MonteCarloKL(input_key, target_key, samples)
    return made if reduction == "sum_mean" else made.with_sum_sum_reduction()


def beta_kl(
    input_key: StateKey,
    target_key: StateKey,
    beta: Annotated[float, non_negative] | Schedule = 4.0,
    samples: Samples = None,
    reduction: Reduction = "sum_mean",
) -> DivergenceBase:
    """Returns beta KL (Higgins et al. 2017, ICLR, OpenReview Sy2fzU9gl); the rest is as in `plain_kl`."""
    return plain_kl(input_key, target_key, samples, reduction).with_beta(beta)


def capacity_kl(
    input_key: StateKey,
    target_key: StateKey,
    capacity: Annotated[float, non_negative] | Schedule,
    gamma: Annotated[float, non_negative] = 1000.0,
    samples: Samples = None,
    reduction: Reduction = "sum_mean",
) -> DivergenceBase:
    """Returns gamma |KL - C(t)|, C in nats (Burgess et al. 2018, arXiv 1804.03599); the rest as in `plain_kl`."""
    return plain_kl(input_key, target_key, samples, reduction).with_capacity(capacity, gamma)
