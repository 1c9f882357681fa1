"""The six factors of dSprites, as the published file and as all data sets with factors state them."""

from typing import Any

import numpy as np

from vae_runner.datasets.factors import Factor, FactorGrid

__all__ = ["GRID", "METADATA"]

GRID = FactorGrid(
    [
        Factor("color", (1.0,)),
        Factor("shape", (1.0, 2.0, 3.0), is_category=True, labels=("square", "ellipse", "heart")),
        Factor("scale", tuple(np.linspace(0.5, 1, 6))),
        Factor("orientation", tuple(np.linspace(0, 2 * np.pi, 40)), period=2 * np.pi),
        Factor("posX", tuple(np.linspace(0, 1, 32))),
        Factor("posY", tuple(np.linspace(0, 1, 32))),
    ]
)
METADATA: dict[str, Any] = {
    "title": "dSprites dataset",
    "version": 1,
    "date": "April 2017",
    "description": "One white sprite on black for every combination of shape, scale, orientation and position.",
    "latents_names": GRID.names,
    "latents_sizes": np.array(GRID.sizes),
    "latents_possible_values": {factor.name: np.array(factor.values) for factor in GRID.factors},
}
