"""What a data set looks like, in one picture: some of the images that a run would train on, and below them how many
there are of each class of each factor that is known.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_runner.datasets.factors import FactoredImages
from vae_runner.datasets.photos.image_folder import SimpleImageFolder
from vae_runner.datasets.split import Subset, limited
from vae_runner.drawing.grid import Grid, draw
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_data, build_set, split_config
from vae_runner.randomness import permutation
from vae_runner.visualisation.factor_counts import count_chart

__all__ = ["sheet"]

_SHOWN, _COLUMNS = 40, 10
_SEED = 0  # of the choice


def sheet(node: Mapping[str, Any]) -> Image.Image:
    """Returns the picture of the data set of a `dataset` node. Raises `UserError` where images cannot be read."""
    title = f"{node['_target_'].rpartition('.')[2]}: "
    data = limited(build_set(node), split_config(node))
    if isinstance(data, SimpleImageFolder):  # of whose files no more than these are read
        chosen = _some(len(data.entries))
        images = [data.decode(data.entries[index]) for index in chosen.tolist()]
        pixels, part, kind = torch.from_numpy(np.stack(images)).float() / 255, torch.arange(len(data.entries)), "images"
    else:
        train: Subset = build_data(node)[0]
        data, part, kind = train.data, train.indices.cpu(), "training images"
        chosen = part[_some(len(part))]
        pixels = data.gather(chosen)
    if pixels.shape[1] not in (1, 3):
        raise UserError(f"images of {pixels.shape[1]} channels cannot be shown, those of 1 or 3 can")
    captions = _captions(data, chosen)
    grid = Grid(pixels.numpy(), _COLUMNS, title=f"{title}{len(chosen)} of {len(part):,} {kind}", tile_captions=captions)
    if not isinstance(data, FactoredImages) or data.grid is None or not data.grid.varying:
        return draw(grid)
    pair = (node.get("correlated") or [])[:2]
    chart = count_chart(data.grid, data.grid_indices(part), f"{kind} of each class", pair)
    return _stacked(draw(grid), Image.open(io.BytesIO(chart.png())).convert("RGB"))


def _some(count: int) -> Tensor:
    return permutation(count, _SEED)[:_SHOWN].sort().values


def _captions(data: Any, chosen: Tensor) -> list[str]:
    """Of a set with one factor that has names, the class of each image; else its index."""
    classes = data.factor_classes
    if len(data.factors(chosen)) == 1 and len(classes) == 1:
        ((name, labels),) = classes.items()
        return [labels[place] for place in data.factors(chosen)[name].tolist()]
    return [f"{index:,}" for index in chosen.tolist()]


def _stacked(above: Image.Image, below: Image.Image) -> Image.Image:
    whole = Image.new("RGB", (max(above.width, below.width), above.height + below.height), "white")
    whole.paste(above, (0, 0))
    whole.paste(below, (0, above.height))
    return whole
