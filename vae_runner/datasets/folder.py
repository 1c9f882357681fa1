"""Images in a folder, as a data set in the manner of torchvision and as one to train on.

An item is read from its file whenever it is asked for, in the size that it has there, and goes through the transforms.
Training reads whole batches of one size instead, with `gather`: at the first call all images are decoded once and kept
as uint8 (`pixels`). That is also when every file is looked at: one that cannot be read is an error then, or else when
its item is asked for. Only `skip_bad` reads all files in the constructor, since it changes the number of images.
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from vae_runner.datasets.imaging import UnreadableImage, load_image, readable, square_pixels
from vae_runner.datasets.listing import IMAGE_EXTENSIONS, make_dataset
from vae_runner.datasets.pixels import attempt_all, decode_all, sha256
from vae_runner.errors import UserError
from vae_runner.signature import Limit, enforced, positive

__all__ = ["Channels", "SimpleImageFolder", "Size"]

Size = Annotated[int, positive]
Channels = Annotated[int, Limit("must be 1 or 3", lambda value: value in (1, 3))]
Transform = Callable[[Image.Image], Any]

_SHOWN = 4  # images of the showcase
_NAMED = 10  # unreadable files named in the log

logger = logging.getLogger("vae_runner")


@enforced
class SimpleImageFolder(Dataset[tuple[Any, Any]]):
    """All images under a folder; item i is (image, image): the transformed one twice, or with a target of its own.

    Args:
        root: the folder; folders in it, and links, are followed.
        loader: takes a path and returns the image; by default Pillow reads it, upright, in mode "L" or "RGB".
        extensions: the endings that count, in whatever case; by default those of the usual image files.
        transform: takes the loader's image, makes the input of an item; None: the image itself.
        target_transform: takes the loader's image, makes the target of an item; None: the target is the input.
        image_size: pixels on each side of the images that `gather` returns; items keep the size of their files.
        channels: 1 (gray) or 3 (RGB).
        crop: side, in pixels, of the centre square that `gather` resizes to `image_size`; None: as large as can be.
        skip_bad: read all files now and go on without those that cannot be read; else such a file is an error, at the
            first `gather` or when its item is asked for.

    Attributes:
        paths: the file of each item.
        skipped: what is wrong with each file that was left out, by its path below `root`.
        image_shape: (channels, image_size, image_size).

    Raises `UserError` in one line where there is no folder, no image, or one that cannot be read.
    """

    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any] | None = None,
        extensions: Sequence[str] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        image_size: Size = 64,
        channels: Channels = 3,
        crop: Size | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.root = Path(root).expanduser()
        self.loader = loader or functools.partial(load_image, channels=channels)
        self.extensions = IMAGE_EXTENSIONS if extensions is None else extensions
        self.transform, self.target_transform = transform, target_transform
        self.image_shape = (channels, image_size, image_size)
        self.crop, self.skip_bad = crop, skip_bad
        self.paths = self._find()
        self.skipped: dict[str, str] = {}
        self._pixels: Tensor | None = None
        self._sha256: str | None = None
        if skip_bad and self._ignored():
            self._leave_out(attempt_all(lambda position: self._load(self.paths[position]), len(self)))
        elif skip_bad:
            self._prepared()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = self._load(self.paths[index])
        item = image if self.transform is None else self.transform(image)
        target = item if self.target_transform is None else self.target_transform(image)
        return item, target

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the images come from, how they are cut, and which files were left out."""
        return {
            "source": "files",
            "root": str(self.root.absolute()),
            "count": len(self),
            "image_size": self.image_shape[1],
            "crop": self.crop,
            "skipped": len(self.skipped),
            "skipped_files": list(self.skipped),
        }

    def gather(self, indices: Tensor) -> Tensor:
        """The images at `indices` (B,) int64, each in [0, N), cropped and resized.

        Returns (B, *image_shape) float32 in [0, 1], on the device of the data. The first call reads all files. Raises
        `UserError` where there is a transform, since that is made for items.
        """
        pixels = self._prepared()
        return pixels.index_select(0, indices.to(pixels.device)).to(torch.float32) / 255

    def to(self, device: torch.device | str) -> "SimpleImageFolder":
        """Move the pixels, one byte each, to `device`; returns self."""
        self._pixels = self._prepared().to(device)
        return self

    def showcase(self) -> list[int]:
        """Indices of four images for pictures, from the first to the last."""
        return sorted({round(step * (len(self) - 1) / (_SHOWN - 1)) for step in range(_SHOWN)})

    def fingerprint(self) -> str:
        """SHA-256 of the pixels that `gather` reads, in hex."""
        self._sha256 = self._sha256 or sha256(self._prepared())
        return self._sha256

    def _find(self) -> list[Path]:
        """The files of the set; where they depend on more than their names, a subclass chooses."""
        return make_dataset(self.root, self.extensions)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _load(self, path: Path) -> Any:
        with readable(path):
            return self.loader(str(path))

    def _decode(self, path: Path) -> NDArray:
        """(C, H, W) uint8."""
        image = self._load(path)
        if not isinstance(image, Image.Image):
            raise UserError(f"dataset.loader must return a PIL image to train on, got {type(image).__name__}")
        with readable(path):
            channels, size, _ = self.image_shape
            return square_pixels(image, self._name(path), size, channels, self.crop)

    def _ignored(self) -> str | None:
        """The name of an argument that `gather` could not heed."""
        return next((name for name in ("transform", "target_transform") if getattr(self, name) is not None), None)

    def _prepared(self) -> Tensor:
        """The pixels, (N, C, H, W) uint8; at the first call all files are read."""
        if name := self._ignored():
            raise UserError(f"dataset.{name} acts on single items, not on the batches of training; set it to null")
        if self._pixels is None:
            logger.info("reading %s images under %s", f"{len(self):,}", self.root)
            pixels, bad = decode_all(self.paths, self._decode, self.image_shape)
            self._leave_out(bad)
            self._pixels = pixels
        return self._pixels

    def _leave_out(self, bad: Mapping[int, UnreadableImage]) -> None:
        """Go on without those positions, or raise `UserError` with the count; its note is the whole list."""
        if not bad:
            return
        for error in list(bad.values())[:_NAMED]:
            logger.warning("%s", error)
        names = [self._name(self.paths[position]) for position in bad]
        count = f"{len(bad):,} of {len(self):,} images cannot be read (first: {names[0]})"
        if not self.skip_bad or len(bad) == len(self):
            remedy = "; dataset.skip_bad=true goes on without them" if len(bad) < len(self) else ""
            failure = UserError(count + remedy)
            failure.add_note("\n".join(map(str, bad.values())))
            raise failure
        logger.warning("going on without: %s", count)
        self.skipped = dict(zip(names, map(str, bad.values()), strict=True))
        self.paths = [path for position, path in enumerate(self.paths) if position not in bad]
