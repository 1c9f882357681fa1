"""The images that a user names, files, folders and zips, read batch by batch as the run's own images were.

A file that cannot be read is left out, and said in a line; so is how many were of another size, or of other colours,
and what was done with them. No more than a batch of images is in memory.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_runner.datasets.reading.imaging import Recipe, readable
from vae_runner.datasets.reading.listing import IMAGE_EXTENSIONS, Entry
from vae_runner.datasets.reading.parallel import cores
from vae_runner.datasets.reading.source import Source, open_source
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.images import as_batch, file_pixels
from vae_runner.foreign import read_bytes
from vae_runner.runs.words import plural
from vae_runner.text import plain

__all__ = ["GivenImages"]

log = logging.getLogger(__name__)

LARGEST = 1 << 30  # bytes of a file
GRAY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L")  # modes of Pillow without colour


@dataclass(frozen=True)
class _File:
    """An image by the name that is told, and where it is: a path, or an entry of a folder or a zip."""

    name: str
    path: Path | None = None
    source: Source | None = None
    entry: Entry | None = None

    def read(self) -> bytes:
        if self.source is None or self.entry is None:
            return read_bytes(Path(self.path or self.name), LARGEST)
        with self.source.open(self.entry) as file:
            return file.read()


class GivenImages:
    """Images of these places for a model that knows `shape`, (C, H, W); `recipe` as of `saved_run.images`.

    `bad` counts the files that could not be read so far. Raises `UserError` where a place is none, or holds no image.
    """

    def __init__(self, places: Sequence[Path], shape: tuple[int, int, int], recipe: Recipe | None) -> None:
        self.shape, self.recipe = shape, recipe
        self.files = [file for place in places for file in _files(place, is_alone=len(places) == 1)]
        self.bad = self._resized = self._recoloured = self._read = 0
        self._first_size = ""

    def __len__(self) -> int:
        return len(self.files)

    @property
    def names(self) -> list[str]:
        """Of all files, in the order in which they are read."""
        return [file.name for file in self.files]

    @property
    def names_of_results(self) -> list[str]:
        """The same, of a file that was named by itself without its folder."""
        return [file.name if file.path is None else file.path.name for file in self.files]

    def batches(self, size: int) -> Iterator[tuple[list[int], Tensor]]:
        """Yields the places in `names` and the images (B, C, H, W), float32 in [0, 1], of so many files at a time."""
        Image.init()  # by two threads at once, Pillow may take a file for no image
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(self.files), size):
                places, good = range(start, min(start + size, len(self.files))), dict[int, np.ndarray]()
                for place, found in zip(places, pool.map(self._try, (self.files[one] for one in places)), strict=True):
                    if isinstance(found, str):
                        self.bad += 1
                        log.warning("%s", found)
                    else:
                        good[place] = found.pixels
                        self._count(found)
                if good:
                    images = torch.from_numpy(np.stack(list(good.values())))
                    yield list(good), images.to(torch.float32) / 255

    def note(self) -> str | None:
        """What was done with images that are not as the model knows them; None where there were no such."""
        done = []
        if self._resized and self.recipe is not None:
            done.append(f"{self._part(self._resized)} had another size ({self._first_size}): {self._how(self.recipe)}")
        if self._recoloured and self.shape[0] == 1:
            done.append(f"{self._part(self._recoloured)} had colours: made gray")
        elif self._recoloured:
            done.append(f"{self._part(self._recoloured)} had no colours: the same gray in all channels")
        return f"{'; '.join(done)}; as with the run's own images" if done else None

    def _part(self, number: int) -> str:
        return f"{number:,} of {plural(self._read, 'image')}"

    def _how(self, recipe: Recipe) -> str:
        """'the centre square resized to 64x64'."""
        whole, frame = ("the centre square", "a square") if recipe.is_square else ("the centre part", "this shape")
        used = {"crop": whole, "pad": f"all of it, padded to {frame},", "stretch": "all of it"}[recipe.fit]
        if recipe.crop is not None:
            size = f"{recipe.crop}" if recipe.is_square else "x".join(map(str, recipe.least))
            used = f"{whole} of {size} pixels"
        return f"{used} resized to {self.shape[2]}x{self.shape[1]}"

    def _count(self, found: "_Pixels") -> None:
        self._read += 1
        if found.size != (self.shape[2], self.shape[1]):
            self._resized += 1
            self._first_size = self._first_size or f"{found.size[0]}x{found.size[1]}"
        self._recoloured += (found.mode in GRAY) == (self.shape[0] == 3)

    def _try(self, file: _File) -> "_Pixels | str":
        """What is in the file, or what is wrong with it."""
        try:
            if file.path is not None and file.path.suffix.lower() == ".npy":
                pixels = (as_batch(file.path, self.shape, self.recipe)[0] * 255).round().to(torch.uint8).numpy()
                return _Pixels(pixels, (self.shape[2], self.shape[1]), "L" if self.shape[0] == 1 else "RGB")
            with readable(file.name):
                data = file.read()
                with Image.open(io.BytesIO(data)) as image:
                    size, mode = image.size, image.mode
                return _Pixels(file_pixels(data, file.name, self.shape, self.recipe), size, mode)
        except (UserError, ValueError) as error:
            return str(error).partition("; set dataset.")[0]


@dataclass(frozen=True)
class _Pixels:
    """(C, H, W) uint8, and what the file had."""

    pixels: np.ndarray
    size: tuple[int, int]
    mode: str


def _files(place: Path, is_alone: bool) -> Iterator[_File]:
    """The images of a place; of a folder that is not alone, with its name before theirs."""
    try:
        path = place.expanduser()
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{plain(place)}: {plain(getattr(error, 'strerror', None) or error)}") from error
    if not is_there:
        raise UserError(f"{plain(place)}: no such file or folder")
    if not is_folder and path.suffix.lower() != ".zip":
        yield _File(str(place), path)
        return
    try:
        source = open_source(path, IMAGE_EXTENSIONS)
    except UserError as error:
        raise UserError(str(error).partition("; set dataset.root")[0].replace("dataset.root=", "")) from error
    before = "" if is_alone else f"{place}/"
    for entry in source.entries:
        yield _File(before + entry.name, None, source, entry)
