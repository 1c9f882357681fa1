"""How one file of a set is read: as the image of an item, and as the pixels that a batch is made of.

The image of an item has the size of its file. The pixels are cropped and resized by the recipe, and what the file was
found to contain is noted on the way, so that the next start need not read it. Sets whose files are of another kind
override `_image`, `_pixels` and `_glance`.
"""

from collections.abc import Callable
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image

from vae_runner.datasets.photos.contents import Contents
from vae_runner.datasets.reading.depth import FLAT, Depth, Look
from vae_runner.datasets.reading.imaging import Recipe, load_image, look_into, readable
from vae_runner.datasets.reading.listing import Entry, open_regular
from vae_runner.datasets.reading.source import Source, ZipSource
from vae_runner.errors import UserError

__all__ = ["PhotoFiles"]


class PhotoFiles:
    """The files of `source`, each read by the user's `loader` where there is one, else by Pillow and the `recipe`.

    Example:
        >>> from pathlib import Path
        >>> from vae_runner.datasets.photos.image_folder import SimpleImageFolder
        >>> Path("scans").mkdir()
        >>> Image.new("L", (40, 30), 255).save("scans/a.png")
        >>> data: PhotoFiles = SimpleImageFolder("scans", image_size=16, channels=1, cache_dir="cache")
        >>> data.decode(data.source.entries[0]).shape
        (1, 16, 16)
    """

    source: Source
    loader: Callable[[str], Any] | None
    recipe: Recipe
    contents: Contents

    def load(self, entry: Entry) -> Any:
        """Returns what the loader makes of a file.

        Raises:
            UnreadableImage: where that fails.
        """
        with readable(self.source.location(entry)):
            if self.loader is not None:
                return self._loaded(entry)
            if isinstance(self.source, ZipSource):
                with self.source.open(entry) as file:
                    return self._image(file)
            with open_regular(self.source.location(entry)) as file:
                return self._image(file)

    def decode(self, entry: Entry) -> NDArray:
        """Returns the pixels of a file, (C, H, W) uint8.

        Raises:
            UnreadableImage: where it has none.
        """
        with readable(self.source.location(entry)):
            if self.loader is not None:
                return self._framed(self._loaded(entry), entry)
            depths: list[Depth] = []
            with self.contents.open(entry) as file:
                pixels = self._pixels(file, entry, depths.append)
            self.contents.note(entry, depths[0] if depths else FLAT)
            return pixels

    def _loaded(self, entry: Entry) -> Any:
        """What the user's loader makes of a file, of which there has to be one."""
        open_regular(location := self.source.location(entry)).close()
        return self.loader(location)

    def _image(self, file: BinaryIO) -> Image.Image:
        """The image of an item."""
        return load_image(file, self.recipe.channels, self.recipe.background, self.recipe.levels)

    def _pixels(self, file: BinaryIO, entry: Entry, look: Look) -> NDArray:
        return self.recipe.decode(file, entry.name, look)

    def _framed(self, image: Any, entry: Entry) -> NDArray:
        if not isinstance(image, Image.Image):
            raise UserError(f"dataset.loader must return a PIL image to train on, got {type(image).__name__}")
        return self.recipe.pixels(image, entry.name)

    def _open_one(self, entry: Entry) -> None:
        """Raises `UnreadableImage` where the beginning of the file is not that of an image."""
        with readable(self.source.location(entry)):
            known, depths = self.contents.knows(entry), list[Depth]()
            is_fine = known is not None and (self.recipe.levels is not None or known.is_within)
            with self.contents.open(entry) as file:
                self._glance(file, None if is_fine else depths.append)
            if not is_fine:
                self.contents.note(entry, depths[0] if depths else FLAT)

    def _glance(self, file: BinaryIO, look: Look | None) -> None:
        """Look at the header, and, where there is a `look`, whether the file is of more than 8 bits and how bright."""
        look_into(file, self.recipe.levels, look)
