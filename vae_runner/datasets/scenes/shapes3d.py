"""Shapes3D: 480,000 colour images of a solid in a room, one for every combination of six factors.

The factors are floor_hue (10 values), wall_hue (10), object_hue (10), scale (8), shape (4) and orientation (15), and
the images are in row-major order, the orientation varying fastest. The images come from the published file or are
rendered here (`shapes3d_render`), and these are called rendered wherever the data is named: they have the factors of
the published ones, and not their pixels.

Chris Burgess and Hyunjik Kim, "3D Shapes Dataset", 2018, https://github.com/google-deepmind/3d-shapes
"""

import colorsys
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import Factor, FactoredImages, FactorGrid
from vae_runner.datasets.reading.listing import printable
from vae_runner.datasets.scenes import shapes3d_file, shapes3d_render
from vae_runner.datasets.scenes.composed import ComposedImages
from vae_runner.datasets.store import cache
from vae_runner.datasets.store.known_digest import known_digest
from vae_runner.datasets.store.pixel_rows import HostRows, Rows
from vae_runner.datasets.store.preparation import open_store
from vae_runner.errors import UserError
from vae_runner.paths import cache_dir as cache_folder

__all__ = ["Shapes3D"]

Source = Literal["auto", "file", "render"]

_DEFAULT_ROOT = Path("data")  # of the settings: nobody has asked for it
_HUES = tuple(hue / 10 for hue in range(10))
_HUE_NAMES = ("red", "orange", "lime", "green", "mint", "cyan", "blue", "indigo", "purple", "pink")

logger = logging.getLogger("vae_runner")


def _hue(name: str) -> Factor:
    return Factor(name, _HUES, is_category=True, period=1.0, labels=_HUE_NAMES)


class Shapes3D(FactoredImages, ImageData, Dataset[tuple[Any, Any]]):
    """The Shapes3D images; item i is (image, image), each a PIL image after the transform.

    Args:
        root: the published 3dshapes.h5, or the folder that it is in.
        transform: takes the PIL image of an item; `gather` knows nothing of it.
        source: "file" reads the file in `root`, "render" draws the images and never looks there, "auto" is "file" where
            the file is there, else "render".
        cache_dir: where rendered light, or the file's images, unpacked, are kept for the next start;
            ~/.cache/vae_runner by default.

    Attributes:
        source: where the images came from: "file" or "rendered".
        provenance: `source`; of a file its `path` and its `sha256`, else the `sha256` of the rendered light.
        grid: the six factors.

    Raises:
        UserError: in one line where the file is not there, is damaged, or holds anything else.

    Example:
        >>> Shapes3D.grid.names[:4], Shapes3D.grid.sizes
        (('floor_hue', 'wall_hue', 'object_hue', 'scale'), (10, 10, 10, 8, 4, 15))
        >>> Shapes3D.grid.index_of(torch.tensor([0, 6, 1, 7, 2, 7])).item()  # a large orange ball in front of blue
        29737
    """

    image_shape = (3, 64, 64)
    grid = FactorGrid(
        [
            _hue("floor_hue"),
            _hue("wall_hue"),
            _hue("object_hue"),
            Factor("scale", tuple(np.linspace(0.75, 1.25, 8).tolist())),
            Factor("shape", (0.0, 1.0, 2.0, 3.0), is_category=True, labels=tuple(shapes3d_render.SHAPES)),
            Factor("orientation", shapes3d_render.ANGLES),
        ]
    )

    def __init__(
        self,
        root: str | Path | None,
        transform: Callable[[Image.Image], Any] | None = None,
        source: Source = "auto",
        cache_dir: str | Path | None = None,
    ) -> None:
        if source not in get_args(Source):
            raise UserError(f"dataset.source must be one of {', '.join(get_args(Source))}, got {source!r}")
        self.root = None if root is None else Path(root).expanduser()
        self.transform = transform
        self._cache = cache_folder(cache_dir)
        self._images: ComposedImages | Rows
        path = None if source == "render" or self.root is None else shapes3d_file.find(self.root)
        if path is not None:
            self._images, self._provenance = self._of_file(path)
        elif source == "file":
            place = "dataset.root is not set" if self.root is None else f"dataset.root={printable(self.root)}"
            raise UserError(
                f"no {shapes3d_file.FILE_NAME} in {place}: put the published file there, or set dataset.root=DIR; "
                "dataset.source=render draws images of the same factors"
            )
        else:
            if source == "auto" and self.root is not None:
                _tell_not_found(self.root)
            self._images, self._provenance = self._rendered()
        self.source = self._provenance["source"]

    @property
    def provenance(self) -> dict[str, Any]:
        return self._provenance

    def __len__(self) -> int:
        return len(self.grid)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index} is outside the {len(self):,} images of Shapes3D")
        levels = self.gather(torch.tensor([index % len(self)]))[0].mul(255).round().byte()
        image: Any = Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
        image = image if self.transform is None else self.transform(image)
        return image, image

    def gather(self, indices: Tensor) -> Tensor:
        """Returns the images at `indices` (B,) int64, each in [0, 480000), untransformed: (B, 3, 64, 64) float32,
        levels k/255, on the device of the data, see `to`.
        """
        images = self._images.gather(indices)
        return images if images.is_floating_point() else images.to(torch.float32).div_(255)

    def to(self, device: torch.device | str) -> "Shapes3D":
        """Have `gather` answer on `device`: 8 MB of rendered light go there, a file's 5.9 GB where they fit."""
        self._images = self._images.to(device)
        return self

    @property
    def on_host(self) -> bool:
        return isinstance(self._images, HostRows)

    @property
    def stays_as_it_is(self) -> bool:
        return isinstance(self._images, ComposedImages)  # a file may be read by a common position

    @property
    def reads_ahead(self) -> bool:
        return isinstance(self._images, HostRows)

    def expect(self, indices: Tensor) -> None:
        if isinstance(self._images, Rows):
            self._images.expect(indices)

    def fingerprint(self) -> str:
        """64 hex digits: of a file a hash of its pixels, else one of the rendered light and the colours."""
        if isinstance(self._images, Rows):
            return self._images.fingerprint()
        return hashlib.sha256(self._provenance["sha256"].encode() + _colours().tobytes()).hexdigest()

    def showcase(self) -> list[int]:
        """One of each shape for pictures, of a size above the middle, turned a little, each in colours of its own."""
        shown = [(1, 5, 8, 5, 0, 10), (4, 9, 0, 5, 1, 4), (7, 1, 5, 5, 2, 10), (9, 3, 6, 5, 3, 4)]
        return self.grid.index_of(torch.tensor(shown)).tolist()

    def _of_file(self, path: Path) -> tuple[Rows, dict[str, Any]]:
        """The images of a file, unpacked once."""
        published = shapes3d_file.PublishedFile(path, self.grid)
        digest = known_digest(path, self._cache)
        rows = open_store(
            self._cache,
            hashlib.sha256(f"shapes3d {digest}".encode()).hexdigest(),
            self.image_shape,
            len(self.grid),
            published.image_at,
            printable(path.absolute()),
            lambda: digest,
            remedy="set dataset.cache_dir=DIR, or dataset.source=render",
        )
        published.forget()
        return rows, {"source": "file", "path": str(path), "sha256": digest}

    def _rendered(self) -> tuple[ComposedImages, dict[str, Any]]:
        sha256 = shapes3d_render.RENDERED_SHA256
        light = cache.cached_array(self._cache, f"shapes3d-rendered-{sha256}.npy.xz", _render, sha256)
        images = ComposedImages(torch.from_numpy(light), torch.from_numpy(_colours()))
        return images, {"source": "rendered", "sha256": sha256}


def _colours() -> NDArray[np.uint8]:
    """Of each hue, red, green and blue (10, 3)."""
    return np.array([[round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.85, 0.95)] for hue in _HUES], np.uint8)


def _tell_not_found(root: Path) -> None:
    """Say that the images are rendered; a warning, unless `root` is the one that nobody has asked for."""
    level = logging.INFO if root == _DEFAULT_ROOT else logging.WARNING
    name = shapes3d_file.FILE_NAME
    logger.log(level, "no %s in dataset.root=%s: rendering takes its place", name, printable(root))


def _render() -> NDArray[np.uint8]:
    logger.info("rendering Shapes3D (once, a few seconds)")
    count = int(np.prod(shapes3d_render.GEOMETRIES))
    with tqdm(desc="rendering Shapes3D", total=count, unit=" scenes", disable=None) as bar:
        return shapes3d_render.render(bar.update)
