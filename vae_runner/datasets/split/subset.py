"""Some of the images of a data set: those that a run trains on, or those that are held back."""

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData

__all__ = ["Subset"]


class Subset:
    """Some images of a data set, by their indices (N,) int64; `flip`: half of them are mirrored in training.

    Positions are on the device of the indices.

    Example:
        >>> from vae_runner.datasets.torch_images import TorchImages
        >>> half = Subset(TorchImages([torch.full((1, 2, 2), level / 10) for level in range(10)]), torch.arange(5, 10))
        >>> half.batch(torch.tensor([0]))[0, 0, 0, 0]  # its first image is number 5
        tensor(0.5000)
    """

    def __init__(self, data: ImageData, indices: Tensor, flip: bool = False) -> None:
        self.data = data
        self.indices = indices
        self.flip = flip

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, positions: Tensor) -> Tensor:
        """Returns the images at those positions of the subset, (B, C, H, W) float32 in [0, 1]."""
        return self.data.gather(self.indices.index_select(0, positions))

    def expect(self, positions: Tensor) -> None:
        """Tell the data set, if it wants to know, which images a batch will be made of soon."""
        if self.data.reads_ahead:
            self.data.expect(self.indices.index_select(0, positions))

    def to(self, device: torch.device | str) -> "Subset":
        """Move the data set's images to that device, and the indices to where they are looked up."""
        self.data.to(device)
        self.indices = self.indices.to("cpu" if self.data.on_host else device)
        return self
