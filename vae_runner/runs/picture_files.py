"""The picture files of a run, as they are: PNG (still or moving), GIF, WebP and SVG, with the JSON file beside each."""

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from vae_runner.foreign import MEDIUM, json_object, read_bytes, read_text

__all__ = ["Picture", "as_picture", "ranked", "read_pictures"]

TYPES = {".svg": "svg+xml", ".webp": "webp", ".png": "png", ".gif": "gif"}  # of one name, the first there is
# Of the pictures: by the first word of the name. Others come behind, by name.
ORDER = (
    *("traversal", "reconstruction", "samples", "random", "path", "interpolation"),
    *("scatter", "codes", "kl", "schedule", "factors", "data"),
)
TITLES = {"kl": "KL", "elbo": "ELBO", "pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


@dataclass(frozen=True)
class Picture:
    """A picture file as it is, its media type behind image/, its size in pixels, and the JSON file beside it."""

    name: str
    data: bytes
    type: str
    width: int
    height: int
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name as a heading: 'Traversal', 'KL per space'."""
        first, *rest = self.words
        return " ".join([TITLES.get(first, first[:1].upper() + first[1:]), *rest])

    @property
    def words(self) -> list[str]:
        """The words of its name."""
        return re.split(r"[-_. ]+", self.name)


def read_pictures(folder: Path) -> list[Picture]:
    """Returns the pictures in the folder, the telling ones first; files that are none are left out."""
    found: dict[str, Picture] = {}
    for suffix in TYPES:
        for file in folder.glob(f"*{suffix}"):
            if not file.name.startswith(".") and file.stem not in found and (picture := _picture(file)):
                found[file.stem] = picture
    return ranked(found.values())


def as_picture(name: str, data: bytes, type: str = "png", details: Mapping[str, Any] | None = None) -> Picture | None:
    """The picture; None where the data are none of that type."""
    size = _svg_size(data) if type == "svg+xml" else _raster_size(data, type)
    return Picture(name, data, type, *size, details or {}) if size else None


def ranked(pictures: Iterable[Picture]) -> list[Picture]:
    """In the order of a page."""
    rank = {name: index for index, name in enumerate(ORDER)}
    return sorted(pictures, key=lambda picture: (rank.get(picture.words[0], len(rank)), picture.name))


def _picture(file: Path) -> Picture | None:
    """None where it has just gone, or is not what its name says."""
    try:
        data = read_bytes(file, MEDIUM)
    except (OSError, ValueError):
        return None
    return as_picture(file.stem, data, TYPES[file.suffix], json_object(read_text(file.with_suffix(".json"))))


def _raster_size(data: bytes, kind: str) -> tuple[int, int] | None:
    """Width and height by the file's header; nothing is decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
            return image.size
    except Exception:  # Pillow raises nearly anything on a damaged file
        return None


def _svg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the root element gives, or those of its view box."""
    root = re.search(rb"<svg\b[^>]*>", data[:10_000])
    if root is None or b"</svg>" not in data[-100:]:
        return None
    sides = [re.search(rb'\s%s="([0-9.]+)(?:px|pt)?"' % side, root[0]) for side in (b"width", b"height")]
    size = [side[1] for side in sides if side is not None]
    if len(size) < len(sides):
        box = re.search(rb'\sviewBox="[-0-9.e]+[ ,]+[-0-9.e]+[ ,]+([0-9.]+)[ ,]+([0-9.]+)"', root[0])
        size = list(box.groups()) if box else [b"640", b"480"]
    try:
        width, height = (round(float(side)) for side in size)
    except (ValueError, OverflowError):
        return None
    return (width, height) if 0 < width < 1e6 and 0 < height < 1e6 else None
