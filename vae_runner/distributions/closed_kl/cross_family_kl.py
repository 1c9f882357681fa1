"""KL(p||q) = -H(p) - E_p ln q, nats, between different families, by the q that p is measured against.

    normal       -E ln q = [ln 2 pi + lv + e^(ln Var x - lv) + (E x - mu)^2 e^-lv] / 2
    Laplace      -E ln q = ln 2b + E|x - m| / b
    exponential  -E ln q = -lr + e^(lr + ln E x)
    gamma        -E ln q = ln E x + (a - 1) J + a f(ln(r E x) - ln a) + [ln 2 pi - ln a]/2 + R(a)
                           J = ln E x - E ln x >= 0
    Weibull      -E ln q = E ln x - ln k + J_k + f(t) + 1,    t = ln E x^k - k ln l,    J_k = ln E x^k - k E ln x >= 0
    (f(t) = e^t - 1 - t; R of `special`: both are textbook forms whose large terms have been put together)

Moments of p: normal, exponential, gamma, Laplace as usual, Weibull of Zhang et al. 2018 (WHAI, arXiv 1803.01328), and

    uniform on [a, b)    E ln x = ln b - 1 - t ln t / (1 - t),    t = a/b
                         E x^k = b^k (1 - t^(k+1)) / ((k + 1)(1 - t))
                         E|x - m| = [(b - c)^2 + (c - a)^2] / 2(b - a) + |m - c|,    c = m kept in [a, b]
    exponential          E|x - m| = 1/r + c [1 - 2 (1 - e^-y) / y] + (c - m),    c = max(m, 0), y = r c
    normal               E|x - m| = s sqrt(2/pi) e^(-z^2/2) + d erf(z/sqrt 2),    d = mu - m, z = d/s
"""

import math

import torch
from torch import Tensor

from vae_runner.distributions.closed_kl.same_family_kl import weibull_weibull
from vae_runner.distributions.gamma import gamma_entropy
from vae_runner.distributions.special import (
    EULER_GAMMA,
    LOG_TWO_PI,
    capped_exp,
    deviance,
    excess,
    log_ratio,
    log_rising,
    mean_decay,
    stirling,
    stirling_slope,
    times_exp,
)
from vae_runner.distributions.weibull import weibull_entropy, weibull_log_mean, weibull_log_variance

__all__ = [
    "exponential_gamma",
    "exponential_laplace",
    "exponential_normal",
    "exponential_weibull",
    "gamma_exponential",
    "gamma_normal",
    "gamma_weibull",
    "laplace_normal",
    "normal_laplace",
    "uniform_exponential",
    "uniform_gamma",
    "uniform_laplace",
    "uniform_normal",
    "uniform_weibull",
    "weibull_exponential",
    "weibull_gamma",
    "weibull_normal",
]


# What q asks of p.


def _to_normal(entropy: Tensor, mean: Tensor, log_variance: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    standardised = (mean - mu) * (-logvar / 2).exp()
    return (LOG_TWO_PI + logvar + capped_exp(log_variance - logvar) + standardised.square()) / 2 - entropy


def _to_laplace(entropy: Tensor, distance: Tensor, log_scale: Tensor) -> Tensor:
    return math.log(2) + log_scale + distance * (-log_scale).exp() - entropy


def _to_exponential(entropy: Tensor, log_mean: Tensor, lograte: Tensor) -> Tensor:
    return log_mean + 1 + excess(lograte + log_mean) - entropy


def _to_gamma(entropy: Tensor, log_mean: Tensor, gap: Tensor, a: Tensor, log_rate: Tensor) -> Tensor:
    by_mean = deviance(a, log_rate + log_mean, log_rate + log_mean - a.log())
    return log_mean + (a - 1) * gap + by_mean + (LOG_TWO_PI - a.log()) / 2 + stirling(a) - entropy


def _to_weibull(entropy: Tensor, mean_log: Tensor, gap: Tensor, log_scale: Tensor, k: Tensor) -> Tensor:
    return mean_log - k.log() + gap + excess(gap + k * (mean_log - log_scale)) + 1 - entropy


# From the normal and the Laplace distribution.


def normal_laplace(mu: Tensor, logvar: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    """Returns KL(normal || Laplace), nats, in the parameters' shape."""
    stddev, apart = (logvar / 2).exp(), mu - loc
    standardised = apart * (-logvar / 2).exp()
    near = stddev * math.sqrt(2 / math.pi) * (-standardised.square() / 2).exp()
    distance = near + apart * torch.erf(standardised * math.sqrt(0.5))
    return _to_laplace((1 + LOG_TWO_PI + logvar) / 2, distance, log_scale)


def laplace_normal(loc: Tensor, log_scale: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Returns KL(Laplace || normal), nats, in the parameters' shape."""
    return _to_normal(1 + math.log(2) + log_scale, loc, math.log(2) + 2 * log_scale, mu, logvar)


# From the exponential distribution, which is the gamma distribution of a = 1 and the Weibull distribution of k = 1.


def exponential_normal(lograte: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Returns KL(exponential || normal), nats, in the parameters' shape."""
    return _to_normal(1 - lograte, (-lograte).exp(), -2 * lograte, mu, logvar)


def exponential_laplace(lograte: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    """Returns KL(exponential || Laplace), nats, in the parameters' shape."""
    nearest = loc.clamp(min=0)
    inside = capped_exp(-lograte) + nearest * (1 - 2 * mean_decay(times_exp(nearest, lograte)))
    return _to_laplace(1 - lograte, inside + (nearest - loc), log_scale)


def exponential_gamma(lograte: Tensor, a: Tensor, log_rate: Tensor) -> Tensor:
    """Returns KL(exponential || gamma), nats, in the parameters' shape."""
    return _to_gamma(1 - lograte, -lograte, torch.full_like(lograte, EULER_GAMMA), a, log_rate)


def exponential_weibull(lograte: Tensor, log_scale: Tensor, k: Tensor) -> Tensor:
    """Returns KL(exponential || Weibull), nats, in the parameters' shape."""
    return weibull_weibull(-lograte, torch.ones_like(lograte), log_scale, k)


# From the gamma distribution.


def gamma_normal(a: Tensor, log_rate: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Returns KL(gamma || normal), nats, in the parameters' shape."""
    log_mean = a.log() - log_rate
    return _to_normal(gamma_entropy(a, log_rate), log_mean.exp(), log_mean - log_rate, mu, logvar)


def gamma_exponential(a: Tensor, log_rate: Tensor, lograte: Tensor) -> Tensor:
    """Returns KL(gamma || exponential), nats, in the parameters' shape."""
    return _to_exponential(gamma_entropy(a, log_rate), a.log() - log_rate, lograte)


def gamma_weibull(a: Tensor, log_rate: Tensor, log_scale: Tensor, k: Tensor) -> Tensor:
    """Returns KL(gamma || Weibull), nats, in the parameters' shape."""
    log_mean_unit = a.log() - 0.5 / a + stirling_slope(a)  # psi(a)
    gap = log_rising(a, k) - k * log_mean_unit
    return _to_weibull(gamma_entropy(a, log_rate), log_mean_unit - log_rate, gap, log_scale, k)


# From the Weibull distribution.


def weibull_normal(log_scale: Tensor, k: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Returns KL(Weibull || normal), nats, in the parameters' shape."""
    mean, log_variance = weibull_log_mean(log_scale, k).exp(), weibull_log_variance(log_scale, k)
    return _to_normal(weibull_entropy(log_scale, k), mean, log_variance, mu, logvar)


def weibull_exponential(log_scale: Tensor, k: Tensor, lograte: Tensor) -> Tensor:
    """Returns KL(Weibull || exponential), nats, in the parameters' shape."""
    return weibull_weibull(log_scale, k, -lograte, torch.ones_like(lograte))


def weibull_gamma(log_scale: Tensor, k: Tensor, a: Tensor, log_rate: Tensor) -> Tensor:
    """Returns KL(Weibull || gamma), nats, in the parameters' shape."""
    log_mean_unit = torch.lgamma(1 + 1 / k)
    gap = log_mean_unit + EULER_GAMMA / k
    return _to_gamma(weibull_entropy(log_scale, k), log_scale + log_mean_unit, gap, a, log_rate)


# From the uniform distribution.


def uniform_normal(low: Tensor, high: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Returns KL(uniform || normal), nats, in the parameters' shape."""
    entropy = (high - low).log()
    return _to_normal(entropy, (low + high) / 2, 2 * entropy - math.log(12), mu, logvar)


def uniform_laplace(low: Tensor, high: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    """Returns KL(uniform || Laplace), nats, in the parameters' shape."""
    nearest = loc.clamp(low, high)
    inside = ((high - nearest).square() + (nearest - low).square()) / (2 * (high - low))
    return _to_laplace((high - low).log(), inside + (loc - nearest).abs(), log_scale)


def uniform_exponential(low: Tensor, high: Tensor, lograte: Tensor) -> Tensor:
    """Returns KL(uniform || exponential), nats, in the parameters' shape."""
    inside, low, high = _positive_part(low, high)
    kl = _to_exponential((high - low).log(), ((low + high) / 2).log(), lograte)
    return torch.where(inside, kl, math.inf)


def uniform_gamma(low: Tensor, high: Tensor, a: Tensor, log_rate: Tensor) -> Tensor:
    """Returns KL(uniform || gamma), nats, in the parameters' shape."""
    inside, low, high = _positive_part(low, high)
    log_mean = ((low + high) / 2).log()
    gap = log_mean - high.log() - _uniform_mean_log(low, high)
    return torch.where(inside, _to_gamma((high - low).log(), log_mean, gap, a, log_rate), math.inf)


def uniform_weibull(low: Tensor, high: Tensor, log_scale: Tensor, k: Tensor) -> Tensor:
    """Returns KL(uniform || Weibull), nats, in the parameters' shape."""
    inside, low, high = _positive_part(low, high)
    mean_log = _uniform_mean_log(low, high)
    powers = torch.where(low > 0, -torch.expm1((k + 1) * _log_low(low, high)), 1.0)  # 1 - (low/high)^(k+1)
    gap = (powers * high / (high - low)).log() - torch.log1p(k) - k * mean_log
    kl = _to_weibull((high - low).log(), mean_log + high.log(), gap, log_scale, k)
    return torch.where(inside, kl, math.inf)


def _positive_part(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the interval is within [0, inf), and the interval, with [0, 1) elsewhere."""
    inside = low >= 0
    return inside, torch.where(inside, low, 0.0), torch.where(inside, high, 1.0)


def _log_low(low: Tensor, high: Tensor) -> Tensor:
    """Returns ln(low/high), with -ln 2 where low is 0, which must not be used."""
    return log_ratio(torch.where(low > 0, low, high / 2), high)


def _uniform_mean_log(low: Tensor, high: Tensor) -> Tensor:
    """Returns E ln(x/high); its gradient to `low`, infinite where low is 0, is given there without its last term."""
    t_log_t = torch.where(low > 0, low * _log_low(low, high), 0.0) / (high - low)
    return -1 - t_log_t
