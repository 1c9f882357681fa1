"""Latent space visualisation: what to decode (`walker`, `viewers`, `walkers`), and how it is drawn (`grid`)."""

from vae_runner.visualisation.grid import Grid, draw
from vae_runner.visualisation.viewers import DataViewer, ReconstructionPairs, ReconstructionViewer
from vae_runner.visualisation.walker import LatentWalker
from vae_runner.visualisation.walkers import LinSpaceWalker, PriorSampler, RandomWalker

__all__ = ["DataViewer", "Grid", "LatentWalker", "LinSpaceWalker", "PriorSampler", "RandomWalker"]
__all__ += ["ReconstructionPairs", "ReconstructionViewer", "draw"]
