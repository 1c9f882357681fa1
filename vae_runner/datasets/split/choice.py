"""Which images a run trains on, and which are held back for validation.

A data set may bring a split of its own, and one that is costly to read may leave all but a few images unread: see
`base.ImageData`.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.completion import completed
from vae_runner.datasets.split.constraints import HeldOut, constrained
from vae_runner.datasets.split.subset import Subset
from vae_runner.errors import UserError
from vae_runner.randomness import permutation, seed_for
from vae_runner.signature import Limit, any_size, enforced, positive

__all__ = ["SplitConfig", "limited", "split"]

_DEFAULT = 2000  # images held back
part_or_count = Limit(
    "must be a part below 1 or a count of images",
    lambda value: math.isfinite(value) and (0 < value < 1 or value == int(value) > 0),
)


@enforced
@dataclass(frozen=True)
class SplitConfig:
    """`limit` images of the set (a random choice; null: all), of which `validation` (a count, or a part below 1) are
    held back. Both choices depend on `split_seed` alone, so that runs of different seeds are validated alike. Of a set
    with a split of its own, so many of its validation images are used; null: all of them, and else 2000.

    `held_out` and `correlated` constrain what is trained on, see `constraints`.

    `flip` mirrors half of the images in training, left to right, by (seed, epoch, image).

    Example:
        >>> from vae_runner.datasets.torch_images import TorchImages
        >>> data = TorchImages([torch.full((1, 2, 2), level / 100) for level in range(100)])
        >>> [len(part) for part in split(data, SplitConfig(validation=0.1, limit=50))]
        [45, 5]
    """

    validation: Annotated[float, part_or_count] | None = 2000
    limit: Annotated[int, positive] | None = None
    split_seed: Annotated[int, any_size] = 0
    flip: bool = False
    held_out: HeldOut | None = None
    correlated: list[str | float] | None = None


def split(data: ImageData, config: SplitConfig) -> tuple[Subset, Subset]:
    """Returns (training, validation), disjoint.

    Raises:
        UserError: where one of them would be empty.
    """
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
    train, held = constrained(data, (train, held), config.held_out, config.correlated, config.split_seed)
    return Subset(data, train.sort().values, config.flip), Subset(data, held.sort().values)


def _own_split(data: ImageData) -> tuple[Tensor, Tensor] | None:
    """The split that the set brings, where it has one. Raises `UserError` where that is no split of its images."""
    own = data.own_split()
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
    """Returns the set with the `limit` images that are chosen of it, where it can leave the others unread; else all of
    it.

    Raises:
        UserError: where it is no data set.
    """
    data = completed(data)
    return data if config.limit is None else data.limited(config.limit, seed_for(config.split_seed, "limit"))


def _count(wanted: float, available: int) -> int:
    """So many of the images that are there: a count, or a part below 1."""
    return round(wanted * available) if wanted < 1 else min(int(wanted), available)
