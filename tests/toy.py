"""A data set small enough to train on in a test: gray blobs, made from a seed."""

from typing import Any

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData


class Blobs(ImageData):
    """`count` images (1, size, size) of a bright disc whose place and radius are the two factors."""

    def __init__(self, count: int = 200, size: int = 16, channels: int = 1) -> None:
        generator = torch.Generator().manual_seed(1)
        centre = torch.rand(count, 2, 1, 1, generator=generator) * size
        radius = (1 + torch.rand(count, 1, 1, generator=generator) * size / 4).square()
        axis = torch.arange(size) + 0.5
        distance = (axis[None, :, None] - centre[:, 0]).square() + (axis[None, None] - centre[:, 1]).square()
        self.images = (distance < radius).float()[:, None].expand(-1, channels, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return tuple(self.images.shape[1:])

    @property
    def provenance(self) -> dict[str, Any]:
        return {"source": "made"}

    def gather(self, indices: Tensor) -> Tensor:
        return self.images[indices]

    def to(self, device: torch.device | str) -> "Blobs":
        self.images = self.images.to(device)
        return self

    def showcase(self) -> list[int]:
        return [0, 1, 2]

    def fingerprint(self) -> str:
        return "blobs"
