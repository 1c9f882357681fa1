"""The importance-weighted bound of log p(x): K samples of one image, the better the more they count.

    log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x),    z_k ~ q(z|x)
    bound   = log (1/K) sum_k w_k  <=  log p(x),           loss = -bound        Burda et al. 2016, arXiv 1509.00519

K = 1 is the ELBO by one sample; the bound's mean grows in K, to log p(x). With w~ the weights over their sum, its
gradient is that of sum_k w~_k log w_k, w~ held: `iwae`. That of the encoder falls behind its own noise as K grows;
`dreg` (Tucker et al. 2019, arXiv 1810.04152, equation 8) has the same mean and less noise:

    sum_k w~_k^2 (d log w_k / d z_k) (d z_k / d phi),      q's parameters held in log q

where the decoder, and a prior that learns, are trained as before. `ess` = 1 / sum_k w~_k^2 is how many samples count.

Each of these sums is a mean over samples drawn by w~; so the gradient of one sample, so drawn, has the same mean, with
more noise, and one sample alone goes back through the decoder (Burda et al., section 3).
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.utils.checkpoint import checkpoint

from vae_runner.auto_encoder import VAE
from vae_runner.distributions import held
from vae_runner.divergence import WeightedParts, as_precise_as
from vae_runner.evaluation.importance import effective_samples, importance_bound, prior_over_posterior
from vae_runner.ranks import own, whole
from vae_runner.signature import enforced, positive
from vae_runner.state import MODEL, RECON, Y_RAW, Y_TRUE, StateKey

__all__ = ["ImportanceBound"]

BOUNDED = (constraints.interval, constraints.half_open_interval)  # by parameters


@enforced
class ImportanceBound(WeightedParts):
    """-log (1/K) sum_k w_k instead of -ELBO, over all latent spaces: the reconstruction that every loss starts with is
    taken off again. What is measured is the same as for any term.

    Logged: `bound` and `ess`, means over the batch.

    Args:
        input_keys, target_keys, sample_keys: facts of the run, see `vae_runner.objective.facts`.
        samples: K, for each image. The first is the one that is decoded anyway; `dreg` of all draws K anew.
        estimator: of the gradient: iwae, or dreg, which takes the way through z alone.
        gradient_from: all samples, or one of each image, drawn by its weight, in two thirds of the time where K is 5.
        chunk: samples of an image that are decoded at once, the others later, and again on the way back: so many times
            the memory of one; None: all.

    Example:
        >>> term = ImportanceBound((StateKey("q"),), (StateKey("p"),), (StateKey("z"),), samples=50)
        >>> term.replaces_recon, term.is_kl
        (True, False)
        >>> importance_bound(torch.tensor([[-90.0], [-88.901388]]))  # of weights e^-90 and 3 e^-90
        tensor([-89.3069])
    """

    replaces_recon = True
    is_of_numbers = True
    puts_rows_together = True
    samples: int

    def __init__(
        self,
        input_keys: tuple[StateKey, ...],
        target_keys: tuple[StateKey, ...],
        sample_keys: tuple[StateKey, ...],
        samples: Annotated[int, positive] = 5,
        estimator: Literal["iwae", "dreg"] = "iwae",
        gradient_from: Literal["all", "one"] = "all",
        chunk: Annotated[int, positive] | None = None,
    ) -> None:
        keys: dict[str, Any] = {"posteriors": input_keys, "priors": target_keys, "decoded": sample_keys}
        super().__init__({**keys, "recon": RECON, "raw": Y_RAW, "target": Y_TRUE, "model": MODEL}, {})
        self.samples, self.estimator, self.gradient_from, self.chunk = samples, estimator, gradient_from, chunk
        self.trains_recon = estimator != "dreg" and gradient_from == "all"

    def check_spaces(self, posteriors: tuple[Distribution, ...], priors: tuple[Distribution, ...]) -> None:
        bounded = [q for q in posteriors if isinstance(q.support, BOUNDED)]
        if bounded and self.estimator == "dreg":
            raise ValueError(
                f"estimator=dreg needs codes whose range does not move with the image's, as that of "
                f"{type(bounded[0]).__name__} does; set estimator=iwae"
            )

    def compute_parts(
        self,
        posteriors: tuple[Distribution, ...],
        priors: tuple[Distribution, ...],
        decoded: tuple[Tensor, ...],
        recon: Tensor,
        raw: Tensor,
        target: Tensor,
        model: VAE,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        given = Given(posteriors, priors, decoded, raw, target, model)
        trained, log_weights = self._of_one(given) if self.gradient_from == "one" else self._of_all(given)
        figures = {"bound": trained.mean(), "ess": effective_samples(log_weights.detach()).mean()}
        return -trained.mean() - recon.mean(), figures

    def _of_all(self, given: "Given") -> tuple[Tensor, Tensor]:
        """Returns the bound (B,), with its gradient, and the log weights (K, B) of the samples."""
        posteriors, is_dreg = given.posteriors, self.estimator == "dreg"
        codes = [q.rsample((self.samples if is_dreg else self.samples - 1,)) for q in posteriors]  # (K, B, D) of each
        slots = [z.new_zeros(z.shape[:2]) for z in codes]
        if is_dreg:
            marked = [WeightedAgain.apply(z, slot) for z, slot in zip(codes, slots, strict=True)]
            codes, slots = [z for z, _ in marked], [slot for _, slot in marked]
            posteriors = tuple(held(q) for q in posteriors)
        raws = self._raws(given.model, own(torch.cat(codes, 2), dim=1), given.raw)
        if not is_dreg:
            raws, codes = [given.raw, *raws], given.with_decoded(codes)
        log_weights = given.log_weights(posteriors, codes, raws)
        bound = importance_bound(log_weights)
        weights = torch.softmax(log_weights.detach(), 0)
        return bound + sum((weights * slot).sum(0) for slot in slots) if is_dreg else bound, log_weights

    def _of_one(self, given: "Given") -> tuple[Tensor, Tensor]:
        """The same, where the gradient is that of one sample of each image."""
        posteriors, model = given.posteriors, given.model
        codes = [q.rsample((self.samples - 1,)) for q in posteriors]
        with torch.no_grad():
            raws = [given.raw, *self._raws(model, own(torch.cat(codes, 2), dim=1), given.raw)]
        codes = given.with_decoded(codes)
        with torch.no_grad():
            log_weights = given.log_weights(posteriors, codes, raws)
            bound = importance_bound(log_weights)
        if not torch.is_grad_enabled():
            return bound, log_weights
        chosen = drawn_by(log_weights).unsqueeze(0)  # (1, B)
        picked = [z.gather(0, chosen.unsqueeze(2).expand(1, *z.shape[1:])) for z in codes]
        if self.estimator == "dreg":
            share = torch.softmax(log_weights, 0).gather(0, chosen).unsqueeze(2)
            picked = [z.detach() + share * (z - z.detach()) for z in picked]
            posteriors = tuple(held(q) for q in posteriors)
        again = self._raws(model, own(torch.cat(picked, 2), dim=1), given.raw)
        one = prior_over_posterior(given.priors, posteriors, picked) - given.nll_of(chosen, again, raws)
        return bound + (one - one.detach()).squeeze(0), log_weights

    def _raws(self, model: VAE, codes: Tensor, like: Tensor) -> list[Tensor]:
        """What the decoder makes of the codes (K, B, D), (k B, ...) each; as precise as what it has made before."""
        parts = [part.flatten(0, 1) for part in codes.split(self.chunk or max(len(codes), 1))] if len(codes) else []
        with as_precise_as(like):
            if self.chunk is None or not torch.is_grad_enabled():
                return [model.raw(part) for part in parts]
            return [checkpoint(model.raw, part, use_reentrant=False) for part in parts]


class Given(NamedTuple):
    """What a bound is made of: of each space q(z|x), p(z) and the sample (B, D) that is decoded; what the decoder makes
    of that; the images; the model.
    """

    posteriors: tuple[Distribution, ...]
    priors: tuple[Distribution, ...]
    decoded: tuple[Tensor, ...]
    raw: Tensor
    target: Tensor
    model: VAE

    def with_decoded(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """Returns codes (K - 1, B, D) of each space behind the sample that is decoded, (K, B, D)."""
        return [torch.cat([z.unsqueeze(0), more]) for z, more in zip(self.decoded, codes, strict=True)]

    def log_weights(
        self, posteriors: Sequence[Distribution], codes: Sequence[Tensor], raws: Sequence[Tensor]
    ) -> Tensor:
        """Returns log w of codes (K, B, D) of each space and what the decoder makes of them, (K, B)."""
        return prior_over_posterior(self.priors, posteriors, codes) - self.nll(raws)

    def nll(self, raws: Sequence[Tensor]) -> Tensor:
        """Returns -log p(x|z) of what the decoder makes of K codes of each image, (K, B)."""
        raw = torch.cat(list(raws))
        targets = self.target.repeat(len(raw) // len(self.target), 1, 1, 1)
        return whole(self.model.likelihood.nll(raw, targets).unflatten(0, (-1, len(self.target))), dim=1)

    def nll_of(self, chosen: Tensor, raws: Sequence[Tensor], among: Sequence[Tensor]) -> Tensor:
        """Returns -log p(x|z) of the chosen code (1, B) of each image, (1, B), of what is made of it, by a likelihood
        whose scale may be of all the codes among which it is.
        """
        if not self.model.likelihood.puts_rows_together:
            return self.nll(raws)
        raw, all_codes = torch.cat(list(raws)), torch.cat(list(among)).unflatten(0, (-1, len(self.target)))
        place = own(chosen, dim=1).reshape(1, -1, *[1] * (raw.dim() - 1)).expand(1, *raw.shape)
        return self.nll([all_codes.scatter(0, place, raw.unsqueeze(0)).flatten(0, 1)]).gather(0, chosen)


def drawn_by(log_weights: Tensor) -> Tensor:
    """Returns which of K samples is drawn of each image, (B,), with the probabilities w~, of log weights (K, B)."""
    gumbel = -torch.empty_like(log_weights).exponential_().log()
    return (log_weights + gumbel).argmax(0)


class WeightedAgain(torch.autograd.Function):
    """A sample (K, B, D) and a slot (K, B) as they are. On the way back, the sample's gradient is multiplied by the
    slot's over its sum: by the weights w~, where the slot, which is 0, is added to the bound with these.
    """

    @staticmethod
    def forward(ctx: Any, sample: Tensor, slot: Tensor) -> tuple[Tensor, Tensor]:
        return sample.view_as(sample), slot.view_as(slot)

    @staticmethod
    def backward(ctx: Any, of_sample: Tensor, of_slot: Tensor) -> tuple[Tensor, None]:
        return of_sample * (of_slot / of_slot.sum(0)).unsqueeze(2), None
