"""Images as users hold them, made into a batch of a model: tensors, arrays, PIL images, files, and lists of these.

What a number means follows from its kind: uint8 is divided by 255, a float is a brightness in [0, 1], and any other is
refused rather than guessed. Files, and PIL images of another size, are cut and resized as the run's own images were.
"""

import io
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_runner.datasets import CelebA_HQ, SimpleImageFolder
from vae_runner.datasets.reading.imaging import Recipe, UnreadableImage, as_channels, load_image, readable
from vae_runner.errors import UserError
from vae_runner.foreign import read_bytes
from vae_runner.signature import locate
from vae_runner.text import plain

__all__ = ["Images", "as_batch", "file_pixels", "recipe_of"]

Images = Tensor | np.ndarray | Image.Image | str | Path | list | tuple
ROUNDING = 1e-5  # so far outside of [0, 1] a resized image may be


def as_batch(images: Any, shape: tuple[int, int, int], recipe: Recipe | None) -> Tensor:
    """Returns the images as a batch (B, C, H, W) for a model that knows (C, H, W), float32 in [0, 1].

    Tensors and arrays may be one image or several, and have their channels last, or none where C is 1. `recipe` is of
    the run's files, None where its images are of none. Raises `ValueError` in one line where they are no such images,
    `UserError` where a file cannot be read.
    """
    if isinstance(images, (list, tuple)):
        if not images:
            raise ValueError("there are no images in the list")
        return torch.cat([as_batch(one, shape, recipe).cpu() for one in images])
    if isinstance(images, (str, os.PathLike)):
        return _scaled(torch.from_numpy(_of_file(Path(images).expanduser(), shape, recipe)))[None]
    if isinstance(images, Image.Image):
        return _scaled(torch.from_numpy(_of_picture(images, shape, recipe)))[None]
    if isinstance(images, np.ndarray):
        images = _as_tensor(images)
    if not isinstance(images, Tensor):
        kind = type(images).__name__
        raise ValueError(
            f"images are a tensor, an array, a PIL image, the path of a file, or a list of these, not {kind}"
        )
    return _scaled(_placed(images.detach(), shape))


def recipe_of(node: Mapping[str, Any], shape: tuple[int, int, int]) -> Recipe | None:
    """How the files of a run with that `dataset` node become images (C, H, W); None where no file can."""
    channels, height, width = shape
    if channels not in (1, 3):
        return None
    try:
        is_of_files = issubclass(locate(node["_target_"]), SimpleImageFolder)
    except (ImportError, TypeError):
        is_of_files = False
    given = {field.name: node[field.name] for field in fields(Recipe) if is_of_files and field.name in node}
    return Recipe(**{**given, "image_size": (height, width), "channels": channels})


def _as_tensor(array: np.ndarray) -> Tensor:
    try:
        return torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    except TypeError as error:
        raise ValueError(f"images are uint8, or floats in [0, 1], not {array.dtype}") from error


def _placed(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(B, C, H, W), whatever order the axes had."""
    channels, *size = shape
    given, last = tuple(images.shape), (*size, channels)
    if len(given) and not given[0]:
        raise ValueError(f"there are no images in {given}")
    if given[-3:] == shape and len(given) in (3, 4):
        return images.reshape(-1, *shape)
    if given[-3:] == last and len(given) in (3, 4):
        return images.reshape(-1, *last).movedim(-1, 1)
    if channels == 1 and given[-2:] == tuple(size) and len(given) in (2, 3):
        return images.reshape(-1, *shape)
    raise ValueError(f"the model knows images (B, {', '.join(map(str, shape))}), got {given}")


def _scaled(images: Tensor) -> Tensor:
    """float32 in [0, 1]."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32) / 255
    if images.dtype == torch.bool:
        return images.to(torch.float32)
    if not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        raise ValueError(f"images are uint8, or floats in [0, 1], not {kind}; of 0 to 255, images.to(torch.uint8)")
    low, high = (float(value) for value in torch.aminmax(images.float()))
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # nan too
        advice = "; divide them by 255" if 1 < high <= 255 and low >= 0 else ""
        raise ValueError(f"images are floats in [0, 1], but these go from {low:g} to {high:g}{advice}")
    return images.to(torch.float32).clamp(0, 1)


def _of_file(path: Path, shape: tuple[int, int, int], recipe: Recipe | None) -> np.ndarray:
    """The pixels of a file, (C, H, W) uint8."""
    if path.is_dir():
        raise UserError(f"{plain(path)} is a folder; give the paths of its images")
    with readable(path):
        if path.suffix.lower() == ".npy":
            return _of_picture(CelebA_HQ.npy_loader(path), shape, recipe)
        return file_pixels(read_bytes(path), path.name, shape, recipe)


def file_pixels(data: bytes, name: str, shape: tuple[int, int, int], recipe: Recipe | None) -> np.ndarray:
    """The pixels of a file of these bytes, (C, H, W) uint8. Raises whatever reading an image raises."""
    with Image.open(io.BytesIO(data)) as image:
        is_of_size = image.size == (shape[2], shape[1])
    if recipe is None or is_of_size:
        return _of_picture(load_image(io.BytesIO(data), *_channels(shape, recipe)), shape, recipe)
    return recipe.decode(io.BytesIO(data), name).copy()


def _of_picture(image: Image.Image, shape: tuple[int, int, int], recipe: Recipe | None) -> np.ndarray:
    """The pixels of a PIL image, (C, H, W) uint8."""
    channels, height, width = shape
    if image.size == (width, height):
        pixels = np.array(as_channels(image, *_channels(shape, recipe)))
        return pixels.reshape(height, width, channels).transpose(2, 0, 1).copy()
    if recipe is None:
        raise UnreadableImage(f"the model knows images of {width}x{height} pixels, not {image.width}x{image.height}")
    return recipe.pixels(image, "the image").copy()


def _channels(shape: tuple[int, int, int], recipe: Recipe | None) -> tuple[int, str]:
    if shape[0] not in (1, 3):
        raise UserError(f"the model knows images of {shape[0]} channels, which no file has; give a tensor or an array")
    return shape[0], recipe.background if recipe else "white"
