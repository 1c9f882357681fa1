"""What the data varies: a row for each factor, which alone is moved from its first class to its last.

A traversal of the data, to be held against one of the latents: what a latent should do to an image, the factor does
here. It needs images that are combinations of factors (`datasets.factors.FactoredImages`), and nothing of the model.
"""

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from vae_runner.auto_encoder import VAE
from vae_runner.datasets.base import ImageData, spread
from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.drawing.encoded import Drawing
from vae_runner.drawing.layout import check_size
from vae_runner.errors import UserError
from vae_runner.signature import Limit, enforced, non_negative
from vae_runner.state import DEVICE
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.picture import Picture, Scene
from vae_runner.visualisation.walking.walker import Scale

__all__ = ["FactorRows"]

several = Limit("must be from 2 to 1,000,000", lambda value: 2 <= value <= 1_000_000)


@enforced
class FactorRows(Picture):
    """An image of the data set, and in each row one of its factors moved, the others kept. Drawn before the first step.

    image      index of the image that all rows start from; None: the first of the showcase
    columns    images in a row at most: of a factor with more classes some, from the first to the last
    scale      whole factor by which images are enlarged; None: a readable size

    A combination of which the set has no image is left white.

    Example:
        >>> picture = FactorRows(columns=5)
        >>> picture.columns, picture.at_start
        (5, True)
    """

    at_start: ClassVar[bool] = True
    history: ClassVar[bool] = False

    def __init__(
        self,
        image: Annotated[int, non_negative] | None = None,
        columns: Annotated[int, several] = 10,
        scale: Scale = None,
    ) -> None:
        self.image, self.columns, self.scale = image, columns, scale
        self._data: Any = None

    def prepare(self, model: VAE, data: ImageData) -> None:
        if data.grid is None or not data.grid.varying:
            raise UserError(
                "image: the data set states no factors that could be moved; leave factors out of visualisation"
            )
        if self.image is not None and self.image >= len(data):
            raise UserError(
                f"image: there is no image {self.image}, the data set has {len(data):,}: 0 to {len(data) - 1:,}"
            )
        widest = max(data.grid.sizes)
        check_size("columns", len(data.grid.names), min(self.columns, widest), data.image_shape[-2:], self.scale)
        self._data = data

    def drawings(self, scene: Scene) -> list[Drawing]:
        device = "cpu" if self._data.on_host else scene.state("validation")[DEVICE]
        return [self._grid(self._data, device)]

    def _grid(self, data: Any, device: torch.device | str) -> Grid:
        grid: FactorGrid = data.grid
        image = data.showcase()[0] if self.image is None else self.image
        start = grid.classes_of(data.grid_indices(torch.tensor([image])))[0]
        rows = {place: spread(grid.sizes[place], self.columns) for place in grid.varying}
        columns = max(map(len, rows.values()))
        tiles = [_row(data, start, place, shown, columns, device) for place, shown in rows.items()]
        captions = [
            [_said(grid.factors[place], one) for one in shown] + [""] * (columns - len(shown))
            for place, shown in rows.items()
        ]
        return Grid(
            torch.cat(tiles),
            columns,
            title="factors of the data",
            caption=f"each row moves one factor of image {image:,}, all others stay",
            row_labels=[grid.names[place] for place in rows],
            tile_captions=[text for row in captions for text in row],
            details={"image": image, "classes": {grid.names[place]: shown for place, shown in rows.items()}},
            scale=self.scale,
        )


def _row(data: Any, start: Tensor, place: int, shown: list[int], columns: int, device: Any) -> Tensor:
    """The images (columns, C, H, W) of the combination `start` (F,) with the factor at `place` in these classes."""
    classes = start.repeat(len(shown), 1)
    classes[:, place] = torch.tensor(shown)
    wanted = data.grid.index_of(classes)
    has = torch.ones(len(wanted), dtype=torch.bool) if data.listed is None else torch.isin(wanted, data.listed.cpu())
    found = data.images(wanted[has].to(device))
    row = found.new_ones(columns, *found.shape[1:])
    row[has.nonzero()[:, 0].to(row.device)] = found
    return row


def _said(factor: Factor, place: int) -> str:
    return factor.labels[place] if factor.labels else f"{factor.values[place]:.3g}"
