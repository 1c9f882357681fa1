"""dSprites: 737,280 binary 64x64 images of one sprite, one for every combination of six factors.

The factors are color (1 value), shape (3), scale (6), orientation (40), posX (32) and posY (32), and the images are in
the order of their codes with posY varying fastest. So a code, one class per factor, and an index determine each other:

    index = ((((shape * 6 + scale) * 40 + orientation) * 32 + posX) * 32 + posY

The labels therefore take no memory: they are functions of the index. The images come from the published file or are
rendered here (`dsprites_render`), and are held as windows (`windowed`); where a file holds larger ones than sprites, as
bits (`packed`). Orientation 39 is a full turn: its images are those of orientation 0.

Loic Matthey, Irina Higgins, Demis Hassabis and Alexander Lerchner, "dSprites: Disentanglement testing Sprites dataset",
2017, https://github.com/deepmind/dsprites-dataset
"""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import FactoredImages
from vae_runner.datasets.reading.download import fetch, git_blob_id
from vae_runner.datasets.reading.listing import printable
from vae_runner.datasets.sprites import dsprites_file, dsprites_render
from vae_runner.datasets.sprites.dressed import Variant, dressing
from vae_runner.datasets.sprites.dsprites_factors import GRID, METADATA
from vae_runner.datasets.sprites.sprite_array import SpriteArray, fingerprint, images_of, read, render
from vae_runner.datasets.store import cache
from vae_runner.errors import UserError
from vae_runner.paths import cache_dir as cache_folder
from vae_runner.signature import any_size

__all__ = ["PUBLISHED_BLOB", "URL", "dSprites"]

URL = f"https://github.com/deepmind/dsprites-dataset/raw/master/{dsprites_file.NPZ_NAME}"
DEFAULT_ROOT = Path("data")  # of the settings: nobody has asked for it
PUBLISHED_BLOB = "d98996d3f8ee1550e06b9d4ed78d0beb478910d5"  # what git calls the content of the file at URL
LARGEST = 30_000_000  # bytes; it has 26 MB

Source = Literal["auto", "file", "download", "render"]

logger = logging.getLogger("vae_runner")


class dSprites(FactoredImages, ImageData, Dataset[tuple[Any, Any]]):
    """The dSprites images; item i is (image, image), each a PIL image of 0 and 255 after the transform.

    Args:
        root: the published .npz, or an imgs.npy extracted from it, or the folder of one of them.
        download: bring the published file to `root` if no data is there.
        transform: takes the PIL image of an item; `gather` knows nothing of it.
        source: "file" reads the data in `root`; "download" does too, after fetching it if it is not there; "render"
            draws the images and never looks at `root`; "auto" is "file" where the data is there or `download` is set,
            else "render".
        cache_dir: where the windows of images are kept for the next start; ~/.cache/vae_runner by default.
        variant: "plain", or with a "colour" of each sprite, "noisy" around it, or with a "background", see `dressed`.
        seed: of what the variants draw, once for each image.
        background: the picture of that variant, which may lie in `root`.

    Attributes:
        source: where the images came from: "file", "downloaded" or "rendered".
        provenance: `source`, the `sha256` of the images as bits, the `path` of a file, and of an .npz its `git_blob`
            and whether it is the one `published`.
        grid: the six factors as all data sets with factors state them, see `factors`.
        latents_names, latents_sizes, latents_bases: the six factors, their numbers of values, and what one step of each
            adds to the index.
        latents_possible_values: the values of each factor, by name; `latents_values` of the published file.
        metadata: title, version and so on under the keys of the published file, in our own words.

    Raises:
        UserError: in one line where the data is not there, is damaged, or cannot be fetched.

    Example:
        >>> dSprites.grid.names, dSprites.grid.sizes
        (('color', 'shape', 'scale', 'orientation', 'posX', 'posY'), (1, 3, 6, 40, 32, 32))
        >>> dSprites.grid.index_of(torch.tensor([0, 2, 5, 0, 16, 16])).item()  # a large heart in the middle
        696848
    """

    grid = GRID
    latents_names = grid.names
    latents_sizes = np.array(grid.sizes)
    latents_bases = np.array(grid.strides)
    latents_possible_values: ClassVar[dict[str, NDArray[np.float64]]] = METADATA["latents_possible_values"]
    metadata: ClassVar[dict[str, Any]] = METADATA

    def __init__(
        self,
        root: str | Path | None,
        download: bool = False,
        transform: Callable[[Image.Image], Any] | None = None,
        source: Source = "auto",
        cache_dir: str | Path | None = None,
        variant: Variant = "plain",
        seed: Annotated[int, any_size] = 0,
        background: str | Path | None = None,
    ) -> None:
        if source not in get_args(Source):
            raise UserError(f"dataset.source must be one of {', '.join(get_args(Source))}, got {source!r}")
        if download and source == "render":
            raise UserError("dataset.download=true contradicts dataset.source=render: leave one of them out")
        self.root = None if root is None else Path(root).expanduser()
        self.variant, self._dress = variant, dressing(variant, seed, background, self.root)
        self.transform = transform
        self._wanted = source
        self._cache = cache_folder(cache_dir)
        self._fetched = False
        if download or source == "download":
            self.download()
        self.load_data()

    @property
    def provenance(self) -> dict[str, Any]:
        return self._provenance if self._dress is None else self._provenance | {"variant": self.variant}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (1 if self._dress is None else 3, 64, 64)

    @property
    def stays_as_it_is(self) -> bool:
        return True

    def download(self) -> None:
        """Bring the published file to `root`, checked, unless the data is there already."""
        if self._find() is None:
            root = self._root()
            path = root if root.suffix.lower() == ".npz" else root / dsprites_file.NPZ_NAME
            remedy = f"put the file into {path.parent} by hand, or set dataset.source=render"
            fetch(URL, path, _difference_from_published, label="dSprites", remedy=remedy, largest=LARGEST)
            self._fetched = True

    def load_data(self) -> None:
        """Read or render the images, as `source` asked for; the constructor has done it."""
        path = None if self._wanted == "render" else self._find()
        if path is not None:
            array, self._provenance = self._load_file(path)
        elif self._wanted in ("auto", "render"):
            array, self._provenance = self._load_rendered()
        else:
            raise UserError(
                f"no {dsprites_file.NPZ_NAME} and no imgs.npy in dataset.root={self._root()}: "
                "set dataset.root=DIR, dataset.source=download or dataset.source=render"
            )
        self.source = self.provenance["source"]
        self._images = images_of(array)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        pixels = self.gather(torch.from_numpy(self._within(index).reshape(1)))[0]
        image = Image.fromarray((255 * pixels).round().byte().permute(1, 2, 0).squeeze(2).cpu().numpy())
        image = image if self.transform is None else self.transform(image)
        return image, image

    def gather(self, indices: Tensor) -> Tensor:
        """Gather the images at `indices` (B,) int64, each in [0, 737280), untransformed.

        Returns:
            (B, 1, 64, 64) float32 zeros and ones on the device of the data, see `to`; of variants (B, 3, 64, 64).
        """
        sprites = self._images.gather(indices)
        return sprites if self._dress is None else self._dress(sprites, indices)

    def to(self, device: torch.device | str) -> "dSprites":
        """Move the images, 46 MB of windows and rows, to `device`; returns self."""
        self._images.to(device)
        return self

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the images as bits, in hex: the same for the same images from wherever; of a variant
        one of that and all that it draws from.
        """
        mark = self.provenance["sha256"]
        return mark if self._dress is None else hashlib.sha256(f"{mark} {self._dress}".encode()).hexdigest()

    def showcase(self) -> list[int]:
        """Returns indices of a square, an ellipse and a heart: centred, of middle size, turned by 37 degrees."""
        return self.index_of([(0, shape, 3, 4, 16, 16) for shape in range(3)]).tolist()

    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        """As of any set with factors, see `FactorGrid.quantities`.

        But the orientation is (cos k a, sin k a) of its angle a, (B, 2): a sprite looks the same after 1/k of a turn,
        k 4 for the square, 2 for the ellipse and 1 for the heart.
        """
        known = super().factors(indices)
        angle = self.grid.values_of(indices.cpu())[:, self.latents_names.index("orientation")]
        turned = angle * torch.tensor([4, 2, 1])[known["shape"]]
        return known | {"orientation": torch.stack([turned.cos(), turned.sin()], -1)}

    def get_img_by_latent(self, latent_code: ArrayLike) -> Any:
        """Returns the image of one code of 6 classes, as in an item; of codes (n, 6), all images: (n, 1, 64, 64), as
        `gather`.

        Raises:
            IndexError: naming the latent where a class is outside its range.
            ValueError: for other shapes.
        """
        index = self.index_of(latent_code)
        if index.ndim > 1 or index.size == 0:
            raise ValueError(f"expected one latent code or (n, 6) of them, got shape {np.shape(latent_code)}")
        return self[int(index)][0] if index.ndim == 0 else self.gather(torch.from_numpy(index))

    def index_of(self, codes: ArrayLike) -> NDArray[np.int64]:
        """Returns the index (...), int64, of each code: integer classes (..., 6) in the order of `latents_names`.

        Raises:
            IndexError: naming the latent where a class is outside its range.
        """
        codes = np.asarray(codes)
        if codes.shape[-1:] != self.latents_sizes.shape or not np.issubdtype(codes.dtype, np.integer):
            names = ", ".join(self.latents_names)
            raise ValueError(f"a latent code is 6 integers ({names}), got {codes.dtype} of shape {codes.shape}")
        return self.grid.index_of(torch.from_numpy(codes.astype(np.int64))).numpy()

    def latents_classes(self, indices: ArrayLike) -> NDArray[np.int64]:
        """Returns the class of each factor at the `indices` (...): (..., 6) int64. `IndexError` outside the set."""
        return self.grid.classes_of(torch.from_numpy(self._within(indices))).numpy()

    def latents_values(self, indices: ArrayLike) -> NDArray[np.float64]:
        """Returns the value of each factor at the `indices` (...): (..., 6). `IndexError` outside the set."""
        return self.grid.values_of(torch.from_numpy(self._within(indices))).numpy()

    def _within(self, indices: ArrayLike) -> NDArray[np.int64]:
        """Indices counted from the start, -1 being the last image."""
        indices = np.asarray(indices)
        outside = indices[(indices < -len(self)) | (indices >= len(self))]
        if len(outside):
            raise IndexError(f"{outside[0]} is outside the {len(self):,} images of dSprites")
        return np.asarray(indices % len(self)).astype(np.int64)

    def _root(self) -> Path:
        if self.root is None:
            raise UserError("dataset.root is not set: set dataset.root=DIR, or dataset.source=render")
        return self.root

    def _find(self) -> Path | None:
        return None if self.root is None else dsprites_file.find(self.root)

    def _load_file(self, path: Path) -> tuple[SpriteArray, dict[str, Any]]:
        """The images of a file and their provenance; only an .npz is cached, for reading an .npy is as fast."""
        about = {"source": "downloaded" if self._fetched else "file", "path": str(path)}
        if dsprites_file.is_archive(path):
            blob = git_blob_id(path)
            about |= {"git_blob": blob, "published": blob == PUBLISHED_BLOB}
            array = cache.cached_array(self._cache, f"dsprites-windows-{blob}.npy.xz", lambda: read(path))
            if blob != PUBLISHED_BLOB:
                logger.warning("%s is not the published file (git blob %s); its images are used", path, blob)
        else:
            array = read(path)
        return array, about | {"sha256": fingerprint(array)}

    def _tell_not_found(self, root: Path) -> None:
        """Say that the images are rendered; a warning, unless `root` is the one that nobody has asked for."""
        level = logging.INFO if root == DEFAULT_ROOT else logging.WARNING
        why = "" if root.is_dir() else ", which is no file and no folder" if root.exists() else ", which does not exist"
        logger.log(level, "no dSprites file in dataset.root=%s%s: rendering takes its place", printable(root), why)

    def _load_rendered(self) -> tuple[SpriteArray, dict[str, Any]]:
        """The rendered images and their provenance."""
        if self._wanted == "auto" and self.root is not None:
            self._tell_not_found(self.root)
        sha256 = dsprites_render.WINDOWS_SHA256
        array = cache.cached_array(self._cache, f"dsprites-windows-{sha256}.npy.xz", render, sha256)
        return array, {"source": "rendered", "sha256": dsprites_render.RENDERED_SHA256}


def _difference_from_published(path: Path) -> str | None:
    blob = git_blob_id(path)
    return None if blob == PUBLISHED_BLOB else f"sha1 {blob}, expected {PUBLISHED_BLOB}"
