"""Latent frames that the run will turn and latents that it will open, told before it starts; and turns that it is too
short for.
"""

import logging
from collections.abc import Iterator, Sequence

import torch

from vae_runner.engine import Engine
from vae_runner.objective.elbo import space_prefix

__all__ = ["openings_to_come", "tell_turns", "turns_to_come"]

log = logging.getLogger(__name__)

SHOWN, MOST_STEPS = 6, 10**7  # openings that are listed; steps that are looked through


def tell_turns(engine: Engine) -> None:
    """Log a line for each latent space that is turned or opened, with the steps to come."""
    for line in (*turns_to_come(engine), *openings_to_come(engine)):
        log.info("%s", line)


def turns_to_come(engine: Engine) -> Iterator[str]:
    """'frame of more than 2 nats a latent is turned to independent components behind steps 250, 500'."""
    for space_id, space in engine.turning.spaces.items():
        name = space_prefix(space_id, len(engine.objective.model.spaces)).replace("/", ": ")
        coming = [step for step in space.align if engine.step <= step < engine.total_steps]
        beyond = [step for step in space.align if step >= engine.total_steps]
        if coming:
            which = "latents" if space.most is None else f"the {space.most} latents that carry most,"
            kind = "independent" if space.sources == "any" else "sub-Gaussian independent"
            yield (
                f"frame {name}{which} of more than {space.threshold:g} nats are turned to their {kind} components "
                f"behind {_steps(coming)}"
            )
        elif not space.align:
            yield f"frame {name}align is empty: nothing is turned"
        if beyond:
            yield f"frame {name}nothing is turned behind {_steps(beyond)}: the run ends at {engine.total_steps:,}"


def openings_to_come(engine: Engine) -> Iterator[str]:
    """'open  3 of 10 latents, 10 from step 1,500'; of many steps the first ones."""
    spaces = engine.objective.model.spaces
    for space_id, space in enumerate(spaces):
        if (opening := getattr(space, "opening", None)) is None or engine.total_steps > MOST_STEPS:
            continue
        counts = opening.count(torch.arange(engine.step, max(engine.total_steps, engine.step + 1))).floor()
        changes = (counts.diff().nonzero().flatten() + 1).tolist()
        name = space_prefix(space_id, len(spaces)).replace("/", ": ")
        later = [f"{counts[place]:.0f} from step {engine.step + place:,}" for place in changes]
        yield f"open  {name}{', '.join([f'{counts[0]:.0f} of {space.dims} latents', *later[:SHOWN]])}" + (
            f" and {len(later) - SHOWN:,} steps more" if len(later) > SHOWN else ""
        )


def _steps(steps: Sequence[int]) -> str:
    return f"step{'s' if len(steps) > 1 else ''} {', '.join(f'{step:,}' for step in steps)}"
