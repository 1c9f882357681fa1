"""Divergences of latent distributions, weighted and scheduled: `base` is the documented surface, `kl` the KLs of each
pair of distributions, `named` what a config chooses from.
"""

from vae_runner.divergence.base import DivergenceBase, sum_mean, sum_sum
from vae_runner.divergence.kl import (
    ClosedFormKL,
    MonteCarloKL,
    SimpleExponentialSimpleExponentialKL,
    SimpleNormalSimpleNormalKL,
    SimpleNormalUnitNormalKL,
    SimpleUniformSimpleNormalKL,
    SimpleUniformSimpleUniformKL,
    SimpleWeibullSimpleWeibullKL,
)
from vae_runner.divergence.named import beta_kl, capacity_kl, plain_kl

__all__ = ["ClosedFormKL", "DivergenceBase", "MonteCarloKL", "SimpleExponentialSimpleExponentialKL"]
__all__ += ["SimpleNormalSimpleNormalKL", "SimpleNormalUnitNormalKL", "SimpleUniformSimpleNormalKL"]
__all__ += ["SimpleUniformSimpleUniformKL", "SimpleWeibullSimpleWeibullKL", "beta_kl", "capacity_kl", "plain_kl"]
__all__ += ["sum_mean", "sum_sum"]
