"""Terms of the loss, weighted and scheduled: `base` is the documented surface, `kl` the KLs of each pair of
distributions, `named` those that a config chooses by their strength; the other modules each hold an objective of the
field, or a few alike, and `composite` what these have in common.
"""

from vae_runner.divergence.adversary import AdversarialTC
from vae_runner.divergence.base import DivergenceBase, sum_mean, sum_sum
from vae_runner.divergence.composite import WeightedParts, as_precise_as
from vae_runner.divergence.controllers import ControlledKL, ReconstructionConstraint
from vae_runner.divergence.discrepancy import MMD, InfoMMD
from vae_runner.divergence.free_bits import FreeBits
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
from vae_runner.divergence.moments import DIP
from vae_runner.divergence.named import beta_kl, capacity_kl, plain_kl
from vae_runner.divergence.total_correlation import TotalCorrelation

__all__ = ["ClosedFormKL", "DivergenceBase", "MonteCarloKL", "SimpleExponentialSimpleExponentialKL"]
__all__ += ["SimpleNormalSimpleNormalKL", "SimpleNormalUnitNormalKL", "SimpleUniformSimpleNormalKL"]
__all__ += ["SimpleUniformSimpleUniformKL", "SimpleWeibullSimpleWeibullKL", "beta_kl", "capacity_kl", "plain_kl"]
__all__ += ["sum_mean", "sum_sum"]
__all__ += ["DIP", "MMD", "AdversarialTC", "ControlledKL", "FreeBits", "InfoMMD", "ReconstructionConstraint"]
__all__ += ["TotalCorrelation", "WeightedParts", "as_precise_as"]
