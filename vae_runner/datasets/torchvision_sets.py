"""The small labelled sets that torchvision reads by name, from files as they are published.

Training and test images are one set, the test set's behind the others, and the split is the published one: images to
validate on are taken of the training images. The class of an image is its one factor: pictures colour and name it. All
pixels are in memory, as uint8.

Nothing is fetched unless it is asked for. torchvision compares the files of CIFAR10 and SVHN with their checksums
before it reads them; processed copies of old versions, which would be unpickled, are not looked at.
"""

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import Factor, FactoredImages, FactorGrid
from vae_runner.datasets.reading.listing import printable
from vae_runner.datasets.store.pixel_rows import MemoryRows
from vae_runner.errors import UserError

__all__ = ["TorchvisionImages"]

Name = Literal["MNIST", "FashionMNIST", "KMNIST", "EMNIST", "CIFAR10", "SVHN"]
Part = Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"]

_PART: Part = "balanced"
_DIGITS = tuple("0123456789")
_DAMAGE = (
    *(AssertionError, AttributeError, EOFError, IndexError, KeyError, OSError, OverflowError, RuntimeError, TypeError),
    *(ValueError, pickle.UnpicklingError),
)


class TorchvisionImages(FactoredImages, ImageData):
    """The training and test images of a set; `factors` has the class of each.

    Args:
        root: the folder in which torchvision keeps its sets, each in a folder of its own.
        name: of the set.
        part: of EMNIST, which of its six parts; None: the balanced one.
        download: fetch the files if they are not there.

    Raises:
        UserError: in one line where files are missing, damaged or cannot be fetched.

    Example:
        >>> try:
        ...     TorchvisionImages("nowhere", "SVHN")
        ... except UserError as error:
        ...     print(str(error).partition(", or set")[0])
        no SVHN, or a damaged one, in dataset.root=nowhere: put train_32x32.mat and test_32x32.mat there
    """

    def __init__(self, root: str | Path, name: Name, part: Part | None = None, download: bool = False) -> None:
        if name not in get_args(Name):
            raise UserError(f"dataset.name must be one of {', '.join(get_args(Name))}, got {name!r}")
        if part is not None and name != "EMNIST":
            raise UserError(f"dataset.part={part} is a setting of dataset.name=EMNIST: leave it out for {name}")
        self.root, self.name, self.part = Path(root).expanduser(), name, part or _PART
        train, test = (self._read(is_train, download) for is_train in (True, False))
        pixels, labels = (torch.cat(parts) for parts in zip(train[:2], test[:2], strict=True))
        self._trained_on = len(train[0])
        self._rows = MemoryRows(pixels)
        self._sha256 = hashlib.sha256(self._rows.fingerprint().encode() + labels.numpy().tobytes()).hexdigest()
        self.listed = labels
        self._grid = FactorGrid(
            [Factor("class", tuple(map(float, range(len(train[2])))), is_category=True, labels=tuple(train[2]))]
        )

    def __len__(self) -> int:
        return len(self._rows.pixels)

    @property
    def grid(self) -> FactorGrid:  # type: ignore[override]
        return self._grid

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self._rows.pixels.shape[1:]
        return channels, height, width

    @property
    def provenance(self) -> dict[str, Any]:
        part = {"part": self.part} if self.name == "EMNIST" else {}
        return {"source": f"{self.name} files", "root": printable(self.root.absolute()), **part}

    @property
    def stays_as_it_is(self) -> bool:
        return True

    def gather(self, indices: Tensor) -> Tensor:
        return self._rows.gather(indices).to(torch.float32).div_(255)

    def to(self, device: torch.device | str) -> "TorchvisionImages":
        self._rows = MemoryRows(self._rows.pixels.to(device))
        return self

    def fingerprint(self) -> str:
        return self._sha256

    def own_split(self) -> tuple[Tensor, None, Tensor]:
        """The published one: training images, and those of the test set."""
        every = torch.arange(len(self))
        return every[: self._trained_on], None, every[self._trained_on :]

    def showcase(self) -> list[int]:
        """An image of the test set of each of the first classes, eight at most."""
        _, _, held = self.own_split()
        assert self.listed is not None
        first: dict[int, int] = {}
        for index, label in zip(held.tolist(), self.listed[held].tolist(), strict=True):
            first.setdefault(label, index)
        return [first[label] for label in sorted(first)[:8]]

    def _read(self, is_train: bool, download: bool) -> tuple[Tensor, Tensor, Sequence[str]]:
        """Pixels (N, C, H, W) uint8, labels (N,) int64, and the names of the classes."""
        try:
            found = self._open(is_train)
            if found is None and download:
                found = self._fetched(is_train)
        except ImportError as error:
            raise UserError(f"{self.name} is read by SciPy: pip install 'vae_runner[mat]' ({error})") from error
        except _DAMAGE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self.name} in dataset.root={printable(self.root)} is damaged ({reason})") from error
        if found is None:
            raise UserError(
                f"no {self.name}, or a damaged one, in dataset.root={printable(self.root)}: put "
                f"{_files(self.name, self.part)} there, or set dataset.download=true"
            )
        pixels, labels, classes = _arrays(found, self.name)
        if not len(pixels) or len(pixels) != len(labels) or not 0 <= labels.min() <= labels.max() < len(classes):
            raise UserError(
                f"{self.name} in dataset.root={printable(self.root)}: {len(pixels):,} images do not go with "
                f"{len(labels):,} labels of {len(classes)} classes"
            )
        return pixels, labels, classes

    def _fetched(self, is_train: bool) -> Any:
        """As `_open`, after torchvision has fetched the files."""
        try:
            return self._open(is_train, download=True)
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"cannot fetch {self.name} ({reason}): put {_files(self.name, self.part)} into "
                f"{printable(self.root)} by hand"
            ) from error

    def _open(self, is_train: bool, download: bool = False) -> Any:
        """torchvision's data set; None where the files are not there, or not those of their checksums."""
        kind = getattr(_sets(), self.name)
        kind = type(self.name, (kind,), {"_check_legacy_exist": lambda _: False})
        chosen = {"split": "train" if is_train else "test"} if self.name == "SVHN" else {"train": is_train}
        more = {"split": self.part} if self.name == "EMNIST" else {}
        try:
            return kind(self.root, download=download, **chosen, **more)
        except RuntimeError as error:
            if "not found" in str(error):
                return None
            raise


def _sets() -> ModuleType:
    """torchvision.datasets, imported where one of its sets is read: it takes a second, and 180 MB."""
    try:
        from torchvision import datasets
    except RuntimeError as error:  # one that was built for another torch
        raise UserError(
            f"torchvision does not go with this torch ({' '.join(str(error).split())}): install both anew, together"
        ) from error
    return datasets


def _arrays(found: Any, name: str) -> tuple[Tensor, Tensor, Sequence[str]]:
    pixels = torch.as_tensor(np.ascontiguousarray(found.data))
    labels = torch.as_tensor(np.asarray(found.labels if name == "SVHN" else found.targets)).long().reshape(-1)
    if name == "EMNIST":  # whose images lie on their sides
        pixels = pixels.transpose(1, 2).contiguous()
    if pixels.dim() == 3:
        pixels = pixels[:, None]
    elif name != "SVHN":
        pixels = pixels.permute(0, 3, 1, 2).contiguous()
    return pixels, labels, getattr(found, "classes", _DIGITS)


def _files(name: str, part: str) -> str:
    """What has to be there."""
    if name == "CIFAR10":
        return "cifar-10-batches-py, unpacked,"
    if name == "SVHN":
        return "train_32x32.mat and test_32x32.mat"
    stems = [f"emnist-{part}-{half}" for half in ("train", "test")] if name == "EMNIST" else ["train", "t10k"]
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return f"{name}/raw/ with {', '.join(f'{stem}-{kind}' for stem in stems for kind in kinds)}, unpacked,"
