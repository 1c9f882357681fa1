"""-log p(x|z) in nats per image, with its true constants, from what a decoder puts out.

    Bernoulli  -sum_i x_i ln s(l_i) + (1 - x_i) ln(1 - s(l_i)),   l the logits, s the sigmoid; x may be gray in [0, 1]
    Gaussian    sum_i (x_i - mu_i)^2 / (2 sigma^2) + ln sigma + ln(2 pi) / 2
    Laplace     sum_i |x_i - mu_i| / b + ln(2 b)
    discretised logistic  -sum_i ln(s((x_i - mu_i + h) / b_i) - s((x_i - mu_i - h) / b_i)),   h = 1/510, half a level

sigma may be fixed, learned, or the best one for the images at hand (sigma-VAE: Rybkin et al. 2021, arXiv
2006.13202). Images have the range [0, 1], and so have mu, sigma and b. A likelihood says how many channels it needs of
the decoder for each image channel, and what image it means.

Bits per dimension are -ELBO / (C H W ln 2) for a probability. A density's value at a pixel becomes the probability of
one of the 256 levels when it is multiplied by a level's width, 1/256 of the range: 8 bits more. (Pixels at k/255 would
have width 1/255: 0.006 bits less.) It is the convention of papers, and no true code length: noise much narrower than a
level would be rewarded without end, which is why the smallest sigma is limited.
"""

import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_runner.signature import Limit, enforced, positive
from vae_runner.state import Y_RAW, Y_TRUE, State

__all__ = ["Bernoulli", "DiscretizedLogistic", "Gaussian", "Laplace", "LearnedGaussian", "Likelihood"]
__all__ += ["OptimalGaussian", "softly_limited"]

Positive = Annotated[float, Limit("must lie between 1e-6 and 1e6", lambda value: 1e-6 <= value <= 1e6, positive)]
Decay = Annotated[float, Limit("must lie in [0, 1)", lambda value: 0 <= value < 1)]
Measure = Literal["binary", "levels", "density"]

LARGEST = 100.0  # of learned scales: a hundred times the range of an image is noise without an image
SPEED = 10.0  # how much faster than a weight the logarithm of a learned scale moves: Adam's steps are as long for both
SHARPNESS = 4.0  # of soft limits: within 1e-4 of the value itself from two e-folds off on


class Likelihood(nn.Module):
    """Base class. `channels_per_channel` is how many decoder channels stand for one image channel.

    Attributes:
        measure: what p(x|z) is: a probability of a `binary` image or of one with 256 `levels`, or a `density`.

    Example:
        >>> Gaussian().bits_per_dim(0.0, dimensions=784)  # a density of 1, at levels that are 1 / 256 wide
        8.0
    """

    channels_per_channel = 1
    measure: ClassVar[Measure] = "density"

    @abstractmethod
    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        """Returns -log p(target | raw) of each image, (B,), nats, in float32 whatever `raw` comes in."""

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """Returns the images (B, C, H, W) that the decoder means, E[x|z]."""

    def on_step_training(self, state: State) -> None:
        """After each optimiser step, with its state; never in validation."""

    def scales(self) -> dict[str, Tensor]:
        """Returns the noise's scales by name, () or (D,), where they are not fixed: for logs."""
        return {}

    def bits_per_dim(self, nats: float, dimensions: int) -> float:
        """Returns bits per dimension, of -ELBO or -log p(x) in nats per image of so many `dimensions`, C H W."""
        return nats / (dimensions * math.log(2)) + (8.0 if self.measure == "density" else 0.0)


class Bernoulli(Likelihood):
    """Independent pixels in {0, 1}, or gray values in [0, 1] taken as probabilities (then it is no normalised density).

    The decoder puts out logits.

    Example:
        >>> Bernoulli().nll(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2))  # 2 ln 2
        tensor([1.3863])
    """

    measure = "binary"

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        pixels = functional.binary_cross_entropy_with_logits(raw.float(), target, reduction="none")
        return pixels.flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw.float())


@enforced
class Gaussian(Likelihood):
    """Independent pixels around the decoder's output, with the same fixed `sigma` (image range: [0, 1]).

    Example:
        >>> Gaussian(sigma=0.5).nll(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))  # 2 - ln 2 + ln(2 pi) / 2
        tensor([2.2258])
    """

    def __init__(self, sigma: Positive = 1.0) -> None:
        super().__init__()
        self.sigma = sigma

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        squares = ((raw.float() - target) / self.sigma).square() / 2
        constant = math.log(self.sigma) + math.log(2 * math.pi) / 2
        return (squares + constant).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()


@enforced
class LearnedGaussian(Likelihood):
    """Gaussian with one sigma for all pixels, a parameter that the optimiser moves; it starts at `sigma`.

    ln sigma is the parameter, softly limited to [ln `smallest`, ln 100]. It should start above the errors of the first
    images: its gradient D (1 - mse / sigma^2) grows without end below them, and Adam remembers that for long.

    Example:
        >>> LearnedGaussian(sigma=0.5).scales()  # where its parameter starts
        {'sigma': tensor(0.5000)}
    """

    def __init__(self, sigma: Positive = 0.5, smallest: Positive = 0.001) -> None:
        super().__init__()
        self.log_scale = LogScale((), sigma, smallest)

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        log_sigma = self.log_scale()
        squares = ((raw.float() - target) * torch.exp(-log_sigma)).square() / 2
        return squares.flatten(1).sum(1) + target[0].numel() * (log_sigma + math.log(2 * math.pi) / 2)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()

    def scales(self) -> dict[str, Tensor]:
        return {"sigma": self.log_scale().detach().exp()}


@enforced
class OptimalGaussian(Likelihood):
    """Gaussian with the sigma that suits the images best (Rybkin et al. 2021, section 4.2): for N images of D pixels

        sigma^2 = sum_n sum_i (x_ni - mu_ni)^2 / (N D)    minimises    sum_n -log p(x_n|z_n),

    which then is N D [ln sigma + (1 + ln 2 pi) / 2]. In training N is the batch. Its gradient needs none through sigma,
    as the derivative by sigma is zero there.

    In evaluation sigma must not depend on the batch, nor on the images that are judged. It is a running mean over the
    training steps t = 0, 1, ..., which starts as the plain mean and forgets as `decay` says:

        v_t+1 = v_t + max(1 / (t + 1), 1 - decay) (sigma_t^2 - v_t).

    It moves after optimiser steps alone, and is saved with the weights. Before the first step it is 1.

    Args:
        smallest: lower limit of sigma.

    Example:
        >>> likelihood = OptimalGaussian()
        >>> likelihood.on_step_training({Y_RAW: torch.zeros(1, 1, 1, 4), Y_TRUE: torch.full((1, 1, 1, 4), 0.5)})
        >>> likelihood.scales()
        {'sigma': tensor(0.5000)}
    """

    variance: Tensor
    steps: Tensor

    def __init__(self, decay: Decay = 0.95, smallest: Positive = 0.001) -> None:
        super().__init__()
        self.decay, self.smallest = decay, smallest
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        squares = (raw.float() - target).square().flatten(1).sum(1)  # (B,)
        dimensions = target[0].numel()
        variance = squares.detach().mean() / dimensions if self.training else self.variance
        variance = variance.clamp(min=self.smallest**2)
        return squares / (2 * variance) + dimensions * (variance.log() + math.log(2 * math.pi)) / 2

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()

    @torch.no_grad()
    def on_step_training(self, state: State) -> None:
        squares = (state[Y_RAW].float() - state[Y_TRUE]).square().mean()
        weight = (1 / (self.steps + 1)).clamp(min=1 - self.decay)
        self.variance += weight * (squares - self.variance)
        self.steps += 1

    def scales(self) -> dict[str, Tensor]:
        return {"sigma": self.variance.clamp(min=self.smallest**2).sqrt()}


@enforced
class Laplace(Likelihood):
    """Independent pixels around the decoder's output, with the same fixed `scale` b: its deviation is b sqrt(2).

    Example:
        >>> Laplace(scale=0.5).nll(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))  # 1 / b + ln 2b
        tensor([2.])
    """

    def __init__(self, scale: Positive = 0.1) -> None:
        super().__init__()
        self.scale = scale

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        return ((raw.float() - target).abs() / self.scale + math.log(2 * self.scale)).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.float()


@enforced
class DiscretizedLogistic(Likelihood):
    """Probability of each of the 256 levels k/255 under a logistic of location mu and scale b (Kingma et al. 2016,
    arXiv 1606.04934; Salimans et al. 2017, arXiv 1701.05517, section 2.1, whose range [-1, 1] is twice ours).

    A level takes what lies within half a level of it; the first takes all below as well, the last all above, so that
    the 256 probabilities sum to 1. Targets are taken to their nearest level. With u = (x - mu + h) / b and
    l = (x - mu - h) / b, in a form that keeps its digits in the tails,

        ln(s(u) - s(l)) = ln s(u) + ln s(-l) + ln(1 - e^(l - u)),    the first level ln s(u), the last ln s(-l).

    Args:
        per: what has a b of its own: the `image`, one parameter for all its numbers (as in Kingma's); each `channel` of
            `num_channels`, which may leave a channel to its noise for long; each `pixel`, where the decoder puts out
            ln(b / `scale`) too, in as many channels again behind those of mu.
        scale: where b starts.
        smallest: soft lower limit of b; 0.0005 is an eighth of a level.

    Example:
        >>> noise, levels = DiscretizedLogistic(num_channels=1), torch.arange(256).view(256, 1, 1, 1) / 255
        >>> round((-noise.nll(torch.full_like(levels, 0.4), levels)).exp().sum().item(), 4)
        1.0
    """

    measure = "levels"

    def __init__(
        self,
        num_channels: int,
        per: Literal["image", "channel", "pixel"] = "image",
        scale: Positive = 0.25,
        smallest: Positive = 0.0005,
    ) -> None:
        super().__init__()
        self.channels_per_channel = 2 if per == "pixel" else 1
        self.scale, self.smallest = scale, smallest
        shape = (num_channels,) if per == "channel" else (1,)
        self.log_scale = None if per == "pixel" else LogScale(shape, scale, smallest)

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        location, log_scale = self._noise(raw)
        level = (target * 255).round()
        inverse = torch.exp(-log_scale)
        centred = level / 255 - location
        below = functional.logsigmoid((centred + 1 / 510) * inverse)  # ln P(x <= level)
        above = functional.logsigmoid((1 / 510 - centred) * inverse)  # ln P(x >= level)
        inner = below + above + torch.log(-torch.expm1(-inverse / 255))
        pixels = torch.where(level <= 0, below, torch.where(level >= 255, above, inner))
        return -pixels.flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        """E[x] = sum_k P(x >= k/255) / 255 over k = 1..255 is the midpoint rule for the integral of s((mu - t) / b)
        over t in [0, 1], which is b [ln(1 + e^(mu/b)) - ln(1 + e^((mu-1)/b))]; nearer than half a level. That of 1 - mu
        is 1 less it, so that the difference is taken at the lower end alone, where no large terms cancel.
        """
        location, log_scale = self._noise(raw)
        scale, upper = log_scale.exp(), location > 0.5
        lower = torch.where(upper, 1 - location, location)
        mean = scale * (functional.softplus(lower / scale) - functional.softplus((lower - 1) / scale))
        return torch.where(upper, 1 - mean, mean)

    def scales(self) -> dict[str, Tensor]:
        return {} if self.log_scale is None else {"scale": self.log_scale().detach().exp()}

    def _noise(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mu (B, C, H, W) and ln b, (1, 1, 1), (C, 1, 1) or (B, C, H, W)."""
        raw = raw.float()
        if self.log_scale is not None:
            return raw, self.log_scale()[:, None, None]
        location, log_scale = raw.chunk(2, dim=1)
        return location, softly_limited(log_scale + math.log(self.scale), math.log(self.smallest), math.log(LARGEST))


class LogScale(nn.Module):
    """The logarithm of a learned scale, softly limited to [ln `smallest`, ln 100], from `start` on."""

    def __init__(self, shape: tuple[int, ...], start: float, smallest: float) -> None:
        super().__init__()
        if not smallest < start < LARGEST:
            raise ValueError(f"a scale must start between its limits, {smallest:g} and {LARGEST:g}, not at {start:g}")
        self.start, self.smallest = start, smallest
        self.value = nn.Parameter(torch.zeros(shape))

    def forward(self) -> Tensor:
        free = math.log(self.start) + SPEED * self.value
        return softly_limited(free, math.log(self.smallest), math.log(LARGEST))


def softly_limited(value: Tensor, low: float, high: float) -> Tensor:
    """Returns the value itself between `low` and `high`, bent towards them at the ends; increasing everywhere."""
    above = functional.softplus(value - low, SHARPNESS)
    return high - functional.softplus(high - low - above, SHARPNESS)
