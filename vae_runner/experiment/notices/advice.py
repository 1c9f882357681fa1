"""What can be trained but is seldom wanted, told before the run starts, with what to try instead."""

import logging
from collections.abc import Iterator, Mapping

from vae_runner.architectures import LinearDecoder
from vae_runner.datasets.photos.image_folder import SimpleImageFolder
from vae_runner.datasets.torch_images import TorchImages
from vae_runner.datasets.torchvision_sets import TorchvisionImages
from vae_runner.engine import Engine
from vae_runner.likelihood import Bernoulli

__all__ = ["advice", "tell_advice"]

PHOTOS = (SimpleImageFolder, TorchImages, TorchvisionImages)  # sets that show what a camera has seen, or may

log = logging.getLogger(__name__)


def tell_advice(engine: Engine, choices: Mapping[str, str]) -> None:
    """Log a line for each thing, of a new run with these options chosen of each group."""
    for level, line in advice(engine, choices):
        log.log(level, "%s", line)


def advice(engine: Engine, choices: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Yields the level and the line of each thing."""
    model, data = engine.objective.model, engine.train.data
    if not isinstance(model.likelihood, Bernoulli):
        return
    if isinstance(model.decoder, LinearDecoder) and model.decoder.non_negative:  # with latents below 0: see check
        yield (
            logging.WARNING,
            "architecture/decoder=linear: with weights of 0 or above, likelihood=bernoulli makes dark pixels of "
            "latents below 0 alone; likelihood=gaussian with distribution=weibull adds parts to black",
        )
    if isinstance(data, PHOTOS) and data.image_shape[0] == 3 and choices.get("experiment") is None:
        yield (
            logging.INFO,
            "likelihood=bernoulli weighs the shades of colour photos so little that latents soon carry little; try "
            "experiment=photos64, or likelihood=gaussian_optimal",
        )
