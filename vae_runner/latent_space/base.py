"""What a latent space is: a head that makes a posterior of a network's numbers, and a prior, fixed or learned."""

from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.distributions import OneHot
from vae_runner.latent_space.fixed_prior import check_kind, check_parameter, parameter_names
from vae_runner.latent_space.opening import Open, Opening
from vae_runner.learned_prior import LearnedPrior
from vae_runner.schedule import Schedule
from vae_runner.state import State

__all__ = ["LatentSpace", "Prior", "limited"]

Prior = Distribution | LearnedPrior
Posterior = TypeVar("Posterior", bound=Distribution)


def limited(raw: Tensor, low: float, high: float) -> Tensor:
    """Returns `raw` in (low, high), low < 0 < high: high tanh(r / high) above 0, so too below; twice differentiable."""
    bound = torch.where(raw > 0, high, -low)
    return bound * torch.tanh(raw / bound)


class LatentSpace(nn.Module):
    """Base class: `dims` latent dimensions, `num_parameters` numbers of the network for each image.

    `prior` is a distribution of one number, or of `dims` numbers; its parameters are kept as buffers `prior_NAME`, so
    that they move and are saved with the model. Or it is one that learns, whose parameters are the model's.

    Of `open` latents the others are closed, as `opening` says.

    Raises:
        ValueError: where it does not fit.

    Example:
        >>> from vae_runner.latent_space import NormalSpace
        >>> space = NormalSpace(dims=3)
        >>> space.num_parameters, space.prior().mean  # mu and log variance of each
        (6, tensor([0., 0., 0.]))
    """

    family = "own"  # the posterior's, as people call it
    own_prior: type[Distribution] | None = None  # of the posterior's family, made of the same parameters
    opening: Opening | None  # of some that are closed
    step: Tensor  # where it has schedules: a count of training steps, ()

    def __init__(self, dims: int, num_parameters: int, prior: Prior, open: Open = None) -> None:
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
        self.opening = None if open is None else self._opening(prior, open)
        if open is not None:
            self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def _opening(self, prior: Prior, open: float | Schedule) -> Opening:
        """Raises `ValueError` where a closed latent's posterior cannot be its prior."""
        own = self.own_prior
        if own is None or not isinstance(prior, own):
            raise ValueError(
                f"open: the posterior of a closed latent is its prior, and {self.family} latents cannot be "
                f"{type(prior).__name__}; take open=null, or a prior of their own family"
            )
        return Opening(open, self.dims, LatentSpace.prior(self))

    def _opened(self, q: Posterior) -> Posterior:
        """The posterior with its prior in the place of closed latents."""
        if (opening := _opening_of(self)) is None:
            return q
        return cast(Posterior, opening.posterior(q, LatentSpace.prior(self), self.prior_names, self.step))

    def _keep(self, prior: Distribution) -> None:
        """Keep what a fixed prior is made of."""
        check_kind(prior)
        if isinstance(prior, OneHot) and self.family != "categorical":
            raise ValueError(f"prior: OneHot is over classes, and not over {self.family} latents")
        self.prior_names = tuple(parameter_names(prior))
        for name in self.prior_names:
            value = torch.as_tensor(getattr(prior, name), dtype=torch.get_default_dtype())
            check_parameter(prior, name, value, self.dims)
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
        opening = _opening_of(self)
        return z if opening is None else opening.decoded(z, self.step)

    def schedules(self) -> dict[str, Schedule]:
        """Returns what changes with the step, by name; a space that has some counts its steps in `step`."""
        opening = _opening_of(self)
        return {} if opening is None else {"open": opening.count}

    def on_step_training(self, state: State) -> None:
        """After each optimiser step; never in validation."""
        if _opening_of(self) is not None:
            self.step.add_(1)

    def extra_repr(self) -> str:
        return f"dims={self.dims}, prior={self.prior_type.__name__}"


def _opening_of(space: LatentSpace) -> Opening | None:
    return getattr(space, "opening", None)  # a space of one's own need not have been made by `LatentSpace`
