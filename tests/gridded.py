"""A data set whose images are all combinations of three factors: a square of one gray of three, in 16 places."""

import torch
from torch import Tensor

from vae_runner.datasets.factors import Factor, FactorGrid


class Squares:
    """3 x 4 x 4 images (1, 16, 16) of a square of one of three grays."""

    image_shape = (1, 16, 16)
    grid = FactorGrid(
        [
            Factor("kind", (0.0,), is_category=True),
            Factor("gray", (0.4, 0.7, 1.0)),
            Factor("x", (0.0, 1.0, 2.0, 3.0)),
            Factor("y", (0.0, 1.0, 2.0, 3.0)),
        ]
    )

    def __len__(self) -> int:
        return len(self.grid)

    def gather(self, indices: Tensor) -> Tensor:
        _, gray, x, y = self.grid.values_of(indices.cpu()).unbind(-1)
        axis = torch.arange(16)
        inside = (axis // 4 == y[:, None])[:, :, None] & (axis // 4 == x[:, None])[:, None, :]
        return (inside * gray[:, None, None]).float()[:, None].to(indices.device)
