"""Which images a run trains on, and which are held back for validation.

A data set may bring a split of its own, `own_split() -> (training indices, validation indices) or None`; and one that
is costly to read may have `limited(count, seed)`, itself with so many images, of the others of which nothing is read.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import torch
from torch import Tensor

from vae_runner.datasets.completion import completed
from vae_runner.errors import UserError
from vae_runner.randomness import permutation, seed_for
from vae_runner.signature import Limit, enforced, positive

__all__ = ["EpochOrder", "ImageData", "SplitConfig", "Subset", "factors_of", "limited", "split"]

_DEFAULT = 2000  # images held back
part_or_count = Limit(
    "must be a part below 1 or a count of images",
    lambda value: math.isfinite(value) and (0 < value < 1 or value == int(value) > 0),
)


class ImageData(Protocol):
    """What the engine needs of a data set, beside torchvision's `[index]` and `len`; `completed` makes up for the most
    of it where a user's own set has less.

    One that knows what its images were made of may have `factors` too, see `factors_of`; one that reads them on the
    host, though `gather` answers on a GPU, may say so by `on_host`, and is not made to wait for indices from there.
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
    held back. Both choices depend on `split_seed` alone, so that runs of different seeds are validated alike. Of a set
    with a split of its own, so many of its validation images are used; null: all of them, and else 2000.

    `flip` mirrors half of the images in training, left to right, by (seed, epoch, image).
    """

    validation: Annotated[float, part_or_count] | None = 2000
    limit: Annotated[int, positive] | None = None
    split_seed: int = 0
    flip: bool = False


class Subset:
    """Some images of a data set, by their indices (N,) int64; `flip`: half of them are mirrored in training.

    Positions are on the device of the indices.
    """

    def __init__(self, data: ImageData, indices: Tensor, flip: bool = False) -> None:
        self.data = data
        self.indices = indices
        self.flip = flip

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, positions: Tensor) -> Tensor:
        """Returns the images at those positions of the subset, (B, C, H, W) float32 in [0, 1]."""
        return self.data.gather(self.indices.index_select(0, positions))

    def expect(self, positions: Tensor) -> None:
        """Tell the data set, if it wants to know, which images a batch will be made of soon."""
        if expect := getattr(self.data, "expect", None):
            expect(self.indices.index_select(0, positions))

    def to(self, device: torch.device | str) -> "Subset":
        """Move the data set's images to that device, and the indices to where they are looked up."""
        self.data.to(device)
        self.indices = self.indices.to("cpu" if getattr(self.data, "on_host", False) else device)
        return self


def split(data: ImageData, config: SplitConfig) -> tuple[Subset, Subset]:
    """Returns (training, validation), disjoint. Raises `UserError` where one of them would be empty."""
    seed, data = seed_for(config.split_seed, "split"), limited(data, config)
    own = _own_split(data)
    order = permutation(len(data), seed)[: config.limit]
    if own is None:
        count = _count(_DEFAULT if config.validation is None else config.validation, len(order))
        train, held = order[count:], order[:count]
    else:
        train, held = own if len(order) == len(data) else (part[torch.isin(part, order)] for part in own)
        count = len(held) if config.validation is None else _count(config.validation, len(held))
        held = held[permutation(len(held), seed)[:count]]
    if not (len(train) and len(held)):
        source = f"dataset.validation={config.validation:g}" if own is None and config.validation else "the split"
        purpose = "validate" if len(train) else "train on"
        raise UserError(f"{source} of {len(order):,} images leaves nothing to {purpose}")
    return Subset(data, train.sort().values, config.flip), Subset(data, held.sort().values)


def _own_split(data: ImageData) -> tuple[Tensor, Tensor] | None:
    """The split that the set brings, where it has one. Raises `UserError` where that is no split of its images."""
    own = data.own_split() if hasattr(data, "own_split") else None
    if own is None:
        return None
    train, held = (torch.as_tensor(part, dtype=torch.int64) for part in own)
    both = torch.cat([train, held])
    if both.numel() and not 0 <= both.min() <= both.max() < len(data):
        raise UserError(f"dataset: own_split has indices from {both.min()} to {both.max()}, of {len(data):,} images")
    if len(both.unique()) < len(both):
        raise UserError("dataset: own_split gives an image twice: training and validation must have none in common")
    return train, held


def limited(data: ImageData, config: SplitConfig) -> ImageData:
    """The set with the `limit` images that are chosen of it, where it can leave the others unread; else all of it.

    Raises `UserError` where it is no data set.
    """
    data = completed(data)
    if config.limit is None or not hasattr(data, "limited"):
        return data
    return data.limited(config.limit, seed_for(config.split_seed, "limit"))


def _count(wanted: float, available: int) -> int:
    """So many of the images that are there: a count, or a part below 1."""
    return round(wanted * available) if wanted < 1 else min(int(wanted), available)


def factors_of(data: ImageData, indices: Tensor) -> dict[str, Tensor]:
    """What the data set's optional `factors(indices)` knows of the images at `indices` (B,): for each varying factor
    its classes (B,) int64, its values (B,), or the coordinates (B, K) of one that goes in a circle. Empty for others.
    """
    known = getattr(data, "factors", None)
    return {} if known is None else known(indices)


class EpochOrder:
    """The batch of every step: each epoch is a new permutation, seeded by (seed, epoch), its incomplete last batch left
    out. Permutations are kept on `device`: those of an epoch and the next, and of all that begin within `LOOKAHEAD`
    batches, so that looking so far ahead makes none twice.
    """

    LOOKAHEAD = 8

    def __init__(self, size: int, batch_size: int, seed: int, device: torch.device | str = "cpu") -> None:
        if batch_size > size:
            raise UserError(f"engine.batch_size={batch_size} but only {size:,} images to train on")
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
