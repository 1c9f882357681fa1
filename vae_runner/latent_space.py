"""Latent spaces: how numbers that a network puts out become a posterior q(z|x), and what the prior p(z) is.

A network's numbers r are unlimited; each family has a head that maps them smoothly into its legal range, so that r = 0
is the family's standard distribution (of the uniform: 0.88 of the prior's interval). Locations (mu, loc and centre)
have no limit. Up to |r| = 1e18, the log density of a sample and the KL to a standard prior do not overflow:

    normal       mu = r1,                      log variance  = limited(r2, -20, 20)
    laplace      loc = r1,                     log scale     = limited(r2, -10, 10)
    exponential                                log rate      = limited(r1, -20, 20)
    weibull      ln scale = limited(r1, -10, 10),   ln shape         = limited(r2, ln 1/10, ln 30)
    gamma        ln mean  = limited(r1, -10, 10),   ln concentration = limited(r2, ln 1/20, ln 1000)
    uniform      an interval inside that of a uniform prior: sigmoid(2 + limited(r2, -10, 10)) of its width, and of what
                 is left sigmoid(r1) lies below; with a prior of another family, centre r1 and half width
                 sqrt(3) e^limited(r2, -10, 10), which is a standard deviation of 1 at r2 = 0

    categorical  logits        = limited(r, -20, 20)

`limited` has slope 1 at 0. The prior may be of any family that covers the posterior's.
"""

import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from vae_runner.distributions import (
    Gamma,
    OneHot,
    RelaxedOneHot,
    SimpleExponential,
    SimpleLaplace,
    SimpleNormal,
    SimpleUniform,
    SimpleWeibull,
)
from vae_runner.learned_prior import LearnedPrior, VampPrior
from vae_runner.schedule import Schedule, as_schedule
from vae_runner.signature import Limit, enforced, positive
from vae_runner.state import State

__all__ = [
    "CategoricalSpace",
    "ExponentialSpace",
    "GammaSpace",
    "LaplaceSpace",
    "LatentSpace",
    "NormalSpace",
    "UniformSpace",
    "WeibullSpace",
    "limited",
]

few = Limit("must be at most 100,000", lambda value: value <= 100_000)
Count = Annotated[int, positive, few]
classes = Limit("must be at least 2, for there to be a choice", lambda value: value >= 2)
Prior = Distribution | LearnedPrior


def limited(raw: Tensor, low: float, high: float) -> Tensor:
    """Returns `raw` in (low, high), low < 0 < high: high tanh(r / high) above 0, so too below; twice differentiable."""
    bound = torch.where(raw > 0, high, -low)
    return bound * torch.tanh(raw / bound)


class LatentSpace(nn.Module):
    """Base class: `dims` latent dimensions, `num_parameters` numbers of the network for each image.

    `prior` is a distribution of one number, or of `dims` numbers; its parameters are kept as buffers `prior_NAME`, so
    that they move and are saved with the model. Or it is one that learns, whose parameters are the model's.

    Raises:
        ValueError: where it does not fit.

    Example:
        >>> space = NormalSpace(dims=3)
        >>> space.num_parameters, space.prior().mean  # mu and log variance of each
        (6, tensor([0., 0., 0.]))
    """

    family = "own"  # the posterior's, as people call it
    step: Tensor  # where it has schedules: a count of training steps, ()

    def __init__(self, dims: int, num_parameters: int, prior: Prior) -> None:
        super().__init__()
        self.dims = dims
        self.num_parameters = num_parameters
        self.prior_type = type(prior)
        self.prior_names: tuple[str, ...] = ()
        self.learned = prior if isinstance(prior, LearnedPrior) else None
        if isinstance(prior, LearnedPrior):
            prior.made_for(dims)
        else:
            self._keep(prior)

    def _keep(self, prior: Distribution) -> None:
        """Keep what a fixed prior is made of."""
        _check_kind(prior)
        if isinstance(prior, OneHot) and self.family != "categorical":
            raise ValueError(f"prior: OneHot is over classes, and not over {self.family} latents")
        self.prior_names = tuple(_parameter_names(prior))
        for name in self.prior_names:
            value = torch.as_tensor(getattr(prior, name), dtype=torch.get_default_dtype())
            _check_parameter(prior, name, value, self.dims)
            self.register_buffer(f"prior_{name}", value.expand(self.dims).clone())
        self._check_prior_can_be_made()

    def posterior(self, raw: Tensor) -> Distribution:
        """Returns q(z|x), batch shape (B, dims), from (B, num_parameters); in float32."""
        raise NotImplementedError(f"{type(self).__name__} has no posterior")

    def see(self, image_shape: tuple[int, int, int]) -> None:
        """Be told the images' shape, before training."""
        if (learned := getattr(self, "learned", None)) is not None:
            learned.made_for(self.dims, image_shape)

    @property
    def pseudo_inputs(self) -> Tensor | None:
        """Images (K, C, H, W) whose posteriors make the prior; None where it needs none."""
        learned = getattr(self, "learned", None)  # a space of one's own may make its prior otherwise
        return None if learned is None else learned.images()

    def prior(self, of_pseudo_inputs: Distribution | None = None) -> Distribution:
        """Returns p(z), batch shape (dims,); of the posteriors (K, dims) of its pseudo-inputs, where it has some."""
        if self.learned is not None:
            return self.learned.distribution(of_pseudo_inputs)
        values = {name: getattr(self, f"prior_{name}") for name in self.prior_names}
        return self.prior_type(**values, validate_args=False)

    def _check_prior_can_be_made(self) -> None:
        try:
            LatentSpace.prior(self)
        except (TypeError, ValueError) as error:
            names = ", ".join(self.prior_names) or "no parameters"
            raise ValueError(f"prior: {self.prior_type.__name__} cannot be made of {names}: {error}") from None

    def decoded(self, z: Tensor) -> Tensor:
        """Returns what the decoder is given for codes (..., dims)."""
        return z

    def schedules(self) -> dict[str, Schedule]:
        """Returns what changes with the step, by name; a space that has some counts its steps in `step`."""
        return {}

    def on_step_training(self, state: State) -> None:
        """After each optimiser step; never in validation."""

    def extra_repr(self) -> str:
        return f"dims={self.dims}, prior={self.prior_type.__name__}"


@enforced
class NormalSpace(LatentSpace):
    """q(z|x) = N(mu, e^logvar), diagonal; p(z) = N(0, 1) unless a `prior` is given.

    Example:
        >>> q = NormalSpace(dims=2).posterior(torch.tensor([[1.0, -1.0, 0.0, 0.0]]))  # mu, then log variance
        >>> q.mean, q.stddev
        (tensor([[ 1., -1.]]), tensor([[1., 1.]]))
    """

    family = "normal"

    def __init__(self, dims: Count = 10, prior: Prior | None = None) -> None:
        super().__init__(dims, 2 * dims, prior or SimpleNormal(0.0, 0.0))

    def posterior(self, raw: Tensor) -> SimpleNormal:
        mu, logvar = raw.float().chunk(2, dim=1)
        return SimpleNormal(mu, limited(logvar, -20, 20))


@enforced
class LaplaceSpace(LatentSpace):
    """q(z|x) = Laplace(loc, scale); p(z) = Laplace(0, 1) unless a `prior` is given.

    Example:
        >>> LaplaceSpace(dims=2).posterior(torch.zeros(1, 4)).scale  # of zeros, the prior
        tensor([[1., 1.]])
    """

    family = "laplace"

    def __init__(self, dims: Count = 10, prior: Prior | None = None) -> None:
        super().__init__(dims, 2 * dims, prior or SimpleLaplace(0.0, 1.0))

    def posterior(self, raw: Tensor) -> SimpleLaplace:
        loc, logscale = raw.float().chunk(2, dim=1)
        return SimpleLaplace(loc, limited(logscale, -10, 10).exp())


@enforced
class ExponentialSpace(LatentSpace):
    """q(z|x) = Exponential(e^lograte), one parameter for each dimension; p(z) = Exponential(1) unless given.

    Example:
        >>> ExponentialSpace(dims=2).posterior(torch.zeros(1, 2)).mean
        tensor([[1., 1.]])
    """

    family = "exponential"

    def __init__(self, dims: Count = 10, prior: Prior | None = None) -> None:
        super().__init__(dims, dims, prior or SimpleExponential(0.0))

    def posterior(self, raw: Tensor) -> SimpleExponential:
        return SimpleExponential(limited(raw.float(), -20, 20))


@enforced
class WeibullSpace(LatentSpace):
    """q(z|x) = Weibull(scale l, shape k); p(z) = Weibull(1, 1) unless given (Squires et al. 2019, arXiv 1906.05912).

    Example:
        >>> WeibullSpace(dims=2).posterior(torch.zeros(1, 4)).k  # a shape of 1: exponential
        tensor([[1., 1.]])
    """

    family = "weibull"

    def __init__(self, dims: Count = 10, prior: Prior | None = None) -> None:
        super().__init__(dims, 2 * dims, prior or SimpleWeibull(1.0, 1.0))

    def posterior(self, raw: Tensor) -> SimpleWeibull:
        logscale, logshape = raw.float().chunk(2, dim=1)
        return SimpleWeibull(limited(logscale, -10, 10).exp(), limited(logshape, -math.log(10), math.log(30)).exp())


@enforced
class GammaSpace(LatentSpace):
    """q(z|x) = Gamma(concentration, concentration / mean); p(z) = Gamma(1, 1) unless a `prior` is given.

    Example:
        >>> GammaSpace(dims=2).posterior(torch.tensor([[1.0, 1.0, 0.0, 0.0]])).mean.log()  # nearly what was put in
        tensor([[0.9967, 0.9967]])
    """

    family = "gamma"

    def __init__(self, dims: Count = 10, prior: Prior | None = None) -> None:
        super().__init__(dims, 2 * dims, prior or Gamma(1.0, 1.0))

    def posterior(self, raw: Tensor) -> Gamma:
        logmean, logconcentration = raw.float().chunk(2, dim=1)
        concentration = limited(logconcentration, -math.log(20), math.log(1000)).exp()
        return Gamma(concentration, concentration * (-limited(logmean, -10, 10)).exp())


@enforced
class UniformSpace(LatentSpace):
    """q(z|x) = Uniform(low, high); p(z) = Uniform(-1, 1) unless a `prior` is given.

    Inside a uniform prior, the KL is minus the logarithm of the part of it that the posterior takes.

    Example:
        >>> q = UniformSpace(dims=1).posterior(torch.zeros(1, 2))
        >>> q.low, q.high  # 0.88 of [-1, 1]
        (tensor([[-0.8808]]), tensor([[0.8808]]))
    """

    family = "uniform"
    prior_low: Tensor
    prior_high: Tensor

    def __init__(self, dims: Count = 10, prior: Prior | None = None) -> None:
        prior = prior or SimpleUniform(-1.0, 1.0)
        if isinstance(prior, VampPrior):
            raise ValueError("prior: vamp, of uniform posteriors, has gaps, where the KL is infinite; take mixture")
        super().__init__(dims, 2 * dims, prior)
        self.nested = {"low", "high"} <= set(self.prior_names)

    def posterior(self, raw: Tensor) -> SimpleUniform:
        centre, width = raw.float().chunk(2, dim=1)
        if not self.nested:
            half = math.sqrt(3) * limited(width, -10, 10).exp()
            return _interval(centre - half, centre + half)
        low, high = self.prior_low, self.prior_high
        part = torch.sigmoid(2 + limited(width, -10, 10))
        start = low + (high - low) * (1 - part) * torch.sigmoid(centre)
        start = _moved(start, torch.minimum(start, torch.nextafter(high, low)))
        return _interval(start, torch.minimum(start + (high - low) * part, high))  # not an ulp beyond


@enforced
class CategoricalSpace(LatentSpace):
    """q(z|x) is one of `dims` classes, whose vector is decoded; each as likely in p(z) unless a `prior` is given.

    In training a draw is a point between the classes, at a `temperature` that may be a schedule, or goes
    `straight_through` as a class. In evaluation it is a class, so that -ELBO is that of the model with classes.

    Example:
        >>> space = CategoricalSpace(dims=3).eval()
        >>> space.posterior(torch.zeros(1, 3)).rsample().sum(), space.prior().mean
        (tensor(1.), tensor([0.3333, 0.3333, 0.3333]))
    """

    family = "categorical"
    step: Tensor

    def __init__(
        self,
        dims: Annotated[int, classes, few] = 10,
        prior: Prior | None = None,
        temperature: Annotated[float, positive] | Schedule = 0.67,
        straight_through: bool = False,
    ) -> None:
        prior = prior or OneHot(torch.zeros(()))
        if not isinstance(prior, OneHot):
            raise ValueError(f"prior: {type(prior).__name__} is not over classes; take distribution/prior=categorical")
        super().__init__(dims, dims, prior)
        self.temperature, self.straight_through = as_schedule(temperature), straight_through
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def posterior(self, raw: Tensor) -> OneHot:
        logits = limited(raw.float(), -20, 20)
        if not self.training:
            return OneHot(logits)
        return RelaxedOneHot(logits, self.temperature(self.step), self.straight_through)

    def schedules(self) -> dict[str, Schedule]:
        return {"temperature": self.temperature}

    def on_step_training(self, state: State) -> None:
        self.step.add_(1)


def _interval(low: Tensor, high: Tensor) -> SimpleUniform:
    """Returns the uniform distribution on [low, high), an ulp wide where both are rounded to one number."""
    next_to_low = torch.nextafter(low.detach(), torch.full_like(low, math.inf))
    return SimpleUniform(low, _moved(high, torch.maximum(high, next_to_low)))


def _moved(value: Tensor, to: Tensor) -> Tensor:
    """Returns `to`, with the gradient of `value`."""
    return value + (to.detach() - value.detach())


def _parameter_names(prior: Distribution) -> list[str]:
    """The names of what the prior was made of; torch offers `probs` and `logits`, and makes of one the other."""
    names = list(getattr(prior, "parameter_names", None) or prior.arg_constraints)
    if {"probs", "logits"} <= set(names):
        given = next((name for name in vars(prior) if name in ("probs", "logits")), None)
        names.remove("logits" if given == "probs" else "probs")
    return names


def _check_kind(prior: Distribution) -> None:
    if prior.event_shape or not prior.has_rsample:
        raise ValueError(f"prior: {type(prior).__name__} is not a continuous distribution of one number")


def _check_parameter(prior: Distribution, name: str, value: Tensor, dims: int) -> None:
    kind = type(prior).__name__
    if value.shape not in ((), (1,), (dims,)):
        raise ValueError(f"prior: {kind}'s {name} has shape {tuple(value.shape)}; give one number, or {dims}")
    constraint = prior.arg_constraints[name]
    if not constraints.is_dependent(constraint) and not constraint.check(value).all():
        wanted = "positive" if constraint is constraints.positive else f"in {constraint}"
        raise ValueError(f"prior: {kind}'s {name} must be {wanted}, got {value.tolist()}")
