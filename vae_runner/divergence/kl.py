"""KL divergences: the documented ones for a named pair, one for any pair with a closed form, one for any pair at all.

The formulas stand in `vae_runner.distributions`; here they meet the state. Kingma & Welling 2014, arXiv 1312.6114,
appendix B, for the normal; Bauckhage 2013, arXiv 1310.3713, for the Weibull.
"""

from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vae_runner.distributions import (
    SimpleExponential,
    SimpleNormal,
    SimpleUniform,
    SimpleWeibull,
    monte_carlo_kl,
)
from vae_runner.divergence.base import DivergenceBase
from vae_runner.signature import enforced, positive
from vae_runner.state import StateKey

__all__ = [
    "ClosedFormKL",
    "MonteCarloKL",
    "SimpleExponentialSimpleExponentialKL",
    "SimpleNormalSimpleNormalKL",
    "SimpleNormalUnitNormalKL",
    "SimpleUniformSimpleNormalKL",
    "SimpleUniformSimpleUniformKL",
    "SimpleWeibullSimpleWeibullKL",
]


class _PairKL(DivergenceBase):
    """Base class of what compares an input with a target."""

    def __init__(self, input_key: StateKey, target_key: StateKey, state_key: StateKey | None = None) -> None:
        super().__init__({"input": input_key, "target": target_key}, state_key)


class ClosedFormKL(_PairKL):
    """KL(input || target) in closed form, by the pair of the distributions' types.

    Whatever pair `torch.distributions.kl_divergence` knows, ours among them; `NotImplementedError` for others.

    Example:
        >>> q, p = torch.distributions.Normal(torch.ones(4, 2), 1.0), torch.distributions.Normal(torch.zeros(2), 1.0)
        >>> ClosedFormKL(StateKey("q"), StateKey("p")).compute(q, p)[0]  # mu^2 / 2 of each dimension
        tensor([0.5000, 0.5000])
    """

    is_kl: ClassVar[bool] = True

    def compute(self, input: Distribution, target: Distribution) -> Tensor:
        return kl_divergence(input, target)


@enforced
class MonteCarloKL(DivergenceBase):
    """KL(input || target) of any pair: the mean of log input(z) - log target(z) over `samples` draws z of the input.

    Unbiased; its standard error falls with the square root of `samples`. Single values may be negative.

    Example:
        >>> q, p = torch.distributions.Normal(torch.ones(4, 2), 1.0), torch.distributions.Normal(torch.zeros(2), 1.0)
        >>> kl = MonteCarloKL(StateKey("q"), StateKey("p"), samples=10_000).compute(q, p)
        >>> kl.shape, round(kl.mean().item(), 1)  # near mu^2 / 2
        (torch.Size([4, 2]), 0.5)
    """

    is_kl: ClassVar[bool] = True

    def __init__(
        self,
        input_key: StateKey,
        target_key: StateKey,
        samples: Annotated[int, positive] = 1,
        state_key: StateKey | None = None,
    ) -> None:
        super().__init__({"input": input_key, "target": target_key}, state_key)
        self.samples = samples

    def compute(self, input: Distribution, target: Distribution) -> Tensor:
        return monte_carlo_kl(input, target, self.samples)


class SimpleNormalSimpleNormalKL(_PairKL):
    """KL between two distributions that have `mu` and `logvar`.

    Example:
        >>> from vae_runner.distributions import SimpleNormal
        >>> q, p = SimpleNormal(torch.ones(1, 2), 0.0), SimpleNormal(0.0, 0.0)
        >>> SimpleNormalSimpleNormalKL(StateKey("q"), StateKey("p")).compute(q, p)
        tensor([[0.5000, 0.5000]])
    """

    def compute(self, input: SimpleNormal, target: SimpleNormal) -> Tensor:
        return kl_divergence(SimpleNormal(input.mu, input.logvar), SimpleNormal(target.mu, target.logvar))


class SimpleNormalUnitNormalKL(DivergenceBase):
    """KL between a distribution that has `mu` and `logvar`, and N(0, 1): [mu^2 + expm1(lv) - lv] / 2.

    Example:
        >>> from vae_runner.distributions import SimpleNormal
        >>> SimpleNormalUnitNormalKL(StateKey("q")).compute(SimpleNormal(torch.tensor([[0.0, 1.0]]), 0.0))
        tensor([[0.0000, 0.5000]])
    """

    def __init__(self, input_key: StateKey, state_key: StateKey | None = None) -> None:
        super().__init__({"input": input_key}, state_key)

    def compute(self, input: SimpleNormal) -> Tensor:
        return (input.mu.square() + torch.expm1(input.logvar) - input.logvar) / 2


class SimpleExponentialSimpleExponentialKL(_PairKL):
    """KL between two distributions that have `lograte`.

    Example:
        >>> from vae_runner.distributions import SimpleExponential
        >>> q, p = SimpleExponential(torch.tensor([[0.0, 1.0]])), SimpleExponential(0.0)
        >>> SimpleExponentialSimpleExponentialKL(StateKey("q"), StateKey("p")).compute(q, p)  # e^-1 - 1 + 1
        tensor([[0.0000, 0.3679]])
    """

    def compute(self, input: SimpleExponential, target: SimpleExponential) -> Tensor:
        return kl_divergence(SimpleExponential(input.lograte), SimpleExponential(target.lograte))


class SimpleWeibullSimpleWeibullKL(_PairKL):
    """KL between two distributions that have `l` (scale) and `k` (shape) (Bauckhage 2013).

    Example:
        >>> from vae_runner.distributions import SimpleWeibull
        >>> q, p = SimpleWeibull(torch.tensor([[1.0, 2.0]]), 1.0), SimpleWeibull(1.0, 1.0)
        >>> SimpleWeibullSimpleWeibullKL(StateKey("q"), StateKey("p")).compute(q, p)  # 2 - ln 2 - 1
        tensor([[0.0000, 0.3069]])
    """

    def compute(self, input: SimpleWeibull, target: SimpleWeibull) -> Tensor:
        return kl_divergence(SimpleWeibull(input.l, input.k), SimpleWeibull(target.l, target.k))


class SimpleUniformSimpleUniformKL(_PairKL):
    """KL between two distributions that have `low` and `high`: infinite where the input reaches beyond the target.

    Example:
        >>> from vae_runner.distributions import SimpleUniform
        >>> q, p = SimpleUniform(0.0, torch.tensor([[1.0, 5.0]])), SimpleUniform(0.0, 4.0)
        >>> SimpleUniformSimpleUniformKL(StateKey("q"), StateKey("p")).compute(q, p)  # ln 4; [0, 5) is not inside
        tensor([[1.3863,    inf]])
    """

    def compute(self, input: SimpleUniform, target: SimpleUniform) -> Tensor:
        return kl_divergence(SimpleUniform(input.low, input.high), SimpleUniform(target.low, target.high))


class SimpleUniformSimpleNormalKL(_PairKL):
    """KL between a distribution that has `low` and `high`, and one that has `mu` and `logvar`.

    Example:
        >>> from vae_runner.distributions import SimpleNormal, SimpleUniform
        >>> q, p = SimpleUniform(torch.tensor([[-1.0]]), 1.0), SimpleNormal(0.0, 0.0)
        >>> SimpleUniformSimpleNormalKL(StateKey("q"), StateKey("p")).compute(q, p)  # (ln 2 pi + 1/3) / 2 - ln 2
        tensor([[0.3925]])
    """

    def compute(self, input: SimpleUniform, target: SimpleNormal) -> Tensor:
        return kl_divergence(SimpleUniform(input.low, input.high), SimpleNormal(target.mu, target.logvar))
