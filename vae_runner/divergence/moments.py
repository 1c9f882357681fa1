"""Latents pushed apart by the covariance of the aggregate posterior: DIP-VAE (Kumar et al. 2018, arXiv 1711.00848).

    dip_i    C = Cov_x[mu(x)]                            of the posterior's means, over the batch (their equation 6)
    dip_ii   C = Cov_x[mu(x)] + diag(E_x[sigma^2(x)])    of the codes themselves (their equation 7)

    term = beta KL + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2

The covariance divides by B, as published. mu and sigma^2 are a family's mean and variance, whatever the family.
"""

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.divergence.composite import WeightedParts
from vae_runner.schedule import Schedule
from vae_runner.signature import enforced, non_negative, positive
from vae_runner.state import StateKey

__all__ = ["DIP", "covariance", "squared_deviations"]

Weight = Annotated[float, non_negative] | Schedule


def covariance(means: Tensor, variances: Tensor | None = None) -> Tensor:
    """Returns the covariance (D, D) of means (B, D), divided by B; with variances, that of what they are means of."""
    centred = means - means.mean(0)
    of_means = (centred.unsqueeze(2) * centred.unsqueeze(1)).mean(0)  # no matrix unit rounds it
    return of_means if variances is None else of_means + torch.diag(variances.mean(0))


def squared_deviations(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Returns how far it is from the identity: the sum of its squares off the diagonal, and that of (C_ii - 1)^2."""
    diagonal = torch.diagonal(covariance)
    return (covariance - torch.diag(diagonal)).square().sum(), (diagonal - 1).square().sum()


@enforced
class DIP(WeightedParts):
    """beta KL + lambda_od sum of C_ij^2 + lambda_d sum of (C_ii - 1)^2, over the dimensions of all latent spaces.

    Logged: `dip_od`, `dip_d`, the two sums before their weights.

    Args:
        input_keys, target_keys, batch_size: facts of the run, see `vae_runner.objective.facts`.
        of: the covariance of the posteriors' `means`, dip_i, or of the `codes`, dip_ii.
        lambda_od, lambda_d, beta: the weights, numbers or schedules; beta 0 leaves the KL out.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Raises:
        ValueError: for a batch of one image, which has no covariance.

    Example:
        >>> mu = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # two latents that say the same
        >>> q = torch.distributions.Normal(mu, 1.0)
        >>> term = DIP((StateKey("q"),), (StateKey("p"),), 2, of="means", lambda_od=1.0, lambda_d=1.0, beta=0.0)
        >>> term.compute_parts((q,), (q,))
        (tensor(2.), {'dip_od': tensor(2.), 'dip_d': tensor(0.)})
    """

    kl_weight = "beta"
    is_of_numbers = True

    def __init__(
        self,
        input_keys: tuple[StateKey, ...],
        target_keys: tuple[StateKey, ...],
        batch_size: Annotated[int, positive],
        of: Literal["means", "codes"] = "codes",
        lambda_od: Weight = 10.0,
        lambda_d: Weight = 10.0,
        beta: Weight = 1.0,
        samples: Annotated[int, positive] | None = None,
    ) -> None:
        super().__init__(
            {"posteriors": input_keys, "priors": target_keys},
            {"beta": beta, "lambda_od": lambda_od, "lambda_d": lambda_d},
        )
        if batch_size < 2:
            raise ValueError("one image has no covariance; make engine.batch_size at least 2")
        self.of, self.samples = of, samples

    def compute_parts(
        self, posteriors: tuple[Distribution, ...], priors: tuple[Distribution, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        means = torch.cat([q.mean for q in posteriors], dim=1)
        variances = torch.cat([q.variance for q in posteriors], dim=1) if self.of == "codes" else None
        off_diagonal, diagonal = squared_deviations(covariance(means, variances))
        penalty = self.weight("lambda_od") * off_diagonal + self.weight("lambda_d") * diagonal
        return self.kl_part(posteriors, priors) + penalty, {"dip_od": off_diagonal, "dip_d": diagonal}
