"""Which images a run trains on, which are held back for validation, and which are set aside for the test.

`best.pt` is chosen by the validation images, and the test images are looked at when that is done: what is reported of
them is of images that nothing was chosen by.

A data set may bring a split of its own, and one that is costly to read may leave all but a few images unread: see
`base.ImageData`.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.completion import completed
from vae_runner.datasets.split.constraints import HeldOut, constrained
from vae_runner.datasets.split.subset import Subset
from vae_runner.errors import UserError
from vae_runner.randomness import permutation, seed_for
from vae_runner.signature import Limit, any_size, enforced, positive

__all__ = ["Parts", "SplitConfig", "limited", "split"]

_VALIDATION, _TEST = 2000, 0.1  # what null stands for where the set brings no such part


def _is_part_or_count(value: float) -> bool:
    return math.isfinite(value) and (0 < value < 1 or value == int(value) > 0)


part_or_count = Limit("must be a part below 1 or a count of images", _is_part_or_count)
part_count_or_none = Limit(
    "must be a part below 1, a count of images, or 0 for none", lambda value: value == 0 or _is_part_or_count(value)
)


class Parts(NamedTuple):
    """The images of a run, no two parts with one in common; `test` is empty where there is no such part.

    Example:
        >>> from vae_runner.datasets.torch_images import TorchImages
        >>> data = TorchImages([torch.full((1, 2, 2), level / 10) for level in range(10)])
        >>> len(split(data, SplitConfig(validation=2, test=3)).test)
        3
    """

    train: Subset
    validation: Subset
    test: Subset

    def mark(self) -> str:
        """Returns a hash of which images each part has, which tells other limits, splits and constraints."""
        return _mark(self)

    def measured(self) -> str:
        """Returns a hash of the images on which figures are made, those held back and those set aside."""
        return _mark(self[1:])


@enforced
@dataclass(frozen=True)
class SplitConfig:
    """`limit` images of the set (a random choice; null: all), of which `validation` (a count, or a part below 1) are
    held back, and `test` more (0: none) set aside. The choices depend on `split_seed` and on the set alone, so that
    runs of different seeds are measured alike.

    Of a part that the set brings itself, so many images are used; null: all of them, and else 2000 to validate on and
    a tenth for the test. Where it brings training and test images alone, and `test` is 0, these are validated on.

    `held_out` and `correlated` constrain what is trained on, see `constraints`.

    `flip` mirrors half of the images in training, left to right, by (seed, epoch, image).

    Example:
        >>> from vae_runner.datasets.torch_images import TorchImages
        >>> data = TorchImages([torch.full((1, 2, 2), level / 100) for level in range(100)])
        >>> [len(part) for part in split(data, SplitConfig(validation=0.1, test=0.2, limit=50))]
        [35, 5, 10]
    """

    validation: Annotated[float, part_or_count] | None = 2000
    test: Annotated[float, part_count_or_none] | None = 0  # as of runs that were saved before there was a test part
    limit: Annotated[int, positive] | None = None
    split_seed: Annotated[int, any_size] = 0
    flip: bool = False
    held_out: HeldOut | None = None
    correlated: list[str | float] | None = None


def split(data: ImageData, config: SplitConfig) -> Parts:
    """Returns the training, validation and test images, disjoint.

    Raises:
        UserError: where one of them would be empty; the test part, where one is asked for.
    """
    seed, data = seed_for(config.split_seed, "split"), limited(data, config)
    order = permutation(len(data), seed)[: config.limit]
    own = _own_split(data)
    if own is None:
        chosen = _chosen(config, seed, order)
    else:
        if len(order) < len(data):
            own = [None if part is None else part[torch.isin(part, order)] for part in own]
        train, *others = own
        assert train is not None
        chosen = _chosen(config, seed, train[permutation(len(train), seed)], *others)
    _refuse_empty(config, chosen, len(order), is_own=own is not None)
    parts = constrained(data, chosen, config.held_out, config.correlated, config.split_seed)
    train, held, test = (part.sort().values for part in parts)
    return Parts(Subset(data, train, config.flip), Subset(data, held), Subset(data, test))


def _chosen(
    config: SplitConfig, seed: int, lot: Tensor, own_held: Tensor | None = None, own_test: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test images, of the `lot` of shuffled training images where the set brings none."""
    available = len(lot)
    if own_held is None and config.test == 0:
        own_held, own_test = own_test, None
    if own_held is None:
        count = _count(_VALIDATION if config.validation is None else config.validation, available)
        held, lot = lot[:count], lot[count:]
    else:
        held = _some(own_held, config.validation, seed)
    if own_test is None or config.test == 0:
        count = _count(_TEST if config.test is None else config.test, available)
        return lot[count:], held, lot[:count]
    return lot, held, _some(own_test, config.test, seed)


def _some(own: Tensor, wanted: float | None, seed: int) -> Tensor:
    """So many of the images of a part that the set brings."""
    count = len(own) if wanted is None else _count(wanted, len(own))
    return own[permutation(len(own), seed)[:count]]


def _refuse_empty(config: SplitConfig, chosen: tuple[Tensor, Tensor, Tensor], images: int, is_own: bool) -> None:
    """Raises `UserError` where one of the parts is empty, with the settings that make it so."""
    train, held, test = map(len, chosen)
    wanted = {name: getattr(config, name) for name in ("validation", "test")}
    settings = [f"dataset.{name}={value:g}" for name, value in wanted.items() if value]
    of = f"of {images:,} images"
    if not (train and held):
        told = settings if not train else settings[:1] if config.validation else []
        verb = "leave" if len(told) > 1 and not is_own else "leaves"
        source = "the split" if is_own or not told else " and ".join(told)
        raise UserError(
            f"{source} {of} {verb} nothing to {'validate' if train else 'train on'}{_instead(config, images)}"
        )
    if not test and config.test:
        raise UserError(f"{settings[-1]} {of} leaves nothing to test; dataset.test=0 does without")


def _instead(config: SplitConfig, images: int) -> str:
    """What to do where a part is empty that is drawn from the images: parts of them, of few images more of these."""
    if round(_TEST * images) < 1:
        return "; give dataset.limit=100 or more" if config.limit else "; there have to be more images"
    parts = [f"dataset.validation={_TEST:g}", *([] if config.test == 0 else [f"dataset.test={_TEST:g}"])]
    larger = ", and so may a larger dataset.limit" if config.limit else ""
    return f"; {' '.join(parts)} {'leave' if len(parts) > 1 else 'leaves'} some of each{larger}"


def _own_split(data: ImageData) -> list[Tensor | None] | None:
    """The split that the set brings, where it has one, training, validation and test images. Raises `UserError` where
    that is no split of its images.
    """
    own = data.own_split()
    if own is None:
        return None
    if len(own) not in (2, 3) or own[0] is None:
        raise UserError(f"dataset: own_split gives {len(own)} parts, expected training, validation and test images")
    parts = [None if part is None else torch.as_tensor(part, dtype=torch.int64) for part in (*own, None)[:3]]
    every = torch.cat([part for part in parts if part is not None])
    if every.numel() and not 0 <= every.min() <= every.max() < len(data):
        raise UserError(f"dataset: own_split has indices from {every.min()} to {every.max()}, of {len(data):,} images")
    if len(every.unique()) < len(every):
        raise UserError("dataset: own_split gives an image twice: its parts must have none in common")
    return parts


def limited(data: ImageData, config: SplitConfig) -> ImageData:
    """Returns the set with the `limit` images that are chosen of it, and without test images where none are wanted, as
    far as it can leave the others unread.

    Raises:
        UserError: where it is no data set.
    """
    data = completed(data)
    if config.test == 0:
        data = data.without_test()
    return data if config.limit is None else data.limited(config.limit, seed_for(config.split_seed, "limit"))


def _mark(parts: Iterable[Subset]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part.indices.cpu().numpy().tobytes())
    return digest.hexdigest()


def _count(wanted: float, available: int) -> int:
    """So many of the images that are there: a count, or a part below 1."""
    return round(wanted * available) if wanted < 1 else min(int(wanted), available)
