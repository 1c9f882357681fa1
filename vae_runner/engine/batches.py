"""The images of each step: of (seed, epoch, position), mirrored or not, and their partners where terms ask for some."""

import torch
from torch import Tensor

from vae_runner.datasets.split import EpochOrder, Partners, Subset

__all__ = ["Batches"]

AHEAD = 4  # batches that are announced: decoded ahead without a store, fetched where a store is on the disk


class Batches:
    """The batches of `total` steps on a training set."""

    def __init__(self, train: Subset, order: EpochOrder, total: int, partners: Partners | None = None) -> None:
        self.train, self.order, self.total, self.partners = train, order, total, partners
        self._expected = 0  # the first step whose images are not announced

    def at(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Returns the images of a step, (B, C, H, W), and their partners, mirrored as they are; the next ones are
        announced.
        """
        last = min(step + AHEAD, self.total)
        for coming in range(max(step, self._expected), last):
            self.train.expect(self.order.positions(coming))
            if self.partners is not None and self.train.data.reads_ahead:
                self.train.data.expect(self._indices(self.partners, coming))
        self._expected = last
        partners = None if self.partners is None else self.train.data.gather(self._indices(self.partners, step))
        x = self.train.batch(self.order.positions(step))
        return self._mirrored(x, step), None if partners is None else self._mirrored(partners, step)

    def rewind(self) -> None:
        """Steps are asked for anew, from whichever."""
        self._expected = 0

    def _indices(self, partners: Partners, step: int) -> Tensor:
        return partners.indices(step).to(self.train.indices.device, non_blocking=True)

    def _mirrored(self, x: Tensor, step: int) -> Tensor:
        if not self.train.flip:
            return x
        flips = self.order.flips(step).to(x.device, non_blocking=True)
        return torch.where(flips[:, None, None, None], x.flip(-1), x)
