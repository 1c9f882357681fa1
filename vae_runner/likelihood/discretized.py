"""A probability for each of the 256 levels of a pixel: the logistic density, summed up over a level's width."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from vae_runner.likelihood.base import Likelihood
from vae_runner.likelihood.log_scale import LARGEST, LogScale, Positive, softly_limited
from vae_runner.signature import enforced

__all__ = ["DiscretizedLogistic"]


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
