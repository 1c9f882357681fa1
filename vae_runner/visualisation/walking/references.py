"""Images as a config names them: by their index in the data set, or as a file.

A file is read as one of a folder of images would be (`datasets.reading.imaging`: upright, in the channels of the data
set), cropped around its centre to the shape of the data set's images and scaled to their size with antialiasing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.reading.imaging import FILTER, GAP, load_image, readable
from vae_runner.errors import UserError
from vae_runner.signature import Limit, non_negative

__all__ = ["Images", "as_images", "read_image"]

Reference = int | str | Path
some = Limit("must name an image, or be null", len)
# A batch (B, C, H, W) or one image (C, H, W); one reference or several; null: left to the walker.
Images = Tensor | Annotated[int, non_negative] | str | Path | Annotated[Sequence[Reference], some] | None


def as_images(
    given: Tensor | Reference | Sequence[Reference], data: ImageData, device: torch.device, argument: str
) -> Tensor:
    """Returns the images that are meant, (B, C, H, W).

    Raises:
        UserError: about that argument of the walker, for one that is not there, cannot be read, or has another shape.
    """
    if not isinstance(given, Tensor):
        references = [given] if isinstance(given, Reference) else given
        return torch.cat([_look_up(reference, data, device, argument) for reference in references])
    images = given[None] if given.dim() == 3 else given
    if images.shape[1:] != data.image_shape:
        raise UserError(
            f"{argument}: images {_shape(images.shape[1:])}, those of the data are {_shape(data.image_shape)}"
        )
    return images


def read_image(file: str | Path, image_shape: tuple[int, int, int], argument: str) -> Tensor:
    """Returns the file's image, (C, H, W) in [0, 1].

    Raises:
        UserError: where that cannot be.
    """
    path = Path(file).expanduser()
    channels, height, width = image_shape
    if channels not in (1, 3):
        raise UserError(f"{argument}: {path} has 1 or 3 channels, the images of the data set have {channels}")
    try:
        with readable(path):
            pixels = np.array(_fitted(load_image(path, channels), width, height)).reshape(height, width, channels)
    except UserError as error:
        raise UserError(f"{argument}: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """The largest part around the centre that has the shape, in that size."""
    scale = min(image.width / width, image.height / height)
    across, down = round(width * scale), round(height * scale)
    left, top = round((image.width - across) / 2), round((image.height - down) / 2)
    part = image.crop((left, top, left + across, top + down))
    return part if part.size == (width, height) else part.resize((width, height), FILTER, reducing_gap=GAP)


def _look_up(reference: Reference, data: ImageData, device: torch.device, argument: str) -> Tensor:
    if not isinstance(reference, int):
        return read_image(reference, data.image_shape, argument)[None].to(device)
    if not 0 <= reference < len(data):
        raise UserError(
            f"{argument}: there is no image {reference}, the data set has {len(data):,}: 0 to {len(data) - 1:,}"
        )
    return data.gather(torch.tensor([reference], device=device))


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
