"""How the files of a set become images to train on: settings that all sets of image files share, stated once.

A class that takes them has them in its signature one by one, so that a config, its check and its help see single
arguments, and says in its constructor no more than what is its own.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from vae_runner.datasets.reading.depth import Levels
from vae_runner.datasets.reading.imaging import Decoding, Fit, Recipe
from vae_runner.signature import Limit, positive

__all__ = ["Channels", "Count", "PhotoSettings", "Side", "Size", "takes_settings"]

Count = Annotated[int, positive]
Side = Annotated[int, positive, Limit("must be at most 4096", lambda value: value <= 4096)]
Size = Side | tuple[Side, Side]
Channels = Annotated[int, Limit("must be 1 or 3", lambda value: value in (1, 3))]


@dataclass(frozen=True)
class PhotoSettings:
    """Of images that are read from files.

    Args:
        image_size: pixels on each side of the images that `gather` returns, or [height, width]; items keep the size of
            their files.
        channels: 1 (gray) or 3 (RGB).
        crop: longer side, in pixels, of the centre part, of the proportions of `image_size`, that `gather` resizes to
            it; None: as `fit` says.
        fit, background, decoding, levels: see `imaging.Recipe`.
        store: keep what was decoded for the next start; else `gather` decodes each batch from its files. With a loader
            of one's own it is kept in memory.
        cache_dir: where it is kept; ~/.cache/vae_runner by default.
        workers: threads that decode where there is no store; None: one for each core.
        skip_bad: go on without the files that cannot be read; else such a file is an error, at the first `gather` or
            when its item is asked for. All files are read when the length is asked for.

    Example:
        >>> PhotoSettings(image_size=32, crop=148).recipe.shape
        (3, 32, 32)
        >>> PhotoSettings(image_size=(32, 48)).recipe.shape
        (3, 32, 48)
    """

    image_size: Size = 64
    channels: Channels = 3
    crop: Count | None = None
    fit: Fit = "crop"
    background: str = "white"
    decoding: Decoding = "fast"
    levels: Levels | None = None
    store: bool = True
    cache_dir: str | Path | None = None
    workers: Count | None = None
    skip_bad: bool = False

    @property
    def recipe(self) -> Recipe:
        """What makes the pixels of a file."""
        size: Any = self.image_size
        levels: Any = self.levels and tuple(self.levels)
        return Recipe(size, self.channels, self.crop, self.fit, self.background, self.decoding, levels)


def takes_settings(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a constructor with `**settings`: these are all of `PhotoSettings`, with other `defaults`, and its
    signature has each of them by name.
    """

    def decorate(constructor: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(constructor)
        def complete(self: Any, *args: Any, **kwargs: Any) -> None:
            constructor(self, *args, **{**defaults, **kwargs})

        own = inspect.signature(constructor)
        kept = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(field.name, field.default),
                annotation=field.type,
            )
            for field in fields(PhotoSettings)
        ]
        complete.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
        hints = {one.name: one.annotation for one in [*kept, *added] if one.annotation is not inspect.Parameter.empty}
        complete.__annotations__ = {**hints, "return": None}
        return complete

    return decorate
