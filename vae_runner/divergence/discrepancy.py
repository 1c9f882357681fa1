"""The maximum mean discrepancy between the codes and the prior: WAE and InfoVAE.

With z_1..z_B the batch's codes, one of each image, and p_1..p_B draws of the prior,

    MMD = mean k(z_i, z_j) + mean k(p_i, p_j) - 2 mean k(z_i, p_j)                    Gretton et al. 2012, JMLR 13
    unbiased: i = j is left out of the first two means, so that it can be negative; biased: it is not, so that it cannot

    rbf   k(a, b) = sum over c of exp(-|a - b|^2 / (2 s)),   s = c D v
    imq   k(a, b) = sum over c of S / (S + |a - b|^2),       S = 2 c D v
                                                             Tolstikhin et al. 2018, arXiv 1711.01558, section 4

where v is the prior's variance, the mean over the D dimensions, and c goes over `scales`. Zhao et al.'s code has
s = D^2 / 2, which is c = D / 2 with a standard normal prior.

    term = (1 - alpha) KL + (alpha + lambda_mmd - 1) MMD    InfoVAE, Zhao et al. 2019, arXiv 1706.02262, equation 6
           lambda_mmd MMD                                   WAE, Tolstikhin et al. 2018: alpha = 1
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.distributions.special import vanishing_exp
from vae_runner.divergence.base import sum_mean
from vae_runner.divergence.composite import WeightedParts, kl_of
from vae_runner.schedule import Constant, Schedule
from vae_runner.signature import Limit, enforced, finite, non_negative, positive
from vae_runner.state import StateKey

__all__ = ["MMD", "InfoMMD", "imq", "mmd", "rbf"]

Kernel = Literal["rbf", "imq"]
Estimator = Literal["unbiased", "biased"]
some = Limit("must name one scale or more; null stands for the kernel's own", lambda scales: len(scales) > 0)
Scales = Annotated[Sequence[Annotated[float, positive]], some] | None
SCALES: dict[str, tuple[float, ...]] = {"rbf": (1.0,), "imq": (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)}


def rbf(squared: Tensor, variance: Tensor | float) -> Tensor:
    """Returns exp(-|a - b|^2 / (2 s)), of squared distances."""
    return vanishing_exp(-squared / (2 * variance))


def imq(squared: Tensor, constant: Tensor | float) -> Tensor:
    """Returns S / (S + |a - b|^2), of squared distances: inverse multiquadrics, whose tails do not vanish."""
    return constant / (constant + squared)


def mmd(within: Tensor, of_prior: Tensor, between: Tensor, unbiased: bool = True) -> Tensor:
    """Returns the discrepancy (), of the kernel's values k(z_i, z_j), k(p_i, p_j), k(z_i, p_j), (B, B) each.

    Unbiased, a batch of one, as a set's last may be, has no pairs: their means are 0.
    """
    return _mean(within, unbiased) + _mean(of_prior, unbiased) - 2 * between.mean()


def _mean(values: Tensor, unbiased: bool) -> Tensor:
    count = len(values)
    if not unbiased:
        return values.mean()
    return (values.sum() - torch.diagonal(values).sum()) / max(count * (count - 1), 1)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2, (A, B): of the differences, as squares of large numbers would cancel."""
    return (a.unsqueeze(1) - b.unsqueeze(0)).square().sum(2)


@enforced
class InfoMMD(WeightedParts):
    """(1 - alpha) KL + (alpha + lambda_mmd - 1) MMD over the dimensions of all latent spaces.

    Logged: `mmd`, before its weight.

    Args:
        input_keys, target_keys, sample_keys, batch_size: facts of the run, see `vae_runner.objective.facts`.
        alpha: 0 keeps the KL whole, 1 leaves it out, below 0 it weighs more; may be a schedule.
        lambda_mmd: may be a schedule.
        kernel: rbf or imq.
        scales: c of the kernels that are summed; None: of rbf 1, of imq 0.1 to 10.
        estimator: unbiased, which may be negative, or biased.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Raises:
        ValueError: for a batch of one image, which has no pairs, and for alpha and lambda_mmd by which more MMD is
            better.

    Example:
        >>> z, p = torch.randn(500, 2), torch.distributions.Normal(torch.zeros(2), 1.0)
        >>> term = InfoMMD((StateKey("q"),), (StateKey("p"),), (StateKey("z"),), batch_size=500, estimator="biased")
        >>> [round(term.discrepancy(z + shift, [p]).item(), 1) for shift in (0.0, 3.0)]  # of codes like the prior, 0
        [0.0, 0.9]
    """

    def __init__(
        self,
        input_keys: tuple[StateKey, ...],
        target_keys: tuple[StateKey, ...],
        sample_keys: tuple[StateKey, ...],
        batch_size: Annotated[int, positive],
        alpha: Annotated[float, finite] | Schedule = 0.0,
        lambda_mmd: Annotated[float, non_negative] | Schedule = 1000.0,
        kernel: Kernel = "rbf",
        scales: Scales = None,
        estimator: Estimator = "unbiased",
        samples: Annotated[int, positive] | None = None,
    ) -> None:
        super().__init__(
            {"posteriors": input_keys, "priors": target_keys, "codes": sample_keys},
            {"alpha": alpha, "lambda_mmd": lambda_mmd},
        )
        if batch_size < 2:
            raise ValueError("the discrepancy is a mean over pairs of images; make engine.batch_size at least 2")
        self._check_weights()
        self.needs_kl = self.weights["alpha"] != Constant(1.0)
        self.kernel, self.scales = kernel, tuple(SCALES[kernel] if scales is None else scales)
        self.unbiased, self.samples = estimator == "unbiased", samples

    @property
    def moves_prior(self) -> bool:
        return self.needs_kl  # draws have no gradient

    def compute_parts(
        self, posteriors: tuple[Distribution, ...], priors: tuple[Distribution, ...], codes: tuple[Tensor, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        discrepancy = self.discrepancy(torch.cat(codes, dim=1), priors)
        alpha, lambda_mmd = self.weight("alpha"), self.weight("lambda_mmd")
        term = (alpha + lambda_mmd - 1) * discrepancy
        if self.needs_kl:
            term = term + (1 - alpha) * sum_mean(kl_of(posteriors, priors, self.samples))
        return term, {"mmd": discrepancy}

    def discrepancy(self, codes: Tensor, priors: Sequence[Distribution]) -> Tensor:
        """Returns the discrepancy () of codes (B, D) from as many draws of the priors."""
        drawn = torch.cat([_draws(prior, len(codes)) for prior in priors], dim=1).to(codes.dtype)
        width = codes.shape[1] * torch.cat([prior.variance for prior in priors]).mean().detach()
        pairs = ((codes, codes), (drawn, drawn), (codes, drawn))
        within, of_prior, between = [self._values(_squared_distances(a, b), width) for a, b in pairs]
        return mmd(within, of_prior, between, self.unbiased)

    def _values(self, squared: Tensor, width: Tensor) -> Tensor:
        if self.kernel == "rbf":
            first, *others = [rbf(squared, scale * width) for scale in self.scales]
        else:
            first, *others = [imq(squared, 2 * scale * width) for scale in self.scales]
        return sum(others, first)

    def _check_weights(self) -> None:
        lowest = [min(self.weights[name].extremes(), default=1.0) for name in ("alpha", "lambda_mmd")]
        highest = max(self.weights["alpha"].extremes(), default=1.0)
        if highest > 1:
            raise ValueError(f"alpha must be at most 1, where the KL has no weight, got {highest:g}")
        if sum(lowest) < 1:
            raise ValueError(
                f"alpha + lambda_mmd must be at least 1, the discrepancy's weight plus 1, got {sum(lowest):g}"
            )


def MMD(
    input_keys: tuple[StateKey, ...],
    target_keys: tuple[StateKey, ...],
    sample_keys: tuple[StateKey, ...],
    batch_size: Annotated[int, positive],
    lambda_mmd: Annotated[float, non_negative] | Schedule = 10.0,
    kernel: Kernel = "imq",
    scales: Scales = None,
    estimator: Estimator = "unbiased",
) -> InfoMMD:
    """Returns lambda_mmd MMD alone: the term of the WAE (Tolstikhin et al. 2018); the rest is as in `InfoMMD`."""
    keys = (input_keys, target_keys, sample_keys, batch_size)
    return InfoMMD(*keys, 1.0, lambda_mmd, kernel, scales, estimator)


def _draws(prior: Distribution, count: int) -> Tensor:
    shape = torch.Size((count,))
    return prior.rsample(shape) if prior.has_rsample else prior.sample(shape)
