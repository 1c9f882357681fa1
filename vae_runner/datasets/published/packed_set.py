"""What the published sets have in common: files that are found, known by their content, and unpacked once.

A second start reads neither the files, for as long as their sizes and times are the same (`store.known_digest`), nor
the pixels, which are read row by row as batches are made.
"""

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_runner.datasets.factors import FactorGrid
from vae_runner.datasets.reading.listing import printable
from vae_runner.datasets.store.known_digest import known_digest
from vae_runner.datasets.store.preparation import open_store
from vae_runner.datasets.store.row_images import RowImages
from vae_runner.errors import UserError
from vae_runner.paths import cache_dir as cache_folder

__all__ = ["SIDE", "PackedSet", "shrunk"]

SIDE = 64  # pixels of the images, as they are compared in the literature


class PackedSet(RowImages):
    """A published set: the complete grid of its factors, in files below `root`.

    Args:
        root: the folder that the files are in, or in a folder of the set's own in it.
        cache_dir: where the images are kept, unpacked; ~/.cache/vae_runner by default.

    Raises:
        UserError: in one line where files are not there, are damaged, or hold anything else.

    Example:
        >>> import torch
        >>> from vae_runner.datasets.factors import Factor
        >>> class Dots(PackedSet):
        ...     title, image_shape, grid = "Dots", (1, 2, 2), FactorGrid([Factor("x", (0.0, 1.0))])
        ...     def files(self):
        ...         return self.found(["dots.bin"], "dots.bin", "example.org", "dsprites")
        ...     def reader(self, files):
        ...         pixels = np.fromfile(files[0], np.uint8).reshape(2, 1, 2, 2)
        ...         return pixels.__getitem__
        >>> np.arange(8, dtype=np.uint8).tofile("dots.bin")
        >>> (255 * Dots(".", "cache").gather(torch.tensor([1]))).flatten()
        tensor([4., 5., 6., 7.])
    """

    title: ClassVar[str]
    grid: FactorGrid  # type: ignore[assignment]
    image_shape: tuple[int, int, int]  # type: ignore[assignment]

    def __init__(self, root: str | Path, cache_dir: str | Path | None = None) -> None:
        self.root, self._grid = Path(root).expanduser(), self.grid
        cache, files = cache_folder(cache_dir), self.files()
        digests = [known_digest(file, cache) for file in files]
        self._digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        self._files, read = files, _Once(lambda: self.reader(files))
        self._rows = open_store(
            cache,
            hashlib.sha256(f"{self.title} {self._digest}".encode()).hexdigest(),
            self.image_shape,
            len(self.grid),
            lambda position: read.value()(position),
            printable(files[0].absolute()),
            lambda: self._digest,
            remedy="set dataset.cache_dir=DIR",
        )
        read.forget()
        labels = b"" if self.listed is None else self.listed.numpy().tobytes()
        self._fingerprint = hashlib.sha256(self._rows.fingerprint().encode() + labels).hexdigest()

    @abstractmethod
    def files(self) -> list[Path]:
        """Returns the published files. Raises `UserError` where they are not there."""

    @abstractmethod
    def reader(self, files: Sequence[Path]) -> Callable[[int], NDArray[np.uint8]]:
        """Returns what reads an image of the files, (C, H, W) uint8, by its position; many threads may ask at once.

        Raises `UserError` where the files are not the published ones.
        """

    def __len__(self) -> int:
        return len(self.grid)

    @property
    def provenance(self) -> dict[str, Any]:
        """`source`; the `path` of the file, or of the first one; `sha256` of the files."""
        return {"source": "file", "path": str(self._files[0]), "sha256": self._digest}

    def fingerprint(self) -> str:
        """Returns a hash of the pixels and of which combinations they show."""
        return self._fingerprint

    def found(self, names: Sequence[str], wanted: str, where: str, instead: str) -> list[Path]:
        """Returns the first of the `names` that is there, as the one file.

        Args:
            names: below `root`; `root` itself may be the file, too.
            wanted: what is looked for, in words.
            where: it can be had.
            instead: `dataset=` that needs no file.
        """
        tried = [self.root, *(self.root / name for name in names)]
        known = {Path(name).name for name in names}
        for path in tried:
            if path.is_file() and path.name in known:
                return [path]
        raise self.missing(wanted, where, instead)

    def missing(self, wanted: str, where: str, instead: str) -> UserError:
        """Returns the line that says what to do."""
        return UserError(
            f"no {wanted} in dataset.root={printable(self.root)}: put the published file there, from {where}; "
            f"dataset={instead} has known factors and needs no file"
        )


def shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns an image (H, W) or (H, W, 3) as (C, 64, 64), by the filter of `disentanglement_lib` (Lanczos)."""
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    return small[None] if small.ndim == 2 else small.transpose(2, 0, 1)


class _Once:
    """Something that is made when it is first asked for, by whichever thread."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._lock, self._made = make, threading.Lock(), None

    def value(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def forget(self) -> None:
        self._made = None
