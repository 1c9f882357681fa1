"""Images in a folder or a zip, as a data set in the manner of torchvision and as one to train on.

An item is read from its file whenever it is asked for, in the size that it has there, and goes through the transforms.
Training reads whole batches of one size instead, with `gather`. At the first call all images are decoded once into a
store on the disk (`store.preparation`), or it is made ready to decode them batch by batch (`store.on_demand_rows`).
That is also when every file is looked at: one that cannot be read is an error then, or else when its item is asked for.
"""

import copy
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from vae_runner.datasets.labelled import LabelledImages
from vae_runner.datasets.photos.contents import Contents
from vae_runner.datasets.photos.labels import read_labels
from vae_runner.datasets.photos.photo_files import PhotoFiles
from vae_runner.datasets.photos.photo_settings import PhotoSettings, takes_settings
from vae_runner.datasets.photos.remarks import log_remarks, remarks_on_files, remarks_on_levels
from vae_runner.datasets.reading.imaging import VERSION, UnreadableImage
from vae_runner.datasets.reading.listing import IMAGE_EXTENSIONS, Entry, digest_of, printable
from vae_runner.datasets.reading.parallel import attempt_all, decode_all
from vae_runner.datasets.reading.source import Source, ZipSource, open_source
from vae_runner.datasets.store.on_demand_rows import OnDemandRows
from vae_runner.datasets.store.pixel_rows import HostRows, MemoryRows, Rows
from vae_runner.datasets.store.preparation import open_store
from vae_runner.errors import UserError
from vae_runner.paths import cache_dir as cache_folder
from vae_runner.randomness import permutation
from vae_runner.signature import enforced

__all__ = ["SimpleImageFolder", "Transform"]

Transform = Callable[[Image.Image], Any]

_NAMED = 10  # unreadable files named in the log

logger = logging.getLogger("vae_runner")


@enforced
class SimpleImageFolder(PhotoFiles, LabelledImages, Dataset[tuple[Any, Any]]):
    """All images under a folder; item i is (image, image): the transformed one twice, or with a target of its own.

    Args:
        root: the folder, in which folders and links are followed; or a zip, which is read in place.
        loader: takes a path and returns the image; by default Pillow reads it, upright, in mode "L" or "RGB".
        extensions: the endings that count, in whatever case; by default those of the usual image files.
        transform: takes the loader's image, makes the input of an item; None: the image itself.
        target_transform: takes the loader's image, makes the target of an item; None: the target is the input.
        labels: what the images show: a table, "folders", "auto" or None, see `labels.read_labels`.
        image_size, channels, crop, fit, background, decoding, levels, store, cache_dir, workers, skip_bad: see
            `PhotoSettings`; by name only.

    Attributes:
        paths: the file of each item.
        skipped: what is wrong with each file that was left out, by its path below `root`.
        image_shape: (channels, height, width).

    Raises:
        UserError: in one line where there is no folder, no image, or one that cannot be read.

    Example:
        >>> Path("scans").mkdir()
        >>> Image.new("L", (40, 30), 255).save("scans/a.png")
        >>> data = SimpleImageFolder("scans", image_size=16, channels=1, cache_dir="cache")
        >>> data[0][0].size, data.gather(torch.tensor([0])).shape
        ((40, 30), torch.Size([1, 1, 16, 16]))
    """

    @takes_settings()
    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any] | None = None,
        extensions: Sequence[str] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        labels: str | Path | None = None,
        **settings: Any,
    ) -> None:
        self.root = Path(root).expanduser()
        self.loader = loader
        self.extensions = IMAGE_EXTENSIONS if extensions is None else extensions
        self.transform, self.target_transform = transform, target_transform
        self.settings = PhotoSettings(**settings)
        self.recipe = self.settings.recipe
        self.source = self._open()
        if loader is not None and isinstance(self.source, ZipSource):
            raise UserError(f"dataset.loader takes paths, and {printable(root)} is a zip: unpack it")
        self.contents = Contents(self.source, self.store_folder)
        self.entries = self._choose(self.source.entries)
        self.labels = read_labels(self.source, self.entries, labels)
        self._grid = None if self.labels is None else self.labels.grid
        self._skipped: dict[str, str] = {}
        self._rows: Rows | None = None
        self._settled = not self.settings.skip_bad  # whether the number of images is known

    def __len__(self) -> int:
        self._settle()
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self._settle()
        image = self.load(self.entries[index])
        item = image if self.transform is None else self.transform(image)
        target = item if self.target_transform is None else self.target_transform(image)
        return item, target

    @property
    def paths(self) -> list[Path]:
        """The images' files; of a ZIP file, its own path with the name inside behind it."""
        self._settle()
        return [Path(self.source.location(entry)) for entry in self.entries]

    @property
    def skipped(self) -> dict[str, str]:
        """Files that are left out since they cannot be read, with the reason."""
        self._settle()
        return self._skipped

    @property
    def listed(self) -> Tensor | None:  # type: ignore[override]
        """The index in the grid of each image, where labels say so."""
        return None if self.labels is None else self.labels.of(self.entries)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.recipe.shape

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the images come from, how they are cut, which were left out."""
        return {
            "source": "zip" if isinstance(self.source, ZipSource) else "files",
            "root": printable(self.root.absolute()),
            "count": len(self),
            "image_size": self.recipe.image_size if self.recipe.is_square else list(self.recipe.shape[1:]),
            "crop": self.recipe.crop,
            "fit": self.recipe.fit,
            "decoding": self.recipe.decoding,
            "store": self.settings.store,
            "content": f"{VERSION}-{self.contents.mark(self.entries)}",
            "skipped": len(self.skipped),
            "skipped_files": list(self.skipped),
            **({"labels": self.labels.describe()} if self.labels else {}),
        }

    def gather(self, indices: Tensor) -> Tensor:
        """Gather the images at `indices` (B,) int64, each in [0, N), cropped and resized.

        Returns:
            (B, *image_shape) float32 in [0, 1], on the device of the data. The first call reads all files.

        Raises:
            UserError: where there is a transform, since that is made for items.
        """
        return self._prepared().gather(indices).to(torch.float32).div_(255)

    def expect(self, indices: Tensor) -> None:
        """Start to decode the images that will be gathered soon, where there is no store."""
        self._prepared().expect(indices)

    def to(self, device: torch.device | str) -> "SimpleImageFolder":
        """Have `gather` answer on `device`, and keep the pixels there if they fit comfortably; returns self."""
        self._rows = self._prepared().to(device)
        return self

    @property
    def on_host(self) -> bool:
        """Whether the pixels are read, or decoded, on the host, batch by batch."""
        return isinstance(self._prepared(), HostRows)

    @property
    def reads_ahead(self) -> bool:
        """`expect` is of use."""
        return True

    def limited(self, count: int, seed: int) -> "SimpleImageFolder":
        """Returns the set of `count` of the files, chosen by `seed`; of the others nothing is read."""
        if count >= len(self.entries):
            return self
        chosen = permutation(len(self.entries), seed)[:count].sort().values.tolist()
        few = copy.copy(self)
        few.entries, few._rows = [self.entries[position] for position in chosen], None
        few.__dict__.pop("_ordered", None)  # of labels, where it was asked for already
        return few

    def fingerprint(self) -> str:
        """Returns a hash of labels and the pixels that `gather` reads; without a store, of what their files contain."""
        pixels = self._prepared().fingerprint()
        return pixels if self.labels is None else self.labels.mark(pixels, self.entries)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_rows": None}  # made anew in the other process, from the store

    @property
    def store_folder(self) -> Path:
        """The folder of the prepared stores."""
        return cache_folder(self.settings.cache_dir)

    def _open(self) -> Source:
        return open_source(self.root, self.extensions)

    def _choose(self, entries: list[Entry]) -> list[Entry]:
        """The files of the set; where they depend on more than their names, a subclass chooses."""
        return entries

    def _ignored(self) -> str | None:
        """The name of an argument that `gather` could not heed."""
        return next((name for name in ("transform", "target_transform") if getattr(self, name) is not None), None)

    def _settle(self) -> None:
        """With `skip_bad`, read all files, and leave out those that cannot be read."""
        if self._settled:
            return
        if self._ignored():
            self._leave_out(attempt_all(lambda position: self.load(self.entries[position]), len(self.entries)))
        else:
            self._prepared()

    def _prepared(self) -> Rows:
        """Where the pixels are; at the first call all files are read, or at least opened."""
        if name := self._ignored():
            raise UserError(f"dataset.{name} acts on single items, not on the batches of training; set it to null")
        if self._rows is None:
            self.contents.recall()
            log_remarks(remarks_on_files(self.source, self.entries))
            self._rows = (
                self._live() if not self.settings.store else self._in_memory() if self.loader else self._stored()
            )
            if self.loader is None:
                log_remarks(remarks_on_levels(self.contents.depths(self.entries), self.recipe.levels))
        return self._rows

    def _stored(self) -> Rows:
        entries, root = self.entries, printable(self.root.absolute())
        decode = lambda position: self.decode(entries[position])  # noqa: E731
        mark = lambda: self._mark(entries)  # noqa: E731
        rows = open_store(self.store_folder, self._key(), self.image_shape, len(entries), decode, root, mark)
        self._leave_out(rows.bad)
        return rows.leave_out_bad() if rows.bad else rows

    def _mark(self, entries: Sequence[Entry]) -> str:
        """What the files contain, each read now unless an earlier start has done it, or this one's decoding."""
        unknown = [entry for entry in entries if self.contents.knows(entry) is None]
        attempt_all(lambda position: self._open_one(unknown[position]), len(unknown))
        return self.contents.mark(entries)

    def _in_memory(self) -> Rows:
        entries = self.entries
        pixels, bad = decode_all(len(entries), lambda position: self.decode(entries[position]), self.image_shape)
        self._leave_out(bad)
        return MemoryRows(pixels)

    def _live(self) -> Rows:
        """With `skip_bad` every file is decoded once beforehand; else only read, which finds most of the damage."""
        entries = self.entries
        look = self.decode if self.settings.skip_bad or self.loader else self._open_one
        self._leave_out(attempt_all(lambda position: look(entries[position]), len(entries)))
        entries = self.entries
        about = [type(self).__name__, self.contents.mark(entries), asdict(self.recipe), VERSION]
        identity = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        return OnDemandRows(
            len(entries), self.image_shape, lambda at: self.decode(entries[at]), identity, self.settings.workers
        )

    def _key(self) -> str:
        """A hash of all that the pixels depend on."""
        about = [type(self).__name__, self.source.identity, digest_of(self.entries), asdict(self.recipe), VERSION]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def _leave_out(self, bad: Mapping[int, UnreadableImage]) -> None:
        """Go on without those positions, or raise `UserError` with the count; its note is the whole list."""
        if bad:
            for error in list(bad.values())[:_NAMED]:
                logger.warning("%s", error)
            names = [printable(self.entries[position].name) for position in bad]
            count = f"{len(bad):,} of {len(self.entries):,} images cannot be read (first: {names[0]})"
            if not self.settings.skip_bad or len(bad) == len(self.entries):
                remedy = "; dataset.skip_bad=true goes on without them" if len(bad) < len(self.entries) else ""
                failure = UserError(count + remedy)
                failure.add_note("\n".join(map(str, bad.values())))
                raise failure
            logger.warning("going on without: %s", count)
            self._skipped = dict(zip(names, map(str, bad.values()), strict=True))
            self.entries = [entry for position, entry in enumerate(self.entries) if position not in bad]
        self._settled = True
