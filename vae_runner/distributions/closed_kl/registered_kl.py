"""The closed forms of KL(p||q), registered for `torch.distributions.kl_divergence`.

Columns are q:          normal  uniform  exponential  Weibull  gamma  Laplace

    normal                 x      inf        inf        inf     inf      x
    uniform                x       x          x          x       x       x
    exponential            x      inf         x          x       x       x
    Weibull                x      inf         x          x       x       -
    gamma                  x      inf         x          x       x       -
    Laplace                x      inf        inf        inf     inf      x

inf: the support of q does not cover that of p, whatever the parameters (for uniform p: where its interval is not
inside). -: E|x - m| needs a derivative of the incomplete gamma function, so `monte_carlo_kl` serves these.

A pair works with our class or torch's on either side. Between two of torch's classes, torch's own function stays where
it has one. Returns (batch, dims), nats.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, distributions
from torch.distributions import Distribution, kl_divergence, register_kl

from vae_runner.distributions.closed_kl import cross_family_kl as cross
from vae_runner.distributions.closed_kl import same_family_kl as same
from vae_runner.distributions.exponential import SimpleExponential
from vae_runner.distributions.gamma import Gamma
from vae_runner.distributions.laplace import SimpleLaplace
from vae_runner.distributions.normal import SimpleNormal
from vae_runner.distributions.one_hot import OneHot, RelaxedOneHot, kl_of_classes
from vae_runner.distributions.uniform import SimpleUniform
from vae_runner.distributions.weibull import SimpleWeibull

__all__ = ["has_closed_form_kl"]


class Family(NamedTuple):
    """A family's class here, that of torch, and what the formulas take of an instance of either."""

    ours: type[Distribution]
    torchs: type[Distribution]
    parameters: Callable[[Distribution], tuple[Tensor, ...]]


def _normal(p: Distribution) -> tuple[Tensor, ...]:
    return (p.mu, p.logvar) if isinstance(p, SimpleNormal) else (p.loc, 2 * p.scale.log())


def _uniform(p: Distribution) -> tuple[Tensor, ...]:
    return p.low, p.high


def _exponential(p: Distribution) -> tuple[Tensor, ...]:
    return (p.lograte if isinstance(p, SimpleExponential) else p.rate.log(),)


def _weibull(p: Distribution) -> tuple[Tensor, ...]:
    scale, shape = (p.l, p.k) if isinstance(p, SimpleWeibull) else (p.scale, p.concentration)
    return scale.log(), shape


def _gamma(p: Distribution) -> tuple[Tensor, ...]:
    return p.concentration, p.rate.log()


def _laplace(p: Distribution) -> tuple[Tensor, ...]:
    return p.loc, p.scale.log()


NORMAL = Family(SimpleNormal, distributions.Normal, _normal)
UNIFORM = Family(SimpleUniform, distributions.Uniform, _uniform)
EXPONENTIAL = Family(SimpleExponential, distributions.Exponential, _exponential)
WEIBULL = Family(SimpleWeibull, distributions.Weibull, _weibull)
GAMMA = Family(Gamma, distributions.Gamma, _gamma)
LAPLACE = Family(SimpleLaplace, distributions.Laplace, _laplace)


def _infinite(*parameters: Tensor) -> Tensor:
    return torch.full_like(sum(parameters), math.inf)  # the sum broadcasts


TABLE: dict[tuple[Family, Family], Callable[..., Tensor]] = {
    (NORMAL, NORMAL): same.normal_normal,
    (NORMAL, UNIFORM): _infinite,
    (NORMAL, EXPONENTIAL): _infinite,
    (NORMAL, WEIBULL): _infinite,
    (NORMAL, GAMMA): _infinite,
    (NORMAL, LAPLACE): cross.normal_laplace,
    (UNIFORM, NORMAL): cross.uniform_normal,
    (UNIFORM, UNIFORM): same.uniform_uniform,
    (UNIFORM, EXPONENTIAL): cross.uniform_exponential,
    (UNIFORM, WEIBULL): cross.uniform_weibull,
    (UNIFORM, GAMMA): cross.uniform_gamma,
    (UNIFORM, LAPLACE): cross.uniform_laplace,
    (EXPONENTIAL, NORMAL): cross.exponential_normal,
    (EXPONENTIAL, UNIFORM): _infinite,
    (EXPONENTIAL, EXPONENTIAL): same.exponential_exponential,
    (EXPONENTIAL, WEIBULL): cross.exponential_weibull,
    (EXPONENTIAL, GAMMA): cross.exponential_gamma,
    (EXPONENTIAL, LAPLACE): cross.exponential_laplace,
    (WEIBULL, NORMAL): cross.weibull_normal,
    (WEIBULL, UNIFORM): _infinite,
    (WEIBULL, EXPONENTIAL): cross.weibull_exponential,
    (WEIBULL, WEIBULL): same.weibull_weibull,
    (WEIBULL, GAMMA): cross.weibull_gamma,
    (GAMMA, NORMAL): cross.gamma_normal,
    (GAMMA, UNIFORM): _infinite,
    (GAMMA, EXPONENTIAL): cross.gamma_exponential,
    (GAMMA, WEIBULL): cross.gamma_weibull,
    (GAMMA, GAMMA): same.gamma_gamma,
    (LAPLACE, NORMAL): cross.laplace_normal,
    (LAPLACE, UNIFORM): _infinite,
    (LAPLACE, EXPONENTIAL): _infinite,
    (LAPLACE, WEIBULL): _infinite,
    (LAPLACE, GAMMA): _infinite,
    (LAPLACE, LAPLACE): same.laplace_laplace,
}


def _torch_has(p: Family, q: Family) -> bool:
    """Whether torch has a KL of its own for its two classes."""
    return WEIBULL not in (p, q) and (p, q) not in ((UNIFORM, LAPLACE), (EXPONENTIAL, LAPLACE))


def _of_distributions(p: Family, q: Family, formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def kl(left: Distribution, right: Distribution) -> Tensor:
        return formula(*p.parameters(left), *q.parameters(right))

    return kl


def _register(p: Family, q: Family, formula: Callable[..., Tensor]) -> None:
    kl = _of_distributions(p, q, formula)
    for p_type in (p.ours, p.torchs):
        for q_type in (q.ours, q.torchs):
            if (p_type, q_type) != (p.torchs, q.torchs) or not _torch_has(p, q):
                register_kl(p_type, q_type)(kl)


def _resolve(p: Family, q: Family) -> None:
    """Let torch look up the pair once: `torch.compile` cannot trace its search among several candidates.

    Our Gamma has several, being a torch Gamma too. torch's Weibull is left out: to make one imports sympy, a second.
    """
    for p_type in (p.ours, p.torchs):
        for q_type in (q.ours, q.torchs):
            if Gamma in (p_type, q_type) and distributions.Weibull not in (p_type, q_type):
                kl_divergence(p_type(*_example(p), validate_args=False), q_type(*_example(q), validate_args=False))


def _example(family: Family) -> tuple[float, ...]:
    return (0.25,) if family is EXPONENTIAL else (0.25, 0.5)


for (_p, _q), _formula in TABLE.items():
    _register(_p, _q, _formula)
register_kl(OneHot, OneHot)(kl_of_classes)
for _p, _q in TABLE:  # after all: each registration makes torch forget
    _resolve(_p, _q)
kl_divergence(RelaxedOneHot(torch.zeros(2), 1.0), OneHot(torch.zeros(2)))  # as `_resolve`


def has_closed_form_kl(p: Distribution, q: Distribution) -> bool:
    """Returns whether `kl_divergence(p, q)` exists; it is tried, so ask once, not at every step."""
    try:
        kl_divergence(p, q)
    except NotImplementedError:
        return False
    return True
