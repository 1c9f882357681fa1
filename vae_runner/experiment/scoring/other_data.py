"""The images of another data set than a run's own, on which it is scored: its model takes images of that shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from vae_runner.datasets.split import Parts
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_data
from vae_runner.experiment.checking.probe import check_images
from vae_runner.runs.words import images

__all__ = ["OtherData"]


@dataclass(frozen=True)
class OtherData:
    """The parts of a data set, by the name of its option."""

    name: str
    parts: Parts

    @classmethod
    def of(cls, name: str, node: Mapping[str, Any], device: torch.device) -> "OtherData":
        """The data of a `dataset` node. Raises `UserError` where it has none, or none that a model can take."""
        parts = build_data(node)
        for part in filter(len, parts):
            check_images(part, {"dataset": node})
        return cls(name, Parts(*(part.to(device) for part in parts)))

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raises `UserError` where a model of images of that shape cannot take these."""
        own = self.parts[0].data.image_shape
        if tuple(own) != tuple(shape):
            theirs, wanted = ("x".join(map(str, one)) for one in (own, shape))
            raise UserError(f"dataset={self.name} has images of {theirs}, and the model of the run takes {wanted}")

    def __str__(self) -> str:
        return f"{self.name}, {images(len(self.parts[0].data), *map(len, self.parts))}"
