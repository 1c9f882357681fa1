"""Posterior collapse, told while there is time: all latents are dead, and nothing that is scheduled will wake them."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch

from vae_runner.callbacks.base import Callback, Training
from vae_runner.runs.words import AGAINST_COLLAPSE
from vae_runner.state import DEAD_NATS

__all__ = ["Collapse"]

log = logging.getLogger(__name__)

EARLY = 500  # steps before which latents may not have woken


class Collapse(Callback):
    """Says once in a run, after a validation, that every latent carries less than `DEAD_NATS`, and what to try.

    While beta is still to fall, the capacity to rise or latents to be opened, dead latents are as they should be.
    """

    def __init__(self) -> None:
        self.told = False

    def on_validation(self, engine: Training) -> None:
        kl = _kl_of_latents(engine.validated)
        if self.told or engine.step < EARLY or not kl or not max(kl) < DEAD_NATS or _still_to_come(engine):
            return
        self.told = True
        log.warning(
            "all %d latents are dead at step %s, below %s nats of KL each: the decoder ignores them; %s",
            len(kl),
            f"{engine.step:,}",
            DEAD_NATS,
            AGAINST_COLLAPSE,
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns which warnings have been given."""
        return {"told": self.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.told = state.get("told", False)


def _kl_of_latents(validated: Mapping[str, Any]) -> list[float]:
    """Nats of each latent, of all spaces; none where one is not finite: that is another trouble."""
    kl = [value for name, values in validated.items() if name.endswith("kl_dims") for value in values]
    return kl if all(map(math.isfinite, kl)) else []


def _still_to_come(engine: Training) -> bool:
    """Whether a schedule will make the KL cheaper than it is now, or will open latents."""
    steps = torch.tensor([engine.step - 1, engine.total_steps - 1])
    schedules = {name: values.tolist() for name, values in engine.schedules(steps).items()}
    falls = any(name.endswith("beta") and then < now for name, (now, then) in schedules.items())
    return falls or any(name.endswith(("capacity", "open")) and then > now for name, (now, then) in schedules.items())
