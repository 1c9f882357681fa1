"""Latent frames that are turned, each at its steps: between two steps, at the beginning of the later one.

So the turn behind step N belongs to step N + 1. What is due at step N, a validation, pictures, a checkpoint, is of the
frame that the step was made in, whose variances are adapted; a run that goes on from that checkpoint makes the turn
again, and one that goes on from a later one finds it in the weights. All that it looks at follows from the weights and
from (seed, step), so nothing is to be remembered.
"""

import logging

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.corruption import Corruption
from vae_runner.datasets.split import Subset
from vae_runner.latent_frame import AlignedNormalSpace, Turn
from vae_runner.objective.elbo import space_prefix
from vae_runner.randomness import isolated, seed_for

__all__ = ["Turning"]

log = logging.getLogger(__name__)


class Turning:
    """Turns the model's spaces that are to be turned, by the posteriors of `train`'s images, spoiled and mirrored as in
    training; `at_once` of them are encoded together.
    """

    def __init__(self, model: VAE, train: Subset, corruption: Corruption, seed: int, at_once: int) -> None:
        self.model, self.train, self.corruption = model, train, corruption
        self.seed, self.at_once = seed, at_once
        self.spaces = {
            number: space for number, space in enumerate(model.spaces) if isinstance(space, AlignedNormalSpace)
        }
        self._steps = frozenset(step for space in self.spaces.values() for step in space.align)

    def behind(self, step: int) -> dict[str, Turn]:
        """Make the turns that are due when so many steps are done; returns each by what stands before the names of its
        space's figures.
        """
        if step not in self._steps:
            return {}
        turns = {}
        for space_id, space in self.spaces.items():
            if step in space.align:
                name = space_prefix(space_id, len(self.model.spaces))
                means, nats = self._looked_at(space_id, space, step)
                turns[name] = space.turn(means, nats.mean(0))
                log.info("%s", _told(name, step, turns[name], len(means)))
        return turns

    def _looked_at(self, space_id: int, space: AlignedNormalSpace, step: int) -> tuple[Tensor, Tensor]:
        """Posterior means and KLs, nats, of images drawn for this step, (N, dims) both."""
        means, nats = [], []
        device = self.model.head.weight.device
        with evaluating(self.model), isolated(seed_for(self.seed, "turn", step), device):
            prior, chosen = space.prior(), torch.randperm(len(self.train))[: space.images]
            mirrored = torch.rand(len(chosen)) < 0.5
            for positions, flips in zip(chosen.split(self.at_once), mirrored.split(self.at_once), strict=True):
                x = self.train.batch(positions.to(self.train.indices.device))
                if self.train.flip:
                    x = torch.where(flips.to(x.device)[:, None, None, None], x.flip(-1), x)
                posterior = self.model.posteriors(self.corruption(x))[space_id]
                means.append(posterior.mean)
                nats.append(kl_divergence(posterior, prior))
        return torch.cat(means), torch.cat(nats)


def _told(name: str, step: int, turn: Turn, images: int) -> str:
    """'step 250: latents 0, 3 turned to independent components of 4,096 images, by 31, 44 degrees'."""
    where = f"step {step:,}: {name.replace('/', ': ')}"
    if not turn.latents:
        return f"{where}nothing is turned: {turn.why}"
    angles = ", ".join(f"{angle:.0f}" for angle in turn.degrees)
    latents = ", ".join(map(str, turn.latents))
    return f"{where}latents {latents} turned to independent components of {images:,} images, by {angles} degrees"
