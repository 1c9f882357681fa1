"""Pairs of images that share all but a few unknown factors: Ada-GVAE and Ada-ML-VAE (Locatello et al. 2020, "Weakly-
supervised disentanglement without compromises", arXiv 2002.02886, section 4).

Nobody says which factors, nor how many. Of an image x1 and its partner x2, the latents that differ least are shared:

    delta_d = KL(q(z_d|x1) || q(z_d|x2)),    tau = (max_d delta + min_d delta) / 2,    d is shared where delta_d < tau

A shared latent has one posterior for both images, the mean of their two:

    gvae      mu = (mu1 + mu2) / 2,                          s^2 = (s1^2 + s2^2) / 2       Hosoya 2019, arXiv 1809.02383
    ml_vae    mu = (mu1/s1^2 + mu2/s2^2) / (1/s1^2 + 1/s2^2),    s^2 = 2 / (1/s1^2 + 1/s2^2)
              the product of both densities, to the power 1/2              Bouchacourt et al. 2018, arXiv 1705.08841

With q^ these posteriors, of each image what is not shared as it was, and E the mean over all images and partners,

    loss = E[ E_q^[-log p(x|z)] + beta KL(q^ || p) ].

What is measured is the same as for any term, of the images alone: q is what the encoder says of one of them.
"""

import math
from typing import Annotated, Any, Literal, cast

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vae_runner.auto_encoder import VAE
from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import WeightedParts, as_precise_as
from vae_runner.ranks import mean_of_all, own
from vae_runner.schedule import Schedule
from vae_runner.signature import enforced, non_negative, positive
from vae_runner.state import MODEL, PARTNER, PARTNER_TRUE, RECON, Y_RAW, Y_TRUE, StateKey

__all__ = ["PairAveraging", "averaged", "precision_averaged", "shared_latents"]

Normals = tuple[SimpleNormal, ...]


def shared_latents(divergence: Tensor) -> Tensor:
    """Returns which latents an image shares with its partner, (B, D) bool, of the KL between their posteriors, (B, D).

    The latent that differs most never is; none is, where all differ alike.
    """
    return divergence < (divergence.amax(1, keepdim=True) + divergence.amin(1, keepdim=True)) / 2


def averaged(first: SimpleNormal, second: SimpleNormal) -> SimpleNormal:
    """Returns the normal with the mean of both means and the mean of both variances."""
    return SimpleNormal((first.mu + second.mu) / 2, torch.logaddexp(first.logvar, second.logvar) - math.log(2))


def precision_averaged(first: SimpleNormal, second: SimpleNormal) -> SimpleNormal:
    """Returns the normal with the mean of both precisions, and of both means weighted by these."""
    weight = torch.sigmoid(second.logvar - first.logvar)  # the first's precision over the sum of both
    logvar = math.log(2) - torch.logaddexp(-first.logvar, -second.logvar)
    return SimpleNormal(weight * first.mu + (1 - weight) * second.mu, logvar)


@enforced
class PairAveraging(WeightedParts):
    """Reconstruction and beta KL of an image and its partner, of which they share the latents that differ least: in the
    place of -ELBO, over all latent spaces.

    Logged in training: `shared`, how many latents a pair shares, the mean over the batch. Validation knows no pairs:
    there the term is beta KL.

    Args:
        input_keys, target_keys, dims: facts of the run, see `vae_runner.objective.facts`.
        average: of what is shared: `gvae`, of means and variances; `ml_vae`, of precisions.
        differ: factors in which the two differ; the data set has to know its factors. None: a number drawn for each
            pair, from 1 to one less than there are that vary.
        beta: the KL's weight, a number or a schedule.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Raises:
        ValueError: where there is but one latent, which is never shared.

    Example:
        >>> q = SimpleNormal(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2))
        >>> partner = SimpleNormal(torch.tensor([[0.2, -1.0]]), torch.zeros(1, 2))  # the second latent differs more
        >>> (first,), (second,), shared = PairAveraging((StateKey("q"),), (StateKey("p"),), 2).merged((q,), (partner,))
        >>> shared, first.mu, second.mu
        (tensor([[ True, False]]), tensor([[0.1000, 1.0000]]), tensor([[ 0.1000, -1.0000]]))
    """

    kl_weight = "beta"
    replaces_recon = True
    trains_recon = False
    takes_partners = True
    puts_rows_together = True

    def __init__(
        self,
        input_keys: tuple[StateKey, ...],
        target_keys: tuple[StateKey, ...],
        dims: int,
        average: Literal["gvae", "ml_vae"] = "gvae",
        differ: Annotated[int, positive] | None = 1,
        beta: Annotated[float, non_negative] | Schedule = 1.0,
        samples: Annotated[int, positive] | None = None,
    ) -> None:
        keys: dict[str, Any] = {"posteriors": input_keys, "priors": target_keys, "recon": RECON, "raw": Y_RAW}
        images = {"target": Y_TRUE, "partner": PARTNER, "partner_target": PARTNER_TRUE}
        super().__init__({**keys, **images, "model": MODEL}, {"beta": beta})
        if dims < 2:
            raise ValueError("one latent is never shared by a pair; make distribution.dims at least 2")
        self.differ, self.samples = differ, samples
        self.average = averaged if average == "gvae" else precision_averaged

    def check_spaces(self, posteriors: tuple[Distribution, ...], priors: tuple[Distribution, ...]) -> None:
        for q in posteriors:
            if not isinstance(q, SimpleNormal):
                raise ValueError(f"pairs share normal posteriors, and {type(q).__name__} is another; take normal ones")

    def compute_parts(
        self,
        posteriors: Normals,
        priors: tuple[Distribution, ...],
        recon: Tensor,
        raw: Tensor,
        target: Tensor,
        partner: Tensor | None,
        partner_target: Tensor | None,
        model: VAE,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if partner is None or partner_target is None:
            if self.training:
                raise ValueError(f"{type(self).__name__} trains on pairs: call objective(x, target, partner, target)")
            return self.kl_part(posteriors, priors), {}
        with as_precise_as(raw):
            others = cast(Normals, model.whole_posteriors(partner))
        first, second, shared = self.merged(posteriors, others)
        codes = torch.cat([own(torch.cat([q.rsample() for q in of_one], 1)) for of_one in (first, second)])
        with as_precise_as(raw):
            decoded = model.raw(codes)
        nll = mean_of_all(model.likelihood.nll(decoded, torch.cat([target, partner_target])).mean())
        kl = (self.kl_part(first, priors) + self.kl_part(second, priors)) / 2
        return nll + kl - recon.mean(), {"shared": shared.sum(1, dtype=nll.dtype).mean()}

    def merged(self, first: Normals, second: Normals) -> tuple[Normals, Normals, Tensor]:
        """Returns both images' posteriors with those that they share in the place of their own, and which these are,
        (B, D) over the dimensions of all latent spaces.
        """
        with torch.no_grad():
            divergences = [kl_divergence(one, other) for one, other in zip(first, second, strict=True)]
            shared = shared_latents(torch.cat(divergences, 1))
        found = []
        parts = shared.split([q.mu.shape[1] for q in first], 1)
        for one, other, is_shared in zip(first, second, parts, strict=True):
            both = self.average(one, other)
            found.append([_where(is_shared, both, own) for own in (one, other)])
        firsts, seconds = zip(*found, strict=True)
        return firsts, seconds, shared


def _where(condition: Tensor, one: SimpleNormal, other: SimpleNormal) -> SimpleNormal:
    """`one` where the condition holds, else `other`."""
    mu, logvar = (torch.where(condition, *pair) for pair in ((one.mu, other.mu), (one.logvar, other.logvar)))
    return SimpleNormal(mu, logvar)
