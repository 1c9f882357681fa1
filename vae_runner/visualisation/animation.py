"""Moving pictures, for ever: the latents walked back and forth, and what training made of the same codes."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from PIL import Image

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.datasets.base import ImageData
from vae_runner.drawing.encoded import Drawing, Encoded
from vae_runner.drawing.layout import check_size, most_frames
from vae_runner.drawing.movie import Movie
from vae_runner.drawing.paint import to_pixels
from vae_runner.foreign import dig, read_bytes, read_json, whole
from vae_runner.runs.names import GRIDS, HISTORY, of_step
from vae_runner.signature import enforced, non_negative, positive
from vae_runner.state import MODEL
from vae_runner.visualisation.picture import Phase, Picture, Scene
from vae_runner.visualisation.walking.traversal import Traversal
from vae_runner.visualisation.walking.walker import Count, Scale

__all__ = ["Animation"]

log = logging.getLogger(__name__)

HOLD = 8  # times that the last frame of the training stays
MOST_FRAMES = 60  # of the training
ACROSS = 5  # latents in a row

Format = Literal["auto", "gif", "webp", "apng", "none"]


@enforced
class Animation(Picture):
    """`animations/traversal`: all live latents at once, each from `lin_start` to `lin_end` and back; and
    `animations/training`: the history of a picture, from its first step to the newest.

    Args:
        format: gif, webp, apng, none, or auto: GIF for gray images, WebP for colour.
        lin_start, lin_end, walk, start, image, dead_below, phase: as of `Traversal`.
        steps: frames one way.
        of: the picture whose history is shown; None: none.
        milliseconds: of a frame.

    Example:
        >>> animation = Animation(steps=15, dead_below=0.1)
        >>> animation.traversal.lin_steps, animation.traversal.dead  # latents below 0.1 nats are not shown
        (15, 'hide')
    """

    history: ClassVar[bool] = False

    def __init__(
        self,
        format: Format = "auto",
        lin_start: float = -2,
        lin_end: float = 2,
        steps: Count = 15,
        walk: Literal["auto", "linear", "quantile", "posterior"] = "auto",
        start: Literal["images", "prior"] = "images",
        image: Annotated[int, non_negative] = 0,
        dead_below: Annotated[float, non_negative] = 0.05,
        of: str | None = "samples",
        milliseconds: Annotated[int, positive] = 80,
        phase: Phase = "validation",
        scale: Scale = None,
    ) -> None:
        self.format, self.of, self.milliseconds, self.phase, self.scale = format, of, milliseconds, phase, scale
        self.traversal = Traversal(
            lin_start, lin_end, steps, None, walk, start, [image], dead="hide", dead_below=dead_below, phase=phase
        )

    def prepare(self, model: VAE, data: ImageData) -> None:
        self.traversal.check(model)  # its grid is not drawn
        if self.format != "none":
            latents, steps = min(sum(model.latent_dims), self.traversal.most), self.traversal.lin_steps
            across = min(ACROSS, latents)
            tiles = (-(-latents // across), across, data.image_shape[1:])
            check_size(f"steps={steps}", *tiles, self.scale, frames=max(2 * steps - 2, 1))

    def drawings(self, scene: Scene) -> list[Drawing]:
        if self.format == "none":
            return []
        drawings: list[Drawing] = [self._traversal(scene)]
        if self.of is not None:
            drawings.append(self._training(scene, drawings[0].format))
        return drawings

    def _traversal(self, scene: Scene) -> Movie:
        state = scene.state(self.phase)
        with evaluating(state[MODEL]):
            grid = self.traversal.grid(state)
            latents, several = self.traversal.latents(state), len(state[MODEL].priors()) > 1
        tiles = to_pixels(grid.values(), grid.title)
        tiles = tiles.reshape(len(latents), -1, *tiles.shape[1:])[:, grid.lead :].swapaxes(0, 1)  # (T, N, H, W, C)
        texts = list(grid.column_labels[grid.lead :])
        return Movie(
            "traversal",
            self._format(grid.images.shape[1]),
            self.milliseconds,
            [*tiles, *tiles[-2:0:-1]],
            [*texts, *texts[-2:0:-1]],
            ACROSS,
            self.scale,
            labels=[" ".join(latent.label(several)[::2]).strip() for latent in latents],
            details={"rows": [latent.record() for latent in latents]},
        )

    def _training(self, scene: Scene, format: str) -> "History":
        source = scene.folder / GRIDS / HISTORY
        return History(source, self.of or "", scene.step, format, 4 * self.milliseconds, self.scale)

    def _format(self, channels: int) -> str:
        return self.format if self.format != "auto" else "gif" if channels == 1 else "webp"


@dataclass
class History:
    """The tiles of a picture's history up to a step, as a movie; nothing while there is no history."""

    source: Path
    of: str
    step: int
    format: str
    milliseconds: int
    scale: int | None

    name: ClassVar[str] = "training"
    is_moving: ClassVar[bool] = True

    def detached(self) -> "History":
        return self

    def encode(self) -> Encoded:
        steps = [step for step in _steps(self.source, self.of) if step <= self.step]
        every = -(-len(steps) // self._most_frames(steps)) or 1
        kept = sorted({*steps[::every], *steps[-1:]})
        frames = [(step, tiles) for step in kept if (tiles := self._tiles(step)) is not None]
        frames = [(step, tiles) for step, tiles in frames if tiles.shape[:-1] == frames[-1][1].shape[:-1]]
        if not frames:
            log.info(
                "no animation of the training: there is no history of '%s' yet (visualisation.animation.of)", self.of
            )
            return Encoded({}, {})
        layout = self._layout(frames[-1][0])
        texts = [f"{self.of} at step {step:,}" for step, _ in frames]
        movie = Movie(
            self.name, self.format, self.milliseconds, [tiles for _, tiles in frames], texts,
            layout["columns"] + layout["lead"], self.scale, last=HOLD, details={"of": self.of, "steps": kept},
        )  # fmt: skip
        return movie.encode()

    def _most_frames(self, steps: Sequence[int]) -> int:
        """As many as are not absurdly large together, going by the newest picture."""
        layout = self._layout(steps[-1]) if steps else None
        if layout is None:
            return MOST_FRAMES
        size = [layout[side] // layout["scale"] for side in ("tile_height", "tile_width")]
        return min(MOST_FRAMES, most_frames(len(layout["tops"]), len(layout["lefts"]), size, self.scale))

    def _layout(self, step: int) -> dict[str, Any] | None:
        layout = read_json(self.source / f"{of_step(self.of, step)}.json").get("layout")
        return layout if _is_layout(layout) else None

    def _tiles(self, step: int) -> np.ndarray | None:
        """The picture's tiles in their own size, (N, H, W, 1 or 3)."""
        file = self.source / f"{of_step(self.of, step)}.png"
        layout = self._layout(step)
        if layout is None or not file.exists():
            return None
        try:
            with Image.open(io.BytesIO(read_bytes(file))) as picture:
                pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
        except Exception:  # Pillow raises nearly anything on a damaged file
            return None
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        height, width, scale = layout["tile_height"], layout["tile_width"], layout["scale"]
        tiles = [pixels[y : y + height : scale, x : x + width : scale] for y in layout["tops"] for x in layout["lefts"]]
        is_whole = all(tile.size and tile.shape == tiles[0].shape for tile in tiles)
        return np.stack(tiles) if is_whole else None


def _is_layout(layout: Any) -> bool:
    """Whether it says where the tiles of a picture are."""
    sides = [whole(dig(layout, name)) for name in ("tile_height", "tile_width", "scale", "columns")]
    places = [dig(layout, name) for name in ("tops", "lefts")]
    are_places = all(isinstance(at, list) and at and all(whole(place) is not None for place in at) for at in places)
    return all(sides) and whole(dig(layout, "lead")) is not None and are_places and sides[2] <= min(sides[:2])


def _steps(folder: Path, name: str) -> list[int]:
    """The steps that there is a picture of that name of, ascending."""
    ends = (file.stem.removeprefix(f"{name}-") for file in folder.glob(f"{name}-*.png"))
    return sorted(int(end) for end in ends if end.isdecimal())
