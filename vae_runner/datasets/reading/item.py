"""What an item of a user's data set is as an image: its pixels, channels first, as levels or floats.

An image is a PIL image, gray or else RGB; a tensor (C, H, W) or (H, W); or an array (H, W, C) or (H, W). Where the
channels can only be at the other end, for there alone are 1 or 3 of them, they are taken from there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vae_runner.datasets.reading.imaging import as_channels
from vae_runner.datasets.reading.pixel_range import SLACK, remedy

__all__ = ["NoImageError", "as_pixels", "levels_of", "part_of"]

_GRAY = ("1", "L", "LA", "La", "I", "F")  # Pillow's modes of one channel; 16 bits are I;16 and the like


class NoImageError(ValueError):
    """Something that is not an image, as this module wants it.

    Example:
        >>> as_pixels(np.full((4, 4), np.inf))
        Traceback (most recent call last):
            ...
        vae_runner.datasets.reading.item.NoImageError: it has values that are not finite
    """


def part_of(item: Any, which: int | str) -> Any:
    """Returns the image in an item."""
    if isinstance(item, Mapping):
        if which not in item:
            raise NoImageError(
                f"a dict of {', '.join(map(str, item))}; dataset.item=NAME says which of them is the image"
            )
        return item[which]
    if not isinstance(item, (tuple, list)):
        return item
    if not (isinstance(which, int) and -len(item) <= which < len(item)):
        raise NoImageError(f"a tuple of {len(item)}; dataset.item must be a position in it, got {which!r}")
    return item[which]


def as_pixels(image: Any) -> NDArray:
    """Returns the pixels of any image, (C, H, W): uint8 where all are levels k/255, else float32 in [0, 1]."""
    if isinstance(image, Image.Image):
        is_gray = image.mode in _GRAY or image.mode.startswith("I;16")
        image = np.asarray(as_channels(image, 1 if is_gray else 3))
    is_tensor = isinstance(image, Tensor)
    values = image.detach().cpu().numpy() if is_tensor else image
    if not isinstance(values, np.ndarray):
        raise NoImageError(f"expected a PIL image, a tensor or an array, got {type(values).__name__}")
    return np.require(levels_of(_channels_first(values, is_tensor)), requirements="CW")  # torch warns of others


def _channels_first(values: NDArray, is_tensor: bool) -> NDArray:
    if values.ndim == 2:
        return values[None]
    if values.ndim != 3 or not values.size:
        raise NoImageError(f"expected an image (C, H, W), (H, W, C) or (H, W), got {values.shape}")
    first, last = values.shape[0] in (1, 3), values.shape[-1] in (1, 3)
    leads = (first or not last) if is_tensor else (first and not last)
    return values if leads else values.transpose(2, 0, 1)


def levels_of(values: NDArray) -> NDArray:
    """Returns pixels as uint8 where all are levels k/255, else as float32 in [0, 1]; in whatever shape.

    Raises:
        NoImageError: where they are neither uint8, nor bool, nor floats in [0, 1].
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise NoImageError(f"its values are {values.dtype}, expected uint8, or floats in [0, 1]")
    low, high = values.min(), values.max()
    if not np.issubdtype(values.dtype, np.floating):
        raise NoImageError(f"its values are {values.dtype} from {low} to {high}, expected uint8, or floats in [0, 1]")
    if not (np.isfinite(low) and np.isfinite(high)):
        raise NoImageError("it has values that are not finite")
    if low < -SLACK or high > 1 + SLACK:
        raise NoImageError(f"its floats go from {low:.4g} to {high:.4g}, expected [0, 1]: {remedy(low, high)}")
    values = values.astype(np.float32).clip(0, 1)
    levels = np.rint(values * 255).astype(np.uint8)
    return levels if np.array_equal(levels.astype(np.float32) / np.float32(255), values) else values
