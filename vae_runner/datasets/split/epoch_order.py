"""The order in which a training goes through its images: a function of (seed, step), so nothing has to be saved."""

import torch
from torch import Tensor

from vae_runner.errors import UserError
from vae_runner.randomness import permutation, seed_for

__all__ = ["EpochOrder"]


class EpochOrder:
    """The batch of every step: each epoch is a new permutation, seeded by (seed, epoch), its incomplete last batch left
    out. Permutations are kept on `device`: those of an epoch and the next, and of all that begin within `LOOKAHEAD`
    batches, so that looking so far ahead makes none twice.

    Example:
        >>> order = EpochOrder(size=10, batch_size=4, seed=0)
        >>> torch.cat([order.positions(0), order.positions(1)]).unique().numel()  # two batches, and two images left out
        8
    """

    LOOKAHEAD = 8

    def __init__(self, size: int, batch_size: int, seed: int, device: torch.device | str = "cpu") -> None:
        if batch_size > size:
            fault = f"engine.batch_size={batch_size} but only {size:,} images to train on"
            raise UserError(f"{fault}; give {size} or less")
        self.size, self.batch_size, self.seed, self.device = size, batch_size, seed, device
        self.steps_per_epoch = size // batch_size
        self._orders: dict[int, Tensor] = {}
        self._flips: tuple[int, Tensor] = (-1, torch.empty(0))

    def positions(self, step: int) -> Tensor:
        """Returns the positions in the training set of the batch that step number `step` (from 0) is made on, (B,)."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if epoch not in self._orders:
            order = permutation(self.size, seed_for(self.seed, "epoch", epoch)).to(self.device)
            span = 1 + self.LOOKAHEAD // self.steps_per_epoch  # epochs
            self._orders = {number: kept for number, kept in self._orders.items() if abs(number - epoch) <= span}
            self._orders[epoch] = order
        return self._orders[epoch][batch * self.batch_size : (batch + 1) * self.batch_size]

    def flips(self, step: int) -> Tensor:
        """Returns which images of that batch are mirrored, (B,) bool: half of the set, by (seed, epoch, image)."""
        epoch = step // self.steps_per_epoch
        if epoch != self._flips[0]:
            generator = torch.Generator().manual_seed(seed_for(self.seed, "flip", epoch))
            self._flips = epoch, (torch.rand(self.size, generator=generator) < 0.5).to(self.device)
        return self._flips[1][self.positions(step)]
