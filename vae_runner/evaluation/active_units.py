"""Which latents say anything about the images: active units.

    A_d = Var_x( E_q(z_d|x)[z_d] ),    d is active where A_d > 0.01

over the images x of a set (Burda et al. 2016, arXiv 1509.00519, section 5.2). Of a latent that the decoder has learned
to ignore, the posterior is the prior for every image: its mean does not move, and its KL is 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

__all__ = ["ACTIVE_VARIANCE", "ActiveUnits"]

ACTIVE_VARIANCE = 0.01


class ActiveUnits:
    """Sums the posteriors' means over batches, on their device, in float64; `read` waits for it, once.

    Example:
        >>> from vae_runner.distributions import SimpleNormal
        >>> units = ActiveUnits()
        >>> units.add([SimpleNormal(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), 0.0)])  # the second says nothing of x
        >>> units.read()
        {'active_units': 1, 'mean_variance_dims': [1.0, 0.0]}
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: list[Tensor] = []  # (D,) of each latent space
        self._squares: list[Tensor] = []  # (D,), sums of squared distances to the mean

    def add(self, posteriors: Sequence[Distribution]) -> None:
        """Add a batch: q(z|x) of each latent space, batch shape (B, D)."""
        means = [posterior.mean.detach().double() for posterior in posteriors]
        count, total = len(means[0]), self._count + len(means[0])
        before_mean = self._mean or [torch.zeros_like(mean[0]) for mean in means]
        before_squares = self._squares or [torch.zeros_like(mean[0]) for mean in means]
        moved = [mean.mean(0) - before for mean, before in zip(means, before_mean, strict=True)]
        self._mean = [before + step * count / total for before, step in zip(before_mean, moved, strict=True)]
        self._squares = [  # Chan, Golub & LeVeque 1983, The American Statistician 37
            before + (mean - mean.mean(0)).square().sum(0) + step.square() * self._count * count / total
            for before, mean, step in zip(before_squares, means, moved, strict=True)
        ]
        self._count = total

    def read(self) -> dict[str, float | list[float]]:
        """Returns `active_units`, their number, and `mean_variance_dims`, the A_d of each latent; with several spaces
        `space0/mean_variance_dims` and so on.
        """
        variances = [(squares / self._count).tolist() for squares in self._squares]
        names = [f"space{index}/" if len(variances) > 1 else "" for index in range(len(variances))]
        dims = {f"{name}mean_variance_dims": each for name, each in zip(names, variances, strict=True)}
        active = sum(variance > ACTIVE_VARIANCE for each in variances for variance in each)
        return {"active_units": active, **dims}
