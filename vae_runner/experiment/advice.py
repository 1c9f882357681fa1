"""What can be trained but is seldom wanted, told before the run starts, with what to try instead."""

import logging

from vae_runner.architectures import LinearDecoder
from vae_runner.engine import Engine
from vae_runner.likelihood import Bernoulli

__all__ = ["advice", "tell_advice"]

log = logging.getLogger(__name__)


def tell_advice(engine: Engine) -> None:
    """Log a line for each thing."""
    for line in advice(engine):
        log.warning("%s", line)


def advice(engine: Engine) -> list[str]:
    """A line for each thing."""
    return _about_parts(engine)


def _about_parts(engine: Engine) -> list[str]:
    """Parts that are added as logits; where all latents are 0 or above, the run has been refused."""
    model = engine.objective.model
    adds = isinstance(model.decoder, LinearDecoder) and model.decoder.non_negative
    if not (adds and isinstance(model.likelihood, Bernoulli)):
        return []
    return [
        "architecture/decoder=linear: with weights of 0 or above, likelihood=bernoulli makes dark pixels of latents "
        "below 0 alone; likelihood=gaussian with distribution=weibull adds parts to black"
    ]
