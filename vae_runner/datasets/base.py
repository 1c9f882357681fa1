"""What a data set is to the engine: images by their indices, and abilities that it may have besides.

A set that is written here states what it can do and takes the rest from `ImageData`. One of a user's own need not know
this class: `completion` gives it what it leaves out.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from vae_runner.datasets.factors import FactorGrid

__all__ = ["ImageData", "spread"]

_SHOWN = 4  # images of the showcase


class ImageData(Protocol):
    """A data set to train on, beside torchvision's `[index]` and `len`. What is not abstract has a default.

    Example:
        >>> class Gray(ImageData):  # a hundred images, each brighter than the one before
        ...     image_shape, provenance = (1, 4, 4), {"source": "made"}
        ...     def __len__(self):
        ...         return 100
        ...     def gather(self, indices):
        ...         return (indices / 100).view(-1, 1, 1, 1).expand(-1, *self.image_shape)
        ...     def to(self, device):
        ...         return self
        ...     def fingerprint(self):
        ...         return "gray"
        >>> Gray().showcase(), Gray().grid
        ([0, 33, 66, 99], None)
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""

    @property
    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Where the images came from, for environment.json; `source` says it in a word."""

    @abstractmethod
    def gather(self, indices: Tensor) -> Tensor:
        """Returns the images of a whole batch of indices (B,), (B, C, H, W) float32 in [0, 1], on the data's device."""

    @abstractmethod
    def to(self, device: torch.device | str) -> "ImageData":
        """Move what `gather` reads to that device; returns itself."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a hash that tells whether two runs saw the same images."""

    @property
    def on_host(self) -> bool:
        """Whether the images are read on the host, though `gather` answers on a GPU: indices are then kept there."""
        return False

    @property
    def reads_ahead(self) -> bool:
        """Whether `expect` is of use."""
        return False

    @property
    def stays_as_it_is(self) -> bool:
        """Whether no use on a CPU changes anything of it, so that several runs may read it, one after another or at the
        same time in processes that were forked.
        """
        return False

    @property
    def grid(self) -> FactorGrid | None:
        """The factors that the images were made of, where they are known: see `factors.FactoredImages`."""
        return None

    def showcase(self) -> list[int]:
        """Returns indices of a few images that show what there is, for pictures: four, from the first to the last."""
        return spread(len(self), _SHOWN)

    def own_split(self) -> Sequence[Tensor | None] | None:
        """Returns the indices of the training, the validation and the test images, where the set brings a split of its
        own. None in the place of one of the latter two, or no third: they are taken of the training images.
        """
        return None

    def without_test(self) -> "ImageData":
        """Returns the set without the test images of its own split, where it can leave these unread; else itself."""
        return self

    def limited(self, count: int, seed: int) -> "ImageData":
        """Returns the set with `count` images, chosen by `seed`, where it can leave others unread; else itself."""
        return self

    def expect(self, indices: Tensor) -> None:
        """The images at the `indices` (B,) will be gathered soon."""
        return

    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        """Returns what is known of the images at the `indices` (B,), as pictures compare it with codes: for each factor
        that varies its classes (B,) int64, its values (B,), or the coordinates (B, K) of one that goes in a circle.
        """
        return {}

    @property
    def factor_classes(self) -> Mapping[str, Sequence[str]]:
        """The names of the classes of factors that have such."""
        return {}


def spread(size: int, count: int) -> list[int]:
    """Returns at most `count` indices of range(`size`), from the first to the last."""
    return sorted({round(step * (size - 1) / (count - 1)) for step in range(count)}) if size else []
