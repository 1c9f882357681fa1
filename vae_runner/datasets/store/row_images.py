"""What a data set has to do whose images are rows: of a prepared store, of memory, or of a GPU's."""

from typing import Self

import torch
from torch import Tensor

from vae_runner.datasets.labelled import LabelledImages
from vae_runner.datasets.store.pixel_rows import HostRows, Rows

__all__ = ["RowImages"]


class RowImages(LabelledImages):
    """A data set whose images are `_rows`, uint8 or floats.

    Example:
        >>> from vae_runner.datasets.store.pixel_rows import MemoryRows
        >>> class Gray(RowImages):
        ...     image_shape = provenance = fingerprint = __len__ = None
        ...     _rows = MemoryRows(torch.full((3, 1, 2, 2), 51, dtype=torch.uint8))
        >>> Gray().gather(torch.tensor([0]))[0, 0, 0], Gray().on_host
        (tensor([0.2000, 0.2000]), False)
    """

    _rows: Rows

    def gather(self, indices: Tensor) -> Tensor:
        """Returns the images at `indices` (B,) int64: (B, C, H, W) float32 in [0, 1]."""
        images = self._rows.gather(indices)
        return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images

    def to(self, device: torch.device | str) -> Self:
        """Have `gather` answer on `device`, and keep the pixels there if they fit comfortably; returns self."""
        self._rows = self._rows.to(device)
        return self

    @property
    def on_host(self) -> bool:
        """Whether a GPU's batches are put together on the host."""
        return isinstance(self._rows, HostRows)

    @property
    def stays_as_it_is(self) -> bool:
        return True

    @property
    def reads_ahead(self) -> bool:
        """Whether `expect` is of use."""
        return isinstance(self._rows, HostRows)

    def expect(self, indices: Tensor) -> None:
        """The images at the `indices` (B,) will be gathered soon."""
        self._rows.expect(indices)
