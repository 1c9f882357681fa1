"""Latents that are one of several classes, which training draws from between them (Jang et al. 2017, arXiv
1611.01144; Maddison et al. 2017, arXiv 1611.00712).
"""

from typing import Annotated

import torch
from torch import Tensor

from vae_runner.distributions import OneHot, RelaxedOneHot
from vae_runner.latent_space.base import LatentSpace, Prior, limited
from vae_runner.latent_space.families import few
from vae_runner.schedule import Schedule, as_schedule
from vae_runner.signature import Limit, enforced, positive
from vae_runner.state import State

__all__ = ["CategoricalSpace"]

classes = Limit("must be at least 2, for there to be a choice", lambda value: value >= 2)


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
