"""Latents that are opened one after another ("information cascading", Jeong & Song 2019, arXiv 1905.09432; Wu et al.
2021, DEFT, arXiv 2102.03986).

Of `open` = n(t) latents at step t, the first n are open, and the others closed: q(z_d|x) of these is p(z_d), so that
their KL is 0, and what is decoded is the prior's median, whatever was drawn. So no gradient comes to the weights that
belong to them alone, which stay as they were drawn. That keeps latents that are to come from being lost while beta is
large: a decoder's column and an encoder's row that are both driven to 0 do not come back.
"""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.schedule import Schedule, as_schedule
from vae_runner.signature import non_negative

__all__ = ["Open", "Opening"]

Open = Annotated[float, non_negative] | Schedule | None


class Opening(nn.Module):
    """Which of the `dims` latents with that `prior`, batch shape (dims,), are open at a step, a tensor ().

    Raises:
        ValueError: where none would ever be, or more than there are.

    Example:
        >>> from vae_runner.distributions import SimpleNormal
        >>> prior = SimpleNormal(torch.zeros(3), torch.zeros(3))
        >>> opening = Opening(1, dims=3, prior=prior)
        >>> opening.decoded(torch.tensor([2.0, 2.0, 2.0]), step=torch.tensor(0))
        tensor([2., 0., 0.])
    """

    median: Tensor
    places: Tensor

    def __init__(self, count: float | Schedule, dims: int, prior: Distribution) -> None:
        super().__init__()
        self.count = as_schedule(count)
        lowest, highest = min(self.count.extremes()), max(self.count.extremes())
        if highest > dims or highest < 1:
            raise ValueError(
                f"open: at most {highest:g} of {dims} latents would be open; give 1 to {dims}, or null for all"
            )
        if lowest < 0:
            raise ValueError(f"open must not be negative, but its schedule comes to {lowest:g}")
        self.register_buffer("median", prior.icdf(torch.full((dims,), 0.5)), persistent=False)
        self.register_buffer("places", torch.arange(1, dims + 1), persistent=False)

    def posterior(self, q: Distribution, prior: Distribution, names: tuple[str, ...], step: Tensor) -> Distribution:
        """Returns q, (B, dims), with the prior in the place of closed latents; both are made of parameters of these
        names.
        """
        is_open = self.is_open(step)
        return type(q)(*(torch.where(is_open, getattr(q, name), getattr(prior, name)) for name in names))

    def decoded(self, z: Tensor, step: Tensor) -> Tensor:
        """Returns codes (..., dims) with the prior's median in the place of closed latents."""
        return torch.where(self.is_open(step), z, self.median)

    def is_open(self, step: Tensor) -> Tensor:
        """Returns which latents are open, (dims,)."""
        return self.places <= self.count(step)

    def opened_at(self, step: int) -> tuple[int, ...]:
        """Returns the latents that are open at the step, and were not before it; none at step 0."""
        if step == 0:
            return ()
        before, now = (int(count) for count in self.count(torch.tensor([step - 1, step])))
        return tuple(range(before, now))
