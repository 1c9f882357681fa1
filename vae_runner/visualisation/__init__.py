"""Latent space visualisation: what a picture is (`picture`), those that there are, and what they show.

A `LatentWalker` (`walker`) makes grids of decoded images. `viewers` stay where they are, `linspace` and `traversal` go
along dimensions, `paths` from one code or image to another, `random` anywhere, and `mixture_sampler` where a
`gaussian_mixture` finds the codes of images. They ask `priors` where a latent
space has its codes, `references` for the images that a config names, and `association` which factor a latent follows.
`factor_rows` moves what the data varies, `factor_counts` counts it. `charts` and `curves` are pictures of figures; an
`animation` moves. `exploring` makes the page on which the decoder runs. `vae_runner.drawing` draws them all.
"""

from vae_runner.drawing.encoded import Drawing
from vae_runner.visualisation.animation import Animation
from vae_runner.visualisation.charts import KLBars, LatentScatter
from vae_runner.visualisation.curves import LossCurves, ScheduleChart
from vae_runner.visualisation.exploring.exploration import Explore
from vae_runner.visualisation.factor_rows import FactorRows
from vae_runner.visualisation.image_grid import Grid, draw
from vae_runner.visualisation.picture import Picture, Scene
from vae_runner.visualisation.walking.code_paths import CodePathWalker, ImagePathWalker
from vae_runner.visualisation.walking.linspace import LinSpaceWalker
from vae_runner.visualisation.walking.mixture_sampler import MixtureSampler
from vae_runner.visualisation.walking.random import PriorSampler, RandomWalker
from vae_runner.visualisation.walking.traversal import Traversal
from vae_runner.visualisation.walking.viewers import DataViewer, ReconstructionPairs, ReconstructionViewer
from vae_runner.visualisation.walking.walker import LatentWalker

__all__ = ["Animation", "CodePathWalker", "DataViewer", "Drawing", "Explore", "FactorRows", "Grid", "ImagePathWalker"]
__all__ += ["KLBars", "LatentScatter", "LatentWalker", "LinSpaceWalker", "LossCurves", "MixtureSampler", "Picture"]
__all__ += ["PriorSampler", "RandomWalker", "ReconstructionPairs", "ReconstructionViewer", "Scene", "ScheduleChart"]
__all__ += ["Traversal", "draw"]
