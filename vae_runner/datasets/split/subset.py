"""Some of the images of a data set: those that a run trains on, or those that are held back."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData

__all__ = ["Subset"]

_AT_ONCE = 256  # images that a loop reads together


class Subset:
    """Some images of a data set, by their indices (N,) int64; `flip`: half of them are mirrored in training.

    Positions are on the device of the indices. Images are looked up by `[position]`, several by a slice or a list of
    positions, all by a loop; and a `torch.utils.data.DataLoader` makes batches of them.

    Example:
        >>> from vae_runner.datasets.torch_images import TorchImages
        >>> half = Subset(TorchImages([torch.full((1, 2, 2), level / 10) for level in range(10)]), torch.arange(5, 10))
        >>> half.batch(torch.tensor([0]))[0, 0, 0, 0]  # its first image is number 5
        tensor(0.5000)
        >>> half[-1].shape, half[1:3].shape, len(list(half))
        (torch.Size([1, 2, 2]), torch.Size([2, 1, 2, 2]), 5)
    """

    def __init__(self, data: ImageData, indices: Tensor, flip: bool = False) -> None:
        self.data = data
        self.indices = indices
        self.flip = flip

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int | slice | Sequence[int] | Tensor) -> Tensor:
        """Returns the image at a position, (C, H, W), or those at several, (N, C, H, W), float32 in [0, 1].

        Raises:
            IndexError: where there is no such image.
        """
        every = torch.arange(len(self), device=self.indices.device)
        positions = torch.as_tensor(position, device=every.device) if isinstance(position, (list, tuple)) else position
        chosen = every[positions]
        return self.batch(chosen.reshape(-1)).reshape(*chosen.shape, *self.data.image_shape)

    def __getitems__(self, positions: Sequence[int]) -> list[Tensor]:
        """Returns the images at those positions, read together: what a `DataLoader` asks for."""
        return list(self[list(positions)])

    def __iter__(self) -> Iterator[Tensor]:
        for positions in torch.arange(len(self)).split(_AT_ONCE):
            yield from self.batch(positions.to(self.indices.device))

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
