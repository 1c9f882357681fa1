"""A user's own data set: what it has to have, what it may leave out, and what then stands for that.

    len(data)                      needed: the number of images
    data.gather(indices)           needed: (B,) int64 -> the images (B, C, H, W), float32 in [0, 1]
    data.image_shape               (C, H, W); else that of its first image
    data.to(device)                moves what `gather` reads, returns itself; else it stays on the host
    data.provenance                dict for environment.json, `source` in a word; else the name of its class
    data.fingerprint()             text that is another one for other images; else a hash of 256 images and their number
    data.showcase()                list of indices of a few images for pictures; else four, from the first to the last

More may be there, see `ImageData`. A set that has `data[index]` in the place of `gather` is one for torch's loaders,
and is taken as `TorchImages`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData, spread
from vae_runner.datasets.factors import FactoredImages, FactorGrid
from vae_runner.datasets.torch_images import TorchImages
from vae_runner.errors import UserError
from vae_runner.randomness import isolated

__all__ = ["CompletedGrid", "CompletedImages", "completed"]

OPTIONAL = ("image_shape", "to", "provenance", "fingerprint", "showcase")
METHODS = ("gather", "to", "fingerprint", "showcase", "factors", "own_split", "without_test", "limited", "expect")
BATCH = 64  # images gathered at a time
HASHED = 256  # images that tell one set from another


def completed(data: Any) -> Any:
    """Returns the data set itself where it has all that the engine needs, else with what stands for the rest of it.

    Raises:
        UserError: with a line for all that it lacks, and one for each thing of another kind than it must be.
    """
    ours = [kind for kind in type(data).__mro__ if kind.__module__.partition(".")[0] == "vae_runner"]
    if set(ours) - {FactoredImages}:
        return data
    if not hasattr(data, "gather") and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return TorchImages(data)
    if problems := _problems(data):
        raise UserError("\n".join(problems))
    return CompletedImages(data) if getattr(data, "grid", None) is None else CompletedGrid(data)


class CompletedImages(ImageData):
    """A data set with `gather` and a length; what else it has counts, and what it lacks is made up for.

    All other attributes are those of the data set itself.

    Example:
        >>> class Gray:  # a hundred images, each brighter than the one before
        ...     def __len__(self):
        ...         return 100
        ...     def gather(self, indices):
        ...         return (indices / 100).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
        >>> data = CompletedImages(Gray())
        >>> data.image_shape, data.showcase(), data.provenance["source"]
        ((1, 4, 4), [0, 33, 66, 99], 'Gray')
    """

    def __init__(self, data: Any) -> None:
        self.data = data
        self._device = torch.device("cpu")

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "_device"):  # not there yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.data, name)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        if hasattr(self.data, "image_shape"):
            return tuple(int(size) for size in self.data.image_shape)  # type: ignore[return-value]
        with isolated(0):
            images = self.data.gather(torch.zeros(1, dtype=torch.int64))
        shape = tuple(getattr(images, "shape", ()))
        if len(shape) != 4 or shape[0] != 1:
            given = shape or f"a {type(images).__name__}"
            raise UserError(
                f"dataset: {_name(self.data)} gives {given} by gather for one image, expected a float32 tensor "
                "(1, channels, height, width) in [0, 1]"
            )
        if shape[3] in (1, 3) and shape[1] not in (1, 3):  # it would be taken for an image of many channels
            raise UserError(
                f"dataset: {_name(self.data)} gives {shape} by gather for one image, expected (1, channels, height, "
                "width): x.permute(0, 3, 1, 2); or say image_shape"
            )
        return shape[1:]

    @property
    def provenance(self) -> dict[str, Any]:
        given = dict(getattr(self.data, "provenance", {}))
        is_whole = all(hasattr(self.data, name) for name in OPTIONAL) and type(self.data.image_shape) is tuple
        if is_whole and "source" in given:  # it says all that it wants to
            return given
        return {"source": type(self.data).__name__, "class": _name(self.data), **given}

    @property
    def on_host(self) -> bool:
        """Whether its images are read on the host, whatever the device."""
        return bool(getattr(self.data, "on_host", not hasattr(self.data, "to")))

    def gather(self, indices: Tensor) -> Tensor:
        images = self.data.gather(indices.cpu() if self.on_host else indices)
        return images.to(self._device, non_blocking=True) if isinstance(images, Tensor) else images

    def to(self, device: torch.device | str) -> "CompletedImages":
        self._device = torch.device(device)
        if hasattr(self.data, "to"):
            moved = self.data.to(device)
            self.data = self.data if moved is None else moved
        return self

    @property
    def reads_ahead(self) -> bool:
        return hasattr(self.data, "expect")

    def expect(self, indices: Tensor) -> None:
        if self.reads_ahead:
            self.data.expect(indices)

    def own_split(self) -> Sequence[Tensor | None] | None:
        return self.data.own_split() if hasattr(self.data, "own_split") else None

    def without_test(self) -> Any:
        return completed(self.data.without_test()) if hasattr(self.data, "without_test") else self

    def limited(self, count: int, seed: int) -> Any:
        """As the data set does it; one that has no such method is read for its chosen images alone in any case."""
        return completed(self.data.limited(count, seed)) if hasattr(self.data, "limited") else self

    def showcase(self) -> list[int]:
        if hasattr(self.data, "showcase"):
            return [int(index) for index in self.data.showcase()]
        return super().showcase()

    def fingerprint(self) -> str:
        if hasattr(self.data, "fingerprint"):
            return str(self.data.fingerprint())
        digest = hashlib.sha256(repr((len(self), self.image_shape)).encode())
        with isolated(0, self._device):
            for part in torch.tensor(spread(len(self), HASHED)).split(BATCH):
                levels = (self.gather(part.to("cpu" if self.on_host else self._device)) * 65535).round()  # as k/255 is
                digest.update(levels.to("cpu", torch.int32).contiguous().numpy())
        return digest.hexdigest()

    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        return self.data.factors(indices) if hasattr(self.data, "factors") else super().factors(indices)

    @property
    def factor_classes(self) -> Mapping[str, Sequence[str]]:
        return getattr(self.data, "factor_classes", None) or super().factor_classes


class CompletedGrid(CompletedImages, FactoredImages, ImageData):  # in which order the members are looked for
    """One that knows the `grid` that its images are of, and makes up for what else there is to know of factors.

    Example:
        >>> from vae_runner.datasets.factors import Factor
        >>> class Gray:
        ...     grid = FactorGrid([Factor("brightness", (0.0, 0.5, 1.0))])
        ...     def __len__(self):
        ...         return 3
        ...     def gather(self, indices):
        ...         return (indices / 2).view(-1, 1, 1, 1)
        >>> CompletedGrid(Gray()).factors(torch.tensor([2]))
        {'brightness': tensor([1.], dtype=torch.float64)}
    """

    @property
    def grid(self) -> FactorGrid:  # type: ignore[override]
        return self.data.grid

    @property
    def listed(self) -> Tensor | None:  # type: ignore[override]
        """The images' places in the complete grid (N,), where the data set has not all of them in its order."""
        return getattr(self.data, "listed", None)


def _name(data: Any) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}"


def _problems(data: Any) -> list[str]:
    """A line for all that is missing, and one for each thing of another kind than it must be."""
    name = f"dataset: {_name(data)}"
    needed = {"__len__": "__len__(), the number of images"}
    needed["gather"] = "gather(indices), the images (B, C, H, W) of (B,) indices, float32 in [0, 1]"
    missing = [words for member, words in needed.items() if not hasattr(data, member)]
    lines = [f"{name} lacks {'; and '.join(missing)}. docs/library.md has all that a data set may have"]
    problems = lines if missing else []
    for member in METHODS:
        if not callable(getattr(data, member, _is_absent)):
            problems.append(f"{name}: {member} must be a method, got {type(getattr(data, member)).__name__}")
    kinds: dict[str, tuple[Callable[[Any], bool], str]] = {
        "image_shape": (_is_shape, "(channels, height, width)"),
        "provenance": (_is_plain, "a dict of numbers, texts and lists"),
        "grid": (lambda grid: isinstance(grid, FactorGrid), "a FactorGrid"),
    }
    for member, (fits, words) in kinds.items():
        if hasattr(data, member) and not fits(value := getattr(data, member)):
            got = "a method: make it a property" if callable(value) else repr(value)
            problems.append(f"{name}: {member} must be {words}, got {got}")
    return problems or [f"{name}: {problem}" for problem in _problems_of_grid(data)]


def _problems_of_grid(data: Any) -> Iterator[str]:
    """A line where the images of the set cannot be those of its grid."""
    grid, listed = getattr(data, "grid", None), getattr(data, "listed", None)
    if grid is None:
        if isinstance(data, FactoredImages):
            yield "grid must be a FactorGrid, and is missing"
    elif listed is not None:
        if tuple(getattr(listed, "shape", ())) != (len(data),) or getattr(listed, "dtype", None) != torch.int64:
            yield f"listed must be the index in the grid of each of its {len(data):,} images, (N,) int64"
        elif len(data) and not 0 <= listed.min() <= listed.max() < len(grid):
            yield f"listed must be from 0 to {len(grid) - 1}, got {listed.min()} to {listed.max()}"
    elif len(data) != len(grid):
        yield (
            f"grid has {len(grid):,} combinations, and the set {len(data):,} images: listed, (N,) int64, says which of "
            "them each image is"
        )


def _is_absent() -> None:
    """Stands for a method that need not be there."""


def _is_plain(value: Any) -> bool:
    """Whether it is a dict that environment.json can hold."""
    try:
        return isinstance(value, Mapping) and bool(json.dumps(dict(value)))
    except (TypeError, ValueError):
        return False


def _is_shape(value: Any) -> bool:
    try:
        return len(value) == 3 and all(int(size) == size > 0 for size in value)
    except (TypeError, ValueError):
        return False
