"""Latent frames that the run will turn, told before it starts; and turns that it is too short for."""

import logging
from collections.abc import Iterator, Sequence

from vae_runner.engine import Engine
from vae_runner.objective.elbo import space_prefix

__all__ = ["tell_turns", "turns_to_come"]

log = logging.getLogger(__name__)


def tell_turns(engine: Engine) -> None:
    """Log a line for each latent space that is turned, with the steps to come."""
    for line in turns_to_come(engine):
        log.info("%s", line)


def turns_to_come(engine: Engine) -> Iterator[str]:
    """'frame of more than 2 nats a latent is turned to independent components behind steps 250, 500'."""
    for space_id, space in engine.turning.spaces.items():
        name = space_prefix(space_id, len(engine.objective.model.spaces)).replace("/", ": ")
        coming = [step for step in space.align if engine.step <= step < engine.total_steps]
        beyond = [step for step in space.align if step >= engine.total_steps]
        if coming:
            yield (
                f"frame {name}latents of more than {space.threshold:g} nats are turned to their independent components "
                f"behind {_steps(coming)}"
            )
        elif not space.align:
            yield f"frame {name}align is empty: nothing is turned"
        if beyond:
            yield f"frame {name}the run of {engine.total_steps:,} steps ends before the turns behind {_steps(beyond)}"


def _steps(steps: Sequence[int]) -> str:
    return f"step{'s' if len(steps) > 1 else ''} {', '.join(f'{step:,}' for step in steps)}"
