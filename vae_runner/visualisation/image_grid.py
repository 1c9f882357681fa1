"""A grid of images that are tensors, on whatever device; `drawing` draws it."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from vae_runner.drawing.encoded import Encoded
from vae_runner.drawing.grid import Grid as PlainGrid
from vae_runner.drawing.grid import draw, save
from vae_runner.drawing.paper import Paper
from vae_runner.drawing.printing.printed_grid import printed_grid

__all__ = ["Grid", "draw"]


@dataclass
class Grid(PlainGrid):
    """Images (N, C, H, W) in [0, 1], C 1 or 3, in rows of `row_size`, and what is written beside them, as in
    `drawing.grid.Grid`: `title`, `caption`, `row_labels`, `column_labels`, `tile_captions`, `headings`, ...

    Example:
        >>> import torch
        >>> grid = Grid(torch.zeros(6, 1, 8, 8), row_size=3, title="black", tile_captions=list("abcdef"))
        >>> grid.save("black.png")
        >>> grid.values().shape
        (6, 1, 8, 8)
    """

    images: Tensor

    def values(self) -> np.ndarray:
        return self.images.detach().float().cpu().numpy()  # from here without torch: a thread of its own draws

    def detached(self) -> "Grid":
        """Returns the same with its images on the CPU."""
        return dataclasses.replace(self, images=self.images.detach().float().cpu())

    def printed(self, paper: Paper) -> Encoded:
        """Returns it as a file for print."""
        return Encoded(printed_grid(self, paper).file(), {**self.details, "paper": paper.record()})

    def save(self, file: Any) -> None:
        """Write the picture to a path, in the format of its ending, or to an open binary file, as PNG."""
        save(self, file)
