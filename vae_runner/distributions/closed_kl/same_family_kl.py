"""KL(1||2), nats, between two members of one family; f(t) = e^t - 1 - t >= 0 (`excess`), so that KL(p||p) is exactly 0.

    normal       [f(lv1 - lv2) + (mu1 - mu2)^2 e^-lv2] / 2        Kingma & Welling 2014, arXiv 1312.6114, appendix B
    exponential  f(lr2 - lr1)
    Weibull      f(t) + lgamma(s) + g (s - 1),    s = k2/k1, t = k2 (ln l1 - ln l2) + lgamma(1 + s)
    gamma        a2 f(ln(r2/r1) - ln(a2/a1)) + f(ln(a2/a1))/2 + R(a2) - R(a1) - (a2 - a1) R'(a1)
    Laplace      f(ln(b1/b2)) + (b1/b2) (e^-y - 1 + y),    y = |m1 - m2| / b1
    uniform      ln[(d - c) / (b - a)] where [a, b] is inside [c, d], else inf

Weibull: Bauckhage 2013, arXiv 1310.3713, its terms put together. gamma: the Bregman divergence of lgamma, with the
Stirling remainder R of `special`. l, k: scale, shape; a, r: concentration, rate; m, b: location, scale.
"""

import math

import torch
from torch import Tensor

from vae_runner.distributions.special import (
    EULER_GAMMA,
    deviance,
    excess,
    log_ratio,
    stirling,
    stirling_slope,
)

__all__ = [
    "exponential_exponential",
    "gamma_gamma",
    "laplace_laplace",
    "normal_normal",
    "uniform_uniform",
    "weibull_weibull",
]


def normal_normal(mu1: Tensor, logvar1: Tensor, mu2: Tensor, logvar2: Tensor) -> Tensor:
    """Returns KL(normal || normal), nats, in the parameters' shape."""
    standardised = (mu1 - mu2) * (-logvar2 / 2).exp()  # squared when scaled: no 0 * inf
    return (excess(logvar1 - logvar2) + standardised.square()) / 2


def exponential_exponential(lograte1: Tensor, lograte2: Tensor) -> Tensor:
    """Returns KL(exponential || exponential), nats, in the parameters' shape."""
    return excess(lograte2 - lograte1)


def weibull_weibull(log_scale1: Tensor, k1: Tensor, log_scale2: Tensor, k2: Tensor) -> Tensor:
    """Returns KL(Weibull || Weibull), nats, in the parameters' shape."""
    ratio = k2 / k1
    exponent = k2 * (log_scale1 - log_scale2) + torch.lgamma(1 + ratio)
    return excess(exponent) + torch.lgamma(ratio) + EULER_GAMMA * (ratio - 1)


def gamma_gamma(a1: Tensor, log_rate1: Tensor, a2: Tensor, log_rate2: Tensor) -> Tensor:
    """Returns KL(gamma || gamma), nats, in the parameters' shape."""
    log_a_ratio = log_ratio(a2, a1)
    log_rate_ratio = log_rate2 - log_rate1
    by_mean = deviance(a2, a1.log() + log_rate_ratio, log_rate_ratio - log_a_ratio)
    return by_mean + excess(log_a_ratio) / 2 + stirling(a2) - stirling(a1) - (a2 - a1) * stirling_slope(a1)


def laplace_laplace(loc1: Tensor, log_scale1: Tensor, loc2: Tensor, log_scale2: Tensor) -> Tensor:
    """Returns KL(Laplace || Laplace), nats, in the parameters' shape."""
    log_scale_ratio = log_scale1 - log_scale2
    scaled = (loc1 - loc2).abs() * (-log_scale1).exp()
    return excess(log_scale_ratio) + log_scale_ratio.exp() * excess(-scaled)


def uniform_uniform(low1: Tensor, high1: Tensor, low2: Tensor, high2: Tensor) -> Tensor:
    """Returns KL(uniform || uniform), nats, in the parameters' shape."""
    inside = (low2 <= low1) & (high1 <= high2)
    return torch.where(inside, (high2 - low2).log() - (high1 - low1).log(), math.inf)
