"""The images of another data set than a run's own, on which it is scored: its model takes images of that shape."""

from dataclasses import dataclass

from vae_runner.datasets.split import Parts
from vae_runner.errors import UserError
from vae_runner.runs.words import images

__all__ = ["OtherData"]


@dataclass(frozen=True)
class OtherData:
    """The parts of a data set, by the name of its option."""

    name: str
    parts: Parts

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raises `UserError` where a model of images of that shape cannot take these."""
        own = self.parts[0].data.image_shape
        if tuple(own) != tuple(shape):
            theirs, wanted = ("x".join(map(str, one)) for one in (own, shape))
            raise UserError(f"dataset={self.name} has images of {theirs}, and the model of the run takes {wanted}")

    def __str__(self) -> str:
        return f"{self.name}, {images(len(self.parts[0].data), *map(len, self.parts))}"
