"""Which images a run trains on, and which are held back for validation."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import torch
from torch import Tensor

from vae_runner.errors import UserError
from vae_runner.randomness import permutation, seed_for
from vae_runner.signature import Limit, enforced, positive

__all__ = ["EpochOrder", "ImageData", "SplitConfig", "Subset", "factors_of", "split"]

part_or_count = Limit(
    "must be a part below 1 or a count of images",
    lambda value: math.isfinite(value) and (0 < value < 1 or value == int(value) > 0),
)


class ImageData(Protocol):
    """What the engine needs of a data set, beside torchvision's `[index]` and `len`.

    One that knows what its images were made of may have `factors` too, see `factors_of`.
    """

    image_shape: tuple[int, int, int]  # (channels, height, width)
    provenance: dict[str, Any]  # where the images came from; `source` says it in a word

    def __len__(self) -> int: ...

    def gather(self, indices: Tensor) -> Tensor:
        """Returns the images of a whole batch of indices (B,), (B, C, H, W) float32 in [0, 1], on the data's device."""

    def to(self, device: torch.device | str) -> "ImageData":
        """Move what `gather` reads to that device."""

    def showcase(self) -> list[int]:
        """Indices of a few images that show what there is, for pictures."""

    def fingerprint(self) -> str:
        """A hash that tells whether two runs saw the same images."""


@enforced
@dataclass(frozen=True)
class SplitConfig:
    """`limit` images of the set (a random choice; null: all), of which `validation` (a count, or a part below 1) are
    held back. Both choices depend on `split_seed` alone, so that runs of different seeds are validated alike.
    """

    validation: Annotated[float, part_or_count] = 2000
    limit: Annotated[int, positive] | None = None
    split_seed: int = 0


class Subset:
    """Some images of a data set, by their indices (N,) int64."""

    def __init__(self, data: ImageData, indices: Tensor) -> None:
        self.data = data
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, positions: Tensor) -> Tensor:
        """Returns the images at those positions of the subset, (B, C, H, W) float32 in [0, 1]."""
        return self.data.gather(self.indices[positions])

    def to(self, device: torch.device | str) -> "Subset":
        """Move the indices, and the data set's images, to that device."""
        self.indices = self.indices.to(device)
        self.data.to(device)
        return self


def split(data: ImageData, config: SplitConfig) -> tuple[Subset, Subset]:
    """Returns (training, validation), disjoint. Raises `UserError` where one of them would be empty."""
    order = permutation(len(data), seed_for(config.split_seed, "split"))
    order = order[: min(config.limit or len(data), len(data))]
    held = config.validation
    count = round(held * len(order)) if held < 1 else int(held)
    if not 0 < count < len(order):
        purpose = "train on" if count else "validate"
        raise UserError(f"dataset.validation={held:g} of {len(order):,} images leaves nothing to {purpose}")
    return Subset(data, order[count:].sort().values), Subset(data, order[:count].sort().values)


def factors_of(data: ImageData, indices: Tensor) -> dict[str, Tensor]:
    """What the data set's optional `factors(indices)` knows of the images at `indices` (B,): for each varying factor
    its classes (B,) int64, its values (B,), or the coordinates (B, K) of one that goes in a circle. Empty for others.
    """
    known = getattr(data, "factors", None)
    return {} if known is None else known(indices)


class EpochOrder:
    """The batch of every step: each epoch is a new permutation, seeded by (seed, epoch), its incomplete last batch left
    out. The permutation of one epoch is kept, on `device`.
    """

    def __init__(self, size: int, batch_size: int, seed: int, device: torch.device | str = "cpu") -> None:
        if batch_size > size:
            raise UserError(f"engine.batch_size={batch_size} but only {size:,} images to train on")
        self.size, self.batch_size, self.seed, self.device = size, batch_size, seed, device
        self.steps_per_epoch = size // batch_size
        self._epoch = -1

    def positions(self, step: int) -> Tensor:
        """Returns the positions in the training set of the batch that step number `step` (from 0) is made on, (B,)."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = permutation(self.size, seed_for(self.seed, "epoch", epoch))
            self._order, self._epoch = order.to(self.device), epoch
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
