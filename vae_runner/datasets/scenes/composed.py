"""Images composed of light and colours, a whole batch at a time.

A buffer has four numbers k/255 for each pixel: the light F, W and O that falls on what is seen of floor, wall and
object, and a highlight H. With a colour for each of the three, in bytes, an image is

    k(image) = min(255, round((floor F + wall W + object O) / 255 + H)),

a product of matrices, (3 colour channels, 4) by (4, pixels). Its factors are integers of 8 bits and its sums ones below
2^24, exact in single precision in whatever order, and a quotient by 255 is never half-way between two integers: the
levels k are the same to the bit on every device, with any number of threads and any width of vectors.
"""

import torch
from torch import Tensor

__all__ = ["ComposedImages"]

_LEVELS = 255


class ComposedImages:
    """All images of some buffers in some colours. The index of one is ((floor * K + wall) * K + object) * G + buffer.

    Args:
        buffers: (G, 4, H, W) uint8: F, W, O and H.
        colours: (K, 3) uint8, red, green and blue: those that floor, wall and object may have.

    Raises:
        ValueError: where the buffers are of another kind.

    Example:
        >>> light, colours = torch.full((5, 4, 8, 8), 51, dtype=torch.uint8), torch.tensor([[255, 0, 0], [0, 255, 0]])
        >>> images = ComposedImages(light, colours)
        >>> len(images), (255 * images.gather(torch.tensor([5]))[0, :, 0, 0]).tolist()  # red, red, green; and gleam
        (40, [153.0, 102.0, 51.0])
    """

    def __init__(self, buffers: Tensor, colours: Tensor) -> None:
        if buffers.dtype != torch.uint8 or buffers.ndim != 4 or buffers.shape[1] != 4:
            raise ValueError(f"{tuple(buffers.shape)} {buffers.dtype} is not four bytes of light for each pixel")
        self.buffers = buffers
        self._colours = colours.to(buffers.device, torch.float32)

    def __len__(self) -> int:
        return len(self._colours) ** 3 * len(self.buffers)

    def to(self, device: torch.device | str) -> "ComposedImages":
        """Move the buffers to `device`; returns self."""
        self.buffers, self._colours = self.buffers.to(device), self._colours.to(device)
        return self

    def gather(self, indices: Tensor) -> Tensor:
        """The images at `indices` (B,) int64, each in [0, N): (B, 3, H, W) float32, levels k/255, on the device."""
        indices = indices.to(self.buffers.device)
        light = self.buffers.index_select(0, indices % len(self.buffers)).float().flatten(2)  # (B, 4, pixels)
        levels = torch.bmm(self._weights(indices // len(self.buffers)), light)
        levels.clamp_(max=_LEVELS * _LEVELS).mul_(1 / _LEVELS).round_().div_(_LEVELS)
        return levels.view(-1, 3, *self.buffers.shape[2:])

    def _weights(self, coloured: Tensor) -> Tensor:
        """What the light of each buffer is multiplied by, (B, 3, 4): its three colours, and 255 for the highlight."""
        count = len(self._colours)
        hues = (coloured // count**2, coloured // count % count, coloured % count)
        columns = [self._colours.index_select(0, hue) for hue in hues]
        return torch.stack([*columns, torch.full_like(columns[0], _LEVELS)], 2)
