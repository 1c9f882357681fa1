"""Latent spaces: how numbers that a network puts out become a posterior q(z|x), and what the prior p(z) is.

A network's numbers r are unlimited; each family has a head that maps them smoothly into its legal range, so that r = 0
is the family's standard distribution (of the uniform: 0.88 of the prior's interval). Locations (mu, loc and centre)
have no limit. Up to |r| = 1e18, the log density of a sample and the KL to a standard prior do not overflow:

    normal       mu = r1,                      log variance  = limited(r2, -20, 20), or r2
    laplace      loc = r1,                     log scale     = limited(r2, -10, 10)
    exponential                                log rate      = limited(r1, -20, 20)
    weibull      ln scale = limited(r1, -10, 10),   ln shape         = limited(r2, ln 1/10, ln 30)
    gamma        ln mean  = limited(r1, -10, 10),   ln concentration = limited(r2, ln 1/20, ln 1000)
    uniform      an interval inside that of a uniform prior: sigmoid(2 + limited(r2, -10, 10)) of its width, and of what
                 is left sigmoid(r1) lies below; with a prior of another family, centre r1 and half width
                 sqrt(3) e^limited(r2, -10, 10), which is a standard deviation of 1 at r2 = 0

    categorical  logits        = limited(r, -20, 20)

`limited` has slope 1 at 0. `logvar_limit` of the normal is its 20, or None for r2 itself, which can overflow. The prior
may be of any family that covers the posterior's.
"""

from vae_runner.latent_space.base import LatentSpace, Prior, limited
from vae_runner.latent_space.classes import CategoricalSpace
from vae_runner.latent_space.families import (
    ExponentialSpace,
    GammaSpace,
    LaplaceSpace,
    NormalSpace,
    UniformSpace,
    WeibullSpace,
)

__all__ = [
    "CategoricalSpace",
    "ExponentialSpace",
    "GammaSpace",
    "LaplaceSpace",
    "LatentSpace",
    "NormalSpace",
    "Prior",
    "UniformSpace",
    "WeibullSpace",
    "limited",
]
