"""A look at all images of a data set that has no files to look at: how many, of what shape, of what values."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from vae_runner.datasets.base import ImageData
from vae_runner.errors import UserError, in_words
from vae_runner.experiment.checking.chain import named
from vae_runner.experiment.checking.probe import images_problem
from vae_runner.randomness import all_isolated

__all__ = ["survey"]

TOGETHER = 256  # images looked at at a time


def survey(data: ImageData, config: Mapping[str, Any]) -> Iterator[str]:
    """Yields lines for people. Raises `UserError` at the first images that are not what a model can take."""
    least, most, total = math.inf, -math.inf, 0.0
    shape, count = tuple(data.image_shape), len(data)
    with all_isolated(0):
        for indices in torch.arange(count).split(TOGETHER):
            try:
                x = data.gather(indices)
            except (AttributeError, IndexError, TypeError, ValueError, RuntimeError) as error:
                raise UserError(f"{named('dataset', config)} cannot gather its images: {in_words(error)}") from error
            if problem := images_problem(x, len(indices), shape, indices):
                raise UserError(f"{named('dataset', config)} {problem}")
            least, most = min(least, float(x.min())), max(most, float(x.max()))
            total += float(x.double().mean()) * len(x)
        yield f"images      {count:,} ({data.provenance['source']}), {'x'.join(map(str, shape))}"
        yield f"values      {least:.4g} to {most:.4g}, {total / max(count, 1):.4g} on average"
        yield f"mark        {data.fingerprint()}"
