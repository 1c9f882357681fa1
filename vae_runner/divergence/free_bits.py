"""A floor under the KL of each latent, below which it costs nothing to carry more: free bits.

    batch   sum over groups of max(floor, E_x KL_g(x))      Kingma et al. 2016, arXiv 1606.04934, appendix C.8
    image   E_x of the sum over groups of max(floor, KL_g(x))

where a group is a latent, or several side by side. Where the floor holds there is no gradient, so that no latent is
pressed to the prior before it has learned something. What is measured as `kl` stays E_x KL.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.divergence.composite import WeightedParts, kl_of
from vae_runner.schedule import Schedule
from vae_runner.signature import enforced, non_negative, positive
from vae_runner.state import StateKey

__all__ = ["FreeBits", "floored"]

Weight = Annotated[float, non_negative] | Schedule


def floored(kl: Tensor, floor: Tensor, per_image: bool = False) -> Tensor:
    """Returns the sum over groups of the KL (B, G) with a floor under each group's batch mean, or each image's, ()."""
    groups = kl if per_image else kl.mean(0, keepdim=True)
    return torch.maximum(groups, floor).sum(1).mean()


@enforced
class FreeBits(WeightedParts):
    """beta times the KL of one latent space, of which `floor` nats in each group are free.

    Logged: `free`, the part of the groups that are at or below the floor.

    Args:
        input_key, target_key, dims: facts of the run, see `vae_runner.objective.facts`.
        floor: nats of each group that are free, a number or a schedule.
        beta: the weight, a number or a schedule.
        per: whether the floor is under the mean of the `batch`, or under each `image`'s KL.
        groups: the numbers of latents in each group, in order; None: each latent is its own.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Raises:
        ValueError: where the groups do not add up to the latents.

    Example:
        >>> term = FreeBits(StateKey("q"), StateKey("p"), dims=2, floor=0.5, beta=1.0)
        >>> q, p = (torch.distributions.Normal(torch.tensor(mu), 1.0) for mu in ([[0.0, 2.0]], [0.0, 0.0]))
        >>> term.compute_parts(q, p)  # 0 nats count as 0.5, and 2 as 2
        (tensor(2.5000), {'free': tensor(0.5000)})
    """

    kl_weight = "beta"

    def __init__(
        self,
        input_key: StateKey,
        target_key: StateKey,
        dims: int,
        floor: Weight = 0.25,
        beta: Weight = 1.0,
        per: Literal["batch", "image"] = "batch",
        groups: Sequence[Annotated[int, positive]] | None = None,
        samples: Annotated[int, positive] | None = None,
    ) -> None:
        super().__init__({"input": input_key, "target": target_key}, {"floor": floor, "beta": beta})
        if groups is not None and sum(groups) != dims:
            raise ValueError(f"groups must add up to the {dims} latents, got {list(groups)}: {sum(groups)}")
        self.groups = None if groups is None else list(groups)
        self.per_image, self.samples = per == "image", samples

    def compute_parts(self, input: Distribution, target: Distribution) -> tuple[Tensor, dict[str, Tensor]]:
        kl = kl_of(input, target, self.samples)
        if self.groups is not None:
            kl = torch.stack([group.sum(1) for group in kl.split(self.groups, dim=1)], dim=1)
        floor = self.weight("floor").to(kl.dtype)
        free = ((kl if self.per_image else kl.mean(0)) <= floor).to(kl.dtype).mean()
        return self.weight("beta") * floored(kl, floor, self.per_image), {"free": free}
