"""The images of another data set than a run's own, on which it is scored: its model takes images of that shape."""

from dataclasses import dataclass

import torch

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.completion import completed
from vae_runner.datasets.split import Parts, Subset
from vae_runner.errors import UserError
from vae_runner.runs.words import images

__all__ = ["OtherData"]


@dataclass(frozen=True)
class OtherData:
    """The parts of a data set, by the name of its option."""

    name: str
    parts: Parts

    @classmethod
    def of(cls, data: ImageData, device: torch.device) -> "OtherData":
        """All images of a data set, which has its class for a name. Raises `UserError` where it is no data set."""
        known = completed(data)
        nothing = torch.arange(0)
        parts = (Subset(known, nothing), Subset(known, nothing), Subset(known, torch.arange(len(known))))
        return cls(type(data).__name__, Parts(*(part.to(device) for part in parts)))

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raises `UserError` where a model of images of that shape cannot take these."""
        own = self.parts[0].data.image_shape
        if tuple(own) != tuple(shape):
            theirs, wanted = ("x".join(map(str, one)) for one in (own, shape))
            raise UserError(f"dataset={self.name} has images of {theirs}, and the model of the run takes {wanted}")

    def __str__(self) -> str:
        return f"{self.name}, {images(len(self.parts[0].data), *map(len, self.parts))}"
