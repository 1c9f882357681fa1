"""Latent space visualisation: what a walker is (`walker`), those that there are, and how a grid is drawn (`grid`).

`viewers` stay where they are, `linspace` goes along dimensions, `paths` from one code or image to another, and `random`
anywhere. They ask `priors` where a latent space has its codes, and `references` for the images that a config names.
"""

from vae_runner.visualisation.grid import Grid, draw
from vae_runner.visualisation.linspace import LinSpaceWalker
from vae_runner.visualisation.paths import CodePathWalker, ImagePathWalker
from vae_runner.visualisation.random import PriorSampler, RandomWalker
from vae_runner.visualisation.viewers import DataViewer, ReconstructionPairs, ReconstructionViewer
from vae_runner.visualisation.walker import LatentWalker

__all__ = ["CodePathWalker", "DataViewer", "Grid", "ImagePathWalker", "LatentWalker", "LinSpaceWalker", "PriorSampler"]
__all__ += ["RandomWalker", "ReconstructionPairs", "ReconstructionViewer", "draw"]
