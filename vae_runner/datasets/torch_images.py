"""Any `torch.utils.data.Dataset` of images, such as those of torchvision, as a set to train on.

Each image is read once, in order, when pixels are first asked for, and kept: as uint8 where all values are levels
k/255, which is what files hold and `ToTensor` makes of them; else as float32. Training then gathers whole batches, as
of dSprites. Up to half of the machine's memory they stay there, and beyond that in a file of the cache folder, which
goes with the process. Nothing is kept for the next start, since nobody can tell whether the set is still the same
without reading it.

What a set draws at random for image i is drawn from (i, `seed`): the images are the same in each start, whoever reads
them, and the generators of the training are left alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.reading.item import NoImageError, as_pixels, part_of
from vae_runner.datasets.reading.parallel import sha256
from vae_runner.datasets.store.host_array import HostArray, room_for
from vae_runner.datasets.store.pixel_rows import HostRows, Rows
from vae_runner.errors import UserError, in_words
from vae_runner.paths import cache_dir as cache_folder
from vae_runner.randomness import all_isolated, permutation, reseed_all, seed_for
from vae_runner.signature import any_size, enforced, non_negative

__all__ = ["TorchImages"]

_TOGETHER = 32  # items that a process hands over at a time


@enforced
class TorchImages(ImageData):
    """The images of `dataset`, which has a length and `dataset[index]`, an image or a tuple or dict with one in it.

    An image is a PIL image, gray or else RGB; a tensor (C, H, W) or (H, W); or an array (H, W, C) or (H, W). Where the
    channels can only be at the other end, for there alone are 1 or 3 of them, they are taken from there. Values are
    uint8, bool, or floats in [0, 1], and all images of one shape.

    Args:
        dataset: the data set.
        item: which part of an item is the image: a position in a tuple, a key of a dict.
        seed: of what the data set draws at random, once for each image.
        workers: processes that read the images, as those of torch's `DataLoader`; 0: this one.
        cache_dir: where images are put that do not fit into half of the memory; ~/.cache/vae_runner by default.

    Raises:
        UserError: in one line where an image cannot be read, or is none.

    Example:
        >>> dataset = [(np.full((8, 8), level, np.uint8), "a label") for level in (0, 51, 255)]
        >>> images = TorchImages(dataset).gather(torch.tensor([1, 2]))
        >>> images.shape, images.unique()
        (torch.Size([2, 1, 8, 8]), tensor([0.2000, 1.0000]))
    """

    def __init__(
        self,
        dataset: Any,
        item: int | str = 0,
        seed: Annotated[int, any_size] = 0,
        workers: Annotated[int, non_negative] = 0,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.dataset, self.workers, self.cache_dir = dataset, workers, cache_dir
        self._read = _Items(dataset, item, seed)
        missing = [name for name in ("__len__", "__getitem__") if not hasattr(dataset, name)]
        if missing:  # those of torch.utils.data.IterableDataset, and what is no data set
            raise UserError(f"dataset.dataset: {self._read.name} has no {' and no '.join(missing)}, which this needs")
        self._chosen = range(_length(dataset, self._read.name))
        self._rows: Rows | None = None
        self._pixels: Tensor | None = None  # (N, C, H, W), uint8 or float32

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self._chosen[index]]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return tuple(self._kept().shape[1:])  # type: ignore[return-value]

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the images come from; `values` is what they are kept as."""
        values = str(self._kept().dtype).removeprefix("torch.")
        return {"source": type(self.dataset).__name__, "class": self._read.name, "count": len(self), "values": values}

    def gather(self, indices: Tensor) -> Tensor:
        """Returns the images at `indices` (B,) int64: (B, C, H, W) float32 in [0, 1]. The first call reads all."""
        images = self._placed().gather(indices)
        return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images

    def to(self, device: torch.device | str) -> "TorchImages":
        """Have `gather` answer on `device`, and keep the pixels there if they fit comfortably; returns self."""
        self._rows = self._placed().to(device)
        return self

    @property
    def on_host(self) -> bool:
        """Whether a GPU's batches are put together on the host."""
        return isinstance(self._placed(), HostRows)

    def limited(self, count: int, seed: int) -> "TorchImages":
        """Returns the set of `count` of the images, chosen by `seed`; no other is read."""
        few = TorchImages(self.dataset, self._read.item, self._read.seed, self.workers, self.cache_dir)
        if count < len(self):
            few._chosen = permutation(len(self), seed)[:count].sort().values.tolist()
        return few

    def fingerprint(self) -> str:
        """Returns a hash of all pixels."""
        return sha256(self._kept())

    def _placed(self) -> Rows:
        if self._rows is None:
            self._rows = HostArray(self._kept())
        return self._rows

    def _kept(self) -> Tensor:
        if self._pixels is None:
            if not len(self):
                raise UserError(f"dataset.dataset: {self._read.name} has no images")
            with all_isolated(0):
                self._pixels = _read_all(self._read, self._chosen, self.workers, cache_folder(self.cache_dir))
        return self._pixels


class _Items(Dataset[Any]):
    """The pixels of each item, or, as a text, why there are none: an exception would cross to the reader's process with
    its traceback in the message.
    """

    def __init__(self, dataset: Any, item: int | str, seed: int) -> None:
        self.dataset, self.item, self.seed = dataset, item, seed
        self.name = f"{type(dataset).__module__}.{type(dataset).__qualname__}"

    def __getitem__(self, index: int) -> NDArray | str:
        try:
            reseed_all(seed_for(self.seed, "item", index))
            return as_pixels(part_of(self.dataset[index], self.item))
        except Exception as error:
            words = str(error) if isinstance(error, NoImageError) else in_words(error)
            return f"dataset.dataset: item {index} of {self.name}: {' '.join(words.split())}"


def _read_all(items: _Items, chosen: Any, workers: int, cache: Path) -> Tensor:
    """All images, (N, C, H, W); what was kept as uint8 is made float32 when the first other image comes."""
    pixels: Tensor | None = None
    for row, found in enumerate(_each(items, chosen, workers)):
        if isinstance(found, str):
            raise UserError(found)
        if pixels is None:
            pixels = room_for((len(chosen), *found.shape), found.dtype == np.uint8, cache)
        if found.shape != tuple(pixels.shape[1:]):
            shapes = ["x".join(map(str, shape)) for shape in (found.shape, pixels.shape[1:])]
            raise UserError(
                f"dataset.dataset: item {chosen[row]} of {items.name} is {shapes[0]}, those before it {shapes[1]}; "
                "images must be of one shape: give it a transform, such as torchvision.transforms.Resize([64, 64])"
            )
        if found.dtype != np.uint8 and pixels.dtype == torch.uint8:
            as_floats = room_for(tuple(pixels.shape), False, cache)
            for part in torch.arange(row).split(1024):
                as_floats[part] = pixels[part].float() / 255
            pixels = as_floats
        is_level = found.dtype == np.uint8 and pixels.dtype != torch.uint8
        pixels[row] = torch.from_numpy(found).float() / 255 if is_level else torch.from_numpy(found)
    assert pixels is not None
    return pixels


def _each(items: _Items, chosen: Any, workers: int) -> Iterator[NDArray | str]:
    """The pixels of each chosen item in turn, read by so many processes."""
    bar = tqdm(desc=f"reading {type(items.dataset).__name__}", total=len(chosen), unit=" images", disable=None)
    with bar:
        if not workers:
            for index in chosen:
                yield items[index]
                bar.update()
            return
        # a sampler of its own and a generator: torch's would draw a seed from the training's generator
        parts = DataLoader(
            items, _TOGETHER, sampler=chosen, num_workers=workers, collate_fn=_as_is, generator=torch.Generator()
        )
        for part in parts:
            yield from part
            bar.update(len(part))


def _as_is(items: list[Any]) -> list[Any]:
    """Not put together: the texts among them are errors."""
    return items


def _length(dataset: Any, name: str) -> int:
    try:
        return len(dataset)
    except TypeError as error:  # as torch.utils.data.Dataset leaves it to its classes
        raise UserError(f"dataset.dataset: {name} has no length: {error}") from error
