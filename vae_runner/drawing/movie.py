"""Moving pictures, for ever, as GIF, WebP or APNG: frames of tiles, each with a text below."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from vae_runner.drawing.encoded import Encoded
from vae_runner.drawing.layout import GAP, MARGIN, chosen_scale
from vae_runner.drawing.lettering import Text, widest
from vae_runner.drawing.paint import enlarged, in_colour, paint
from vae_runner.drawing.palette import INK

__all__ = ["Movie", "encoded"]

ENDINGS = {"gif": ".gif", "webp": ".webp", "apng": ".png"}
OPTIONS: dict[str, dict[str, Any]] = {"gif": {"optimize": True}, "webp": {"quality": 90, "method": 3}, "apng": {}}
FONT_SIZE = 15
LINE = FONT_SIZE + 8
APART = 8  # pixels between a tile and the label of the one below


@dataclass
class Movie:
    """Frames of tiles (N, H, W, 1 or 3) uint8 in rows of `across`, each frame with a text below.

    labels    one above each tile, or none
    last      times that the last frame stays
    """

    name: str
    format: str
    milliseconds: int
    frames: Sequence[np.ndarray]
    texts: Sequence[str]
    across: int
    scale: int | None = None
    labels: Sequence[str] = ()
    last: int = 1
    details: dict[str, Any] = field(default_factory=dict)

    is_moving: ClassVar[bool] = True

    def detached(self) -> "Movie":
        """Returns itself: its frames are arrays already."""
        return self

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Returns the moving picture that a notebook shows."""
        kind = {"apng": "png"}.get(self.format, self.format)
        data = self.encode().files[ENDINGS[self.format]]
        return {f"image/{kind}": base64.b64encode(data).decode()}

    def encode(self) -> Encoded:
        """Returns it in its format, its last frame held for longer."""
        mode = "L" if all(tiles.shape[-1] == 1 for tiles in self.frames) else "RGB"
        pictures = [self._picture(*frame, mode) for frame in zip(self.frames, self.texts, strict=True)]
        durations = [self.milliseconds] * (len(pictures) - 1) + [self.milliseconds * self.last]
        return Encoded({ENDINGS[self.format]: encoded(pictures, durations, self.format)}, self.details)

    def _picture(self, tiles: np.ndarray, text: str, mode: str) -> Image.Image:
        tiles = tiles if mode == "L" else in_colour(tiles)
        count, height, width, _ = tiles.shape
        across = min(self.across, count)
        scale = self.scale or chosen_scale(height, width, across)
        label = LINE if self.labels else 0
        step_x = max(width * scale + GAP, widest(self.labels, FONT_SIZE) + 10)
        step_y = height * scale + label + (APART if self.labels else GAP)
        size = (2 * MARGIN + step_x * across - GAP, 2 * MARGIN + step_y * -(-count // across) + LINE)
        places = [(MARGIN + index % across * step_x, MARGIN + index // across * step_y) for index in range(count)]
        placed = [(x, y + label, enlarged(tile, scale)) for (x, y), tile in zip(places, tiles, strict=True)]
        texts = [
            Text(x + width * scale / 2, y + LINE - 9, name, FONT_SIZE, INK, "ms")
            for (x, y), name in zip(places, self.labels, strict=bool(self.labels))
        ]
        return paint(size, placed, [*texts, Text(MARGIN, size[1] - MARGIN, text, FONT_SIZE, anchor="ls")], mode)


def encoded(pictures: Sequence[Image.Image], durations: Sequence[int], format: str) -> bytes:
    """The bytes of a file that plays the pictures for ever, each for so many milliseconds."""
    buffer = io.BytesIO()
    if format == "gif":
        pictures = [_few_grays(picture) if _is_gray(picture) else picture for picture in pictures]
    pictures[0].save(
        buffer, {"apng": "PNG"}.get(format, format.upper()), save_all=True, append_images=list(pictures[1:]),
        duration=list(durations), loop=0, **OPTIONS[format],
    )  # fmt: skip
    return buffer.getvalue()


def _few_grays(picture: Image.Image) -> Image.Image:
    """With 64 grays, which halves the file and leaves nothing to be seen."""
    pixels = np.asarray(picture.convert("L")).astype(np.uint16)
    return Image.fromarray(((pixels + 2) // 4 * 255 // 64).clip(0, 255).astype(np.uint8)).convert("P")


def _is_gray(picture: Image.Image) -> bool:
    pixels = np.asarray(picture)
    return picture.mode == "L" or bool((pixels[..., :1] == pixels).all())
