"""The images of each step: of (seed, epoch, position), mirrored or not, and their partners where terms ask for some.

What is augmented is so by a generator of (seed, step): the same in a resumed run, and of an image and its partner.

Of several processes each reads its own rows of a batch. Where something is drawn for each image, it reads all of them
and drops the others' behind it, so that an image is changed as it would be in one process.
"""

import torch
from torch import Tensor

from vae_runner.augmentation import Augmentation, Unchanged
from vae_runner.corruption import Clean, Corruption
from vae_runner.datasets.split import EpochOrder, Partners, Subset
from vae_runner.randomness import isolated, seed_for

__all__ = ["Batches"]

AHEAD = 4  # batches that are announced: decoded ahead without a store, fetched where a store is on the disk


class Batches:
    """The batches of `total` steps on a training set, each changed by the `augmentation`; `corruption` makes what the
    model is given of them, and of each it is given those `rows`; None: all.
    """

    def __init__(
        self,
        train: Subset,
        order: EpochOrder,
        total: int,
        partners: Partners | None = None,
        augmentation: Augmentation | None = None,
        corruption: Corruption | None = None,
        rows: slice | None = None,
    ) -> None:
        self.train, self.order, self.total, self.partners = train, order, total, partners
        self.augmentation, self.corruption = augmentation or Unchanged(), corruption or Clean()
        is_drawn = not (isinstance(self.augmentation, Unchanged) and isinstance(self.corruption, Clean))
        self._kept = rows if is_drawn else None
        self._read = slice(None) if rows is None or is_drawn else rows
        self._expected = 0  # the first step whose images are not announced

    def given(self, step: int) -> tuple[Tensor, ...]:
        """Returns what the objective is given in a step: input and target, (B, C, H, W), and those of the partners."""
        given = [(self.corruption(x), x) for x in self.at(step) if x is not None]
        return tuple(x if self._kept is None else x[self._kept] for pair in given for x in pair)

    def at(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Returns the images of a step, (B, C, H, W), and their partners, mirrored and augmented as they are; the
        next ones are announced.
        """
        last = min(step + AHEAD, self.total)
        for coming in range(max(step, self._expected), last):
            self.train.expect(self.order.positions(coming)[self._read])
            if self.partners is not None and self.train.data.reads_ahead:
                self.train.data.expect(self._indices(self.partners, coming))
        self._expected = last
        partners = None if self.partners is None else self.train.data.gather(self._indices(self.partners, step))
        x = self.train.batch(self.order.positions(step)[self._read])
        return self._changed(x, step), None if partners is None else self._changed(partners, step)

    def rewind(self) -> None:
        """Steps are asked for anew, from whichever."""
        self._expected = 0

    def _indices(self, partners: Partners, step: int) -> Tensor:
        return partners.indices(step)[self._read].to(self.train.indices.device, non_blocking=True)

    def _changed(self, x: Tensor, step: int) -> Tensor:
        x = self._mirrored(x, step)
        if isinstance(self.augmentation, Unchanged):
            return x
        with isolated(seed_for(self.order.seed, "augmentation", step), x.device):
            return self.augmentation(x)

    def _mirrored(self, x: Tensor, step: int) -> Tensor:
        if not self.train.flip:
            return x
        flips = self.order.flips(step)[self._read].to(x.device, non_blocking=True)
        return torch.where(flips[:, None, None, None], x.flip(-1), x)
