"""The images of each step: of (seed, epoch, position), mirrored or not, and their partners where terms ask for some.

What is augmented is so by a generator of (seed, step): the same in a resumed run, and of an image and its partner.
"""

import torch
from torch import Tensor

from vae_runner.augmentation import Augmentation, Unchanged
from vae_runner.datasets.split import EpochOrder, Partners, Subset
from vae_runner.randomness import isolated, seed_for

__all__ = ["Batches"]

AHEAD = 4  # batches that are announced: decoded ahead without a store, fetched where a store is on the disk


class Batches:
    """The batches of `total` steps on a training set, each changed by the `augmentation`."""

    def __init__(
        self,
        train: Subset,
        order: EpochOrder,
        total: int,
        partners: Partners | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.train, self.order, self.total, self.partners = train, order, total, partners
        self.augmentation = augmentation or Unchanged()
        self._expected = 0  # the first step whose images are not announced

    def at(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Returns the images of a step, (B, C, H, W), and their partners, mirrored and augmented as they are; the
        next ones are announced.
        """
        last = min(step + AHEAD, self.total)
        for coming in range(max(step, self._expected), last):
            self.train.expect(self.order.positions(coming))
            if self.partners is not None and self.train.data.reads_ahead:
                self.train.data.expect(self._indices(self.partners, coming))
        self._expected = last
        partners = None if self.partners is None else self.train.data.gather(self._indices(self.partners, step))
        x = self.train.batch(self.order.positions(step))
        return self._changed(x, step), None if partners is None else self._changed(partners, step)

    def rewind(self) -> None:
        """Steps are asked for anew, from whichever."""
        self._expected = 0

    def _indices(self, partners: Partners, step: int) -> Tensor:
        return partners.indices(step).to(self.train.indices.device, non_blocking=True)

    def _changed(self, x: Tensor, step: int) -> Tensor:
        x = self._mirrored(x, step)
        if isinstance(self.augmentation, Unchanged):
            return x
        with isolated(seed_for(self.order.seed, "augmentation", step), x.device):
            return self.augmentation(x)

    def _mirrored(self, x: Tensor, step: int) -> Tensor:
        if not self.train.flip:
            return x
        flips = self.order.flips(step).to(x.device, non_blocking=True)
        return torch.where(flips[:, None, None, None], x.flip(-1), x)
