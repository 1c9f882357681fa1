"""What is minimised: -E_q[log p(x|z)] + the terms, nats per image; the one part that a compiler sees.

The negative evidence lower bound is its value with plain KL divergences (Kingma & Welling 2014, arXiv 1312.6114,
equation 3).
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from vae_runner.auto_encoder import VAE
from vae_runner.distributions import has_closed_form_kl
from vae_runner.divergence import DivergenceBase
from vae_runner.latent_space import LatentSpace
from vae_runner.likelihood import Likelihood
from vae_runner.objective.elbo import measure, shared_kl, space_prefix
from vae_runner.ranks import whole
from vae_runner.state import (
    LOSS,
    METRICS,
    MODEL,
    OWN_LOSS,
    PARTNER,
    PARTNER_TRUE,
    RECON,
    SCHEDULED,
    Y_RAW,
    Y_TRUE,
    State,
    X,
)

__all__ = ["Objective"]


class Objective(nn.Module):
    """A model and the terms of its loss: one term, or one for each latent space, or a mapping of names to terms.

    A name stands before the names of the term's metrics, `tc/divergence`, unless it is ''; those of the spaces' are
    space0, space1, ... where there are several.

    Example:
        >>> from vae_runner import architectures, divergence, latent_space, likelihood, state
        >>> shape, x = (1, 8, 8), torch.rand(7, 1, 8, 8)
        >>> ends = architectures.MLPEncoder(shape, (16,)), architectures.MLPDecoder(3, shape, (16,))
        >>> model = VAE(ends[0], [latent_space.NormalSpace(3)], ends[1], likelihood.Bernoulli())
        >>> term = divergence.beta_kl(state.posterior_key(), state.prior_key(), beta=4.0)
        >>> figures = Objective(model, [term])(x, target=x)[METRICS]
        >>> bool(torch.isclose(figures["loss"], figures["recon"] + 4 * figures["kl"]))
        True
    """

    divergences: Sequence[DivergenceBase]

    def __init__(self, model: VAE, divergences: Sequence[DivergenceBase] | Mapping[str, DivergenceBase]) -> None:
        super().__init__()
        self.model = model
        named = divergences if isinstance(divergences, Mapping) else _by_space(divergences, len(model.spaces))
        self.divergences = cast(Sequence[DivergenceBase], nn.ModuleList(named.values()))
        for name, term in named.items():
            term.name = f"{name}/" if name else ""
        self._shared = [shared_kl(list(named.values()), space_id) for space_id in range(len(model.spaces))]
        readers = [term for term in named.values() if RECON in term.all_keys()]
        self._is_recon_trained = not readers or any(term.trains_recon for term in readers)
        self._closed = [has_closed_form_kl(*pair) for pair in model.pairs()]

    def forward(
        self, x: Tensor, target: Tensor, partner: Tensor | None = None, partner_target: Tensor | None = None
    ) -> State:
        """Returns the state of one step: the loss, what the model put there, and the metrics. Of terms on pairs, the
        partners of the images are given in training.

        Metrics, nats per image: what is measured, `recon` = -log p(x|z), `kl` the sum over spaces, and `kl_dims`; what
        is trained, `loss`, and each term's own; beside them the likelihood's scales, where it learns them.

        In a step of several processes images are this one's rows of the batch, and so is what is decoded; all else is
        of the whole batch: see `vae_runner.ranks.share`.
        """
        state: State = {X: x, MODEL: self.model, METRICS: {}, SCHEDULED: self._of_spaces(None)}
        if self.pairings():
            state[PARTNER], state[PARTNER_TRUE] = partner, partner_target
        self.model(x, state)
        state[Y_TRUE] = target  # forward() has bound x; a corrupted input is reconstructed towards the clean image
        recons = whole(self.model.likelihood.nll(state[Y_RAW], target))
        state[RECON] = recons if self._is_recon_trained else recons.detach()
        recon = state[LOSS] = state[RECON].mean()
        with torch.autocast(x.device.type, enabled=False):  # the networks alone may be in bf16
            self._add_terms(state)
            measured = measure(state, self._shared, self._closed)
        # In the log's order; what is measured counts, whatever a term has written.
        metrics = state[METRICS] = {**measured, **state[METRICS], **measured}
        metrics["recon"], metrics["loss"] = recon.detach(), state[LOSS].detach()
        metrics.update(self.model.likelihood.scales())
        return state

    def pairings(self) -> set[int | None]:
        """Returns in how many factors the pairs differ that terms train on; nothing where none does on pairs."""
        return {term.differ for term in self.divergences if term.takes_partners}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Returns what an optimiser is made of: all weights that have no settings of their own, and each term's groups
        of those that have.
        """
        own = [group for term in self.divergences for group in term.own_groups()]
        taken = {id(weights) for group in own for weights in group["params"]}
        return [{"params": [weights for weights in self.parameters() if id(weights) not in taken]}, *own]

    def players(self) -> list[list[nn.Parameter]]:
        """Returns the weights that are moved together: the model's, and those that each term has for itself."""
        own = [weights for term in self.divergences if (weights := term.own_weights())]
        taken = {id(weights) for player in own for weights in player}
        return [[weights for weights in self.parameters() if id(weights) not in taken], *own]

    def sampled_spaces(self) -> list[int]:
        """Returns the latent spaces whose KL is measured by samples, since no term has it and it has no closed form."""
        known = enumerate(zip(self._shared, self._closed, strict=True))
        return [space_id for space_id, (shared, is_closed) in known if shared is None and not is_closed]

    def scheduled_at(self, steps: Tensor) -> dict[str, Tensor]:
        """Returns what the terms' schedules are at these steps (N,), by name: (N,) each."""
        of_terms = {name: values for part in self.divergences for name, values in part.scheduled_at(steps).items()}
        return {**of_terms, **self._of_spaces(steps)}

    def _of_spaces(self, steps: Tensor | None) -> dict[str, Tensor]:
        """What the latent spaces' schedules are at these steps, or in this one, by name."""
        count = len(self.model.spaces)
        return {
            f"{space_prefix(space_id, count)}{name}": schedule(space.step if steps is None else steps)
            for space_id, space in enumerate(self.model.spaces)
            for name, schedule in space.schedules().items()
        }

    def on_step_training(self, state: State) -> None:
        """After the optimiser's step: constraints hold again; schedules and the likelihood's sums move on by one."""
        self.model.constrain()
        for divergence in self.divergences:
            divergence.on_step_training(state)
        parts: tuple[Likelihood | LatentSpace, ...] = (self.model.likelihood, *self.model.spaces)
        for part in parts:
            part.on_step_training(state)

    def _add_terms(self, state: State) -> None:
        """Add each term to the loss, and then what the terms train weights of their own by, apart from it."""
        for divergence in self.divergences:
            divergence.on_criterion(state)
        for divergence in self.divergences:
            if (own := divergence.own_loss(state)) is not None:
                state[OWN_LOSS] = state[OWN_LOSS] + own if OWN_LOSS in state else own


def _by_space(terms: Sequence[DivergenceBase], spaces: int) -> dict[str, DivergenceBase]:
    """The terms by the names of their spaces. Raises `ValueError` where they are neither one nor one for each space."""
    if len(terms) not in (1, spaces):
        raise ValueError(f"{len(terms)} terms for {spaces} latent space(s): give them names, {{'kl': ..., 'tc': ...}}")
    return {space_prefix(number, len(terms)).rstrip("/"): term for number, term in enumerate(terms)}
