"""Functions that stay exact where their textbook forms overflow or cancel.

With R the remainder of Stirling's formula,

    lgamma(a) = (a - 1/2) ln a - a + ln(2 pi)/2 + R(a),    R(a)  =  1/(12 a)   - 1/(360 a^3) + 1/(1260 a^5) - ...
    psi(a)    = ln a - 1/(2 a) + R'(a),                    R'(a) = -1/(12 a^2) + 1/(120 a^4) - 1/(252 a^6)  + ...
                                                           Abramowitz & Stegun 6.1.41, 6.3.18

densities, entropies and divergences of the gamma distribution need no differences of large lgammas (Loader 2000, "Fast
and accurate computation of binomial probabilities"): at a = 1000, lgamma itself is known to 5e-4 only, in float32.
The density at x, with u = (x - m) / m its distance from the mean m = a / r:

    a ln r + (a - 1) ln x - r x - lgamma(a)  =  -ln x + ln(a / 2 pi)/2 - R(a) - a (u - ln(1 + u))
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "EULER_GAMMA",
    "LOG_TWO_PI",
    "capped_exp",
    "deviance",
    "excess",
    "lgamma_gap",
    "log_gamma_density",
    "log_ratio",
    "log_rising",
    "log_standard_exponential",
    "log_sum_exp",
    "mean_decay",
    "sample_exp",
    "stirling",
    "stirling_slope",
    "times_exp",
    "vanishing_exp",
]

EULER_GAMMA = 0.57721566490153286
LOG_TWO_PI = math.log(2 * math.pi)
SERIES_FROM = 10.0  # from here on the series is exact to float64
DECAY = (1.0, -1 / 2, 1 / 6, -1 / 24)  # of (1 - e^-y) / y
SMALL_GAP = 0.05  # below, the terms to u^14 give lgamma_gap to float64
ZETA = torch.special.zeta(torch.arange(2.0, 15.0, dtype=torch.float64, device="cpu"), 1.0).tolist()  # of 2, 3, ...
GAP = tuple((-1) ** n * zeta * (2**n - 2) / n for n, zeta in enumerate(ZETA, 2))
REMAINDER = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)  # of a^-1, a^-3, ...


def capped_exp(exponent: Tensor) -> Tensor:
    """Returns e^t; its gradient stops growing shortly before e^t overflows, so that no sum of paths is inf - inf."""
    return _capped(torch.exp, exponent)


def excess(exponent: Tensor) -> Tensor:
    """Returns e^t - 1 - t >= 0, what KLs are made of; its gradient is capped like that of `capped_exp`."""
    return _capped(torch.expm1, exponent) - exponent


def vanishing_exp(exponent: Tensor) -> Tensor:
    """Returns e^t for t <= 0; where that is less than twice the smallest normal number (float32: 2e-38, t = -87), so
    much, without a slope. A processor takes thirty to a hundred times as long for what lies below.
    """
    return exponent.clamp(min=math.log(2 * torch.finfo(exponent.dtype).tiny)).exp()


def log_sum_exp(x: Tensor, dim: int) -> Tensor:
    """Returns ln sum e^x, as torch.logsumexp does to the last digit, with `vanishing_exp`: what is by 87 below the
    largest adds nothing that float32 could hold.
    """
    largest = x.detach().amax(dim, keepdim=True)
    finite = torch.where(largest.isfinite(), largest, 0.0)
    total = vanishing_exp(x - finite).sum(dim).log() + finite.squeeze(dim)
    return torch.where(largest.squeeze(dim).isfinite(), total, largest.squeeze(dim))


def times_exp(x: Tensor, exponent: Tensor) -> Tensor:
    """Returns x e^t for finite x, in two steps of e^(t/2): e^t itself may overflow, and 0 stays 0 for every t.

    From t = 2 ln(largest) - 2 on (float32: 175) t no longer grows.
    """
    root = (exponent / 2).clamp(max=math.log(torch.finfo(exponent.dtype).max) - 1).exp()
    return x * root * root


def mean_decay(y: Tensor) -> Tensor:
    """Returns (1 - e^-y) / y, the mean of e^-t over [0, y], y >= 0: 1 at 0."""
    near = y < 1e-3
    far = torch.where(near, 1.0, y)
    return torch.where(near, _polynomial(torch.where(near, y, 0.0), DECAY), -torch.expm1(-far) / far)


def _capped(function: Callable[[Tensor], Tensor], exponent: Tensor) -> Tensor:
    top = math.log(torch.finfo(exponent.dtype).max)
    cap = top - min(16, top / 2)  # 16 (float16 has but 11): room for what the gradient is multiplied by
    beyond = function(exponent.detach()) + math.exp(cap) * (exponent - exponent.detach())
    return torch.where(exponent < cap, function(exponent.clamp(max=cap)), beyond)


def deviance(a: Tensor, log_mean: Tensor, distance: Tensor) -> Tensor:
    """Returns a f(d) = m - a - a d >= 0 with f(t) = e^t - 1 - t, given ln m and d = ln(m/a).

    Far away the second form, whose gradient to a is -d with no difference of large numbers.
    """
    far = capped_exp(log_mean) - a - a * distance
    return torch.where(distance > 1, far, a * excess(distance))


def log_ratio(a: Tensor, b: Tensor) -> Tensor:
    """Returns ln(a/b) of positive numbers, with a small relative error also where a is near b."""
    distance = (a - b) / b
    near = distance.abs() < 0.5
    return torch.where(near, torch.log1p(torch.where(near, distance, 0.0)), a.log() - b.log())


def stirling(a: Tensor) -> Tensor:
    """Returns R(a) = lgamma(a) - (a - 1/2) ln a + a - ln(2 pi)/2."""
    large = a > SERIES_FROM
    low, high = torch.where(large, 1.0, a), torch.where(large, a, SERIES_FROM)
    direct = torch.lgamma(low) - (low - 0.5) * low.log() + low - LOG_TWO_PI / 2
    return torch.where(large, _polynomial(high.square().reciprocal(), REMAINDER) / high, direct)


def stirling_slope(a: Tensor) -> Tensor:
    """Returns R'(a) = psi(a) - ln a + 1/(2a)."""
    large = a > SERIES_FROM
    low, high = torch.where(large, 1.0, a), torch.where(large, a, SERIES_FROM)
    direct = torch.digamma(low) - low.log() + 0.5 / low
    slopes = tuple(-(2 * n + 1) * coefficient for n, coefficient in enumerate(REMAINDER))
    squared = high.square().reciprocal()
    return torch.where(large, _polynomial(squared, slopes) * squared, direct)


def lgamma_gap(u: Tensor) -> Tensor:
    """Returns ln Gamma(1 + 2u) - 2 ln Gamma(1 + u) >= 0, u > 0, which is sum zeta(n) (-u)^n (2^n - 2)/n over n >= 2."""
    small = u < SMALL_GAP
    low, high = torch.where(small, u, 0.0), torch.where(small, SMALL_GAP, u)
    direct = torch.lgamma(1 + 2 * high) - 2 * torch.lgamma(1 + high)
    return torch.where(small, low.square() * _polynomial(low, GAP), direct)


def log_rising(a: Tensor, k: Tensor) -> Tensor:
    """Returns ln[Gamma(a + k) / Gamma(a)]."""
    leading = (a - 0.5) * torch.log1p(k / a) + k * (a + k).log() - k
    return leading + stirling(a + k) - stirling(a)


def log_gamma_density(x: Tensor, a: Tensor, rate: Tensor | float) -> Tensor:
    """Returns the log density of the gamma distribution at positive x, nats."""
    mean = a / rate
    distance = (x - mean) / mean
    return (a.log() - LOG_TWO_PI) / 2 - x.log() - stirling(a) - a * (distance - log_ratio(x, mean))


def log_standard_exponential(shape: torch.Size, like: Tensor) -> Tensor:
    """Returns ln E with E ~ Exp(1) kept inside (0, inf): some generators give 0."""
    finfo = torch.finfo(like.dtype)
    noise = torch.empty(shape, dtype=like.dtype, device=like.device).exponential_()
    return noise.clamp(min=finfo.tiny, max=finfo.max).log()


def sample_exp(log_sample: Tensor) -> Tensor:
    """Returns e^(log_sample), finite and positive, by a gradient that is finite also after a chain of products.

    Where it would leave [tiny, max^(3/4)] it stays on the border, with no gradient: float32 ends at 3e28 instead of
    3e38.
    """
    finfo = torch.finfo(log_sample.dtype)
    smallest = math.log(finfo.tiny) * (1 - 4 * finfo.eps)
    return log_sample.clamp(min=smallest, max=0.75 * math.log(finfo.max)).exp()


def _polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value
