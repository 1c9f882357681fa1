"""Data sets small enough to train on in a test: gray blobs, made from a seed, and bars with known factors."""

from typing import Any

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import Factor, FactoredImages, FactorGrid


class Blobs(ImageData):
    """`count` images (1, size, size) of a bright disc whose place and radius are the two factors."""

    stays_as_it_is = True

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


class Bars(FactoredImages):
    """A bar of each height, width, place and shade, (1, 16, 16), with the others left out where `count` says so."""

    image_shape = (1, 16, 16)

    def __init__(self, count: int | None = None) -> None:
        sizes = {"kind": 1, "height": 4, "width": 4, "place": 5, "shade": 3}
        self.grid = FactorGrid([Factor(name, tuple(range(size))) for name, size in sizes.items()])
        order = torch.randperm(len(self.grid), generator=torch.Generator().manual_seed(2))
        self.listed = None if count is None else order[:count]

    def __len__(self) -> int:
        return len(self.grid) if self.listed is None else len(self.listed)

    def gather(self, indices: Tensor) -> Tensor:
        _, height, width, place, shade = self.grid.classes_of(self.grid_indices(indices)).T[:, :, None, None]
        rows, columns = torch.arange(16)[:, None], torch.arange(16)
        bar = (rows < 3 * height + 3) & (columns >= 2 * place) & (columns < 2 * place + 2 * width + 2)
        return (bar * (shade + 1) / 3)[:, None]
