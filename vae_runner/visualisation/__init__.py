"""Latent space visualisation: what to decode (`walkers`), and how it is drawn (`grid`)."""

from vae_runner.visualisation.grid import Grid, draw
from vae_runner.visualisation.walkers import (
    DataViewer,
    LatentWalker,
    LinSpaceWalker,
    PriorSampler,
    RandomWalker,
    ReconstructionPairs,
    ReconstructionViewer,
)

__all__ = [
    "DataViewer",
    "Grid",
    "LatentWalker",
    "LinSpaceWalker",
    "PriorSampler",
    "RandomWalker",
    "ReconstructionPairs",
    "ReconstructionViewer",
    "draw",
]
