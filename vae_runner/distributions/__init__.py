"""Distributions in the parametrisation that a network's output has, with the KL divergences between them.

Each family is a module: `normal`, `uniform`, `exponential`, `weibull`, `laplace`, `gamma`; `mixture` puts several
together, `one_hot` is one of several classes. They are
`torch.distributions.Distribution`s: `rsample`, `log_prob`, `cdf`, `icdf`, `entropy`, `mean`, `mode`, `variance`,
`stddev`, `support` and `expand` are those of torch; `validate_args` is off unless asked for, because a check of values
makes the host wait for the device. `torch.distributions.kl_divergence` finds the closed forms of `kl`; `monte_carlo_kl`
serves the pairs that have none.
"""

from vae_runner.distributions.base import SimpleDistribution, held
from vae_runner.distributions.closed_kl.monte_carlo import log_density, log_ratio, monte_carlo_kl
from vae_runner.distributions.closed_kl.registered_kl import has_closed_form_kl
from vae_runner.distributions.exponential import SimpleExponential
from vae_runner.distributions.gamma import Gamma
from vae_runner.distributions.laplace import SimpleLaplace
from vae_runner.distributions.mixture import Mixture
from vae_runner.distributions.normal import SimpleNormal
from vae_runner.distributions.one_hot import OneHot, RelaxedOneHot
from vae_runner.distributions.uniform import SimpleUniform
from vae_runner.distributions.weibull import SimpleWeibull

__all__ = [
    "Gamma",
    "Mixture",
    "OneHot",
    "RelaxedOneHot",
    "SimpleDistribution",
    "SimpleExponential",
    "SimpleLaplace",
    "SimpleNormal",
    "SimpleUniform",
    "SimpleWeibull",
    "has_closed_form_kl",
    "held",
    "log_density",
    "log_ratio",
    "monte_carlo_kl",
]
