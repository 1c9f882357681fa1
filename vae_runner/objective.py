"""What is minimised: -E_q[log p(x|z)] + the divergences, nats per image; the one part that a compiler sees.

The negative evidence lower bound is its value with plain KL divergences (Kingma & Welling 2014, equation 3).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from vae_runner.auto_encoder import VAE
from vae_runner.divergence import DivergenceBase
from vae_runner.state import LOSS, METRICS, MODEL, SCHEDULED, Y_RAW, Y_TRUE, State, X

__all__ = ["Objective"]


class Objective(nn.Module):
    """Model and divergences, one for each latent space; with several, their metrics are named `space0/kl` and so on."""

    def __init__(self, model: VAE, divergences: Sequence[DivergenceBase]) -> None:
        super().__init__()
        self.model = model
        self.divergences = nn.ModuleList(divergences)
        for space_id, divergence in enumerate(divergences):
            divergence.name = f"space{space_id}/" if len(divergences) > 1 else ""

    def forward(self, x: Tensor, target: Tensor) -> State:
        """Returns the state of one step: the loss, what the model put there, and the metrics.

        Metrics, nats per image: `loss`, `recon` = -log p(x|z), `kl` the sum over spaces, and each divergence's own;
        beside them the likelihood's scales, where it learns them.
        """
        state: State = {X: x, MODEL: self.model, METRICS: {}, SCHEDULED: {}}
        self.model(x, state)
        state[Y_TRUE] = target  # forward() has bound x; a corrupted input is reconstructed towards the clean image
        recon = self.model.likelihood.nll(state[Y_RAW], target).mean()
        state[LOSS] = recon
        for divergence in self.divergences:
            divergence.on_criterion(state)
        metrics = state[METRICS]
        metrics["kl"] = sum(metrics[f"{divergence.name}kl"] for divergence in self.divergences)
        metrics["recon"], metrics["loss"] = recon.detach(), state[LOSS].detach()
        metrics.update(self.model.likelihood.scales())
        return state

    def scheduled_at(self, steps: Tensor) -> dict[str, Tensor]:
        """Returns what the divergences' schedules are at these steps (N,), by name: (N,) each."""
        return {name: values for part in self.divergences for name, values in part.scheduled_at(steps).items()}

    def on_step_training(self, state: State) -> None:
        """After the optimiser's step: constraints hold again; schedules and the likelihood's sums move on by one."""
        self.model.constrain()
        for divergence in self.divergences:
            divergence.on_step_training(state)
        self.model.likelihood.on_step_training(state)
