"""The normal distribution, with lv the log variance.

log p(x) = -[(x - mu)^2 e^-lv + lv + ln 2 pi] / 2
H        = (1 + ln 2 pi + lv) / 2                  Kingma & Welling 2014, arXiv 1312.6114, appendix B
"""

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from vae_runner.distributions.base import Shape, SimpleDistribution, as_parameters
from vae_runner.distributions.special import LOG_TWO_PI

__all__ = ["SimpleNormal"]


class SimpleNormal(SimpleDistribution):
    """Normal distribution with mean `mu` and log variance `logvar` (tensors or numbers, broadcast together).

    Value and gradients stay finite for every `logvar` whose exp(-logvar) is, and those of `log_prob(mu)` as long as
    exp(-logvar / 2) is (float32: from -177 on).

    Example:
        >>> q = SimpleNormal(mu=torch.tensor([0.0, 2.0]), logvar=0.0)
        >>> q.log_prob(0.0)  # -ln(2 pi) / 2, and 2^2 / 2 nats less
        tensor([-0.9189, -2.9189])
        >>> q.cdf(2.0), q.rsample((3,)).shape
        (tensor([0.9772, 0.5000]), torch.Size([3, 2]))
    """

    arg_constraints = {"mu": constraints.real, "logvar": constraints.real}  # noqa: RUF012 - torch's own declaration
    support = constraints.real
    parameter_names = ("mu", "logvar")

    def __init__(self, mu: Tensor | float, logvar: Tensor | float, validate_args: bool = False) -> None:
        self.mu, self.logvar = as_parameters(mu, logvar)
        super().__init__(self.mu.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.mu

    @property
    def mode(self) -> Tensor:
        return self.mu

    @property
    def variance(self) -> Tensor:
        return self.logvar.exp()

    @property
    def stddev(self) -> Tensor:
        return (self.logvar / 2).exp()

    def rsample(self, sample_shape: Shape = Size()) -> Tensor:  # noqa: B008 - immutable
        """Returns mu + e^(lv/2) eps with eps ~ N(0, 1), `sample_shape + batch_shape`."""
        shape = self._extended_shape(Size(sample_shape))
        noise = torch.randn(shape, dtype=self.mu.dtype, device=self.mu.device)
        return self.mu + self.stddev * noise

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Returns the log density at `value`, nats."""
        standardised = (self._value(value) - self.mu) * (-self.logvar / 2).exp()  # squared when scaled: no 0 * inf
        return -(standardised.square() + self.logvar + LOG_TWO_PI) / 2

    def cdf(self, value: Tensor | float) -> Tensor:
        return torch.special.ndtr((self._value(value) - self.mu) * (-self.logvar / 2).exp())

    def icdf(self, value: Tensor | float) -> Tensor:
        """Returns the quantile of the probability `value`."""
        return self.mu + self.stddev * torch.special.ndtri(self._probability(value))

    def entropy(self) -> Tensor:
        """Returns the differential entropy, nats."""
        return (1 + LOG_TWO_PI + self.logvar) / 2
