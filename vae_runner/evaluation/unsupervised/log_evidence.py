"""log p(x) by importance sampling: K samples of q(z|x) for each image (Burda et al. 2016, arXiv 1509.00519, section 3).

    log p(x) >= E log (1/K) sum_k w_k,    log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x)

K = 1 is -ELBO by one sample with its sign turned; the estimate rises with K, to log p(x). The weights are summed in
float64 while they come, `at_once` decoded images at a time, so that memory does not grow with K. Beside the mean over
images stands its standard error, and the effective sample size (sum w)^2 / sum w^2, from 1 to K: where it is near 1
one sample decides, and log p(x) is still higher.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.evaluation.importance import prior_over_posterior
from vae_runner.evaluation.score import Score

__all__ = ["Evidences", "log_evidence"]

FEW = 5  # samples that count


def log_evidence(
    model: VAE,
    images: Tensor,
    samples: int,
    at_once: int = 256,
    posteriors: Sequence[Distribution] | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns the estimate of log p(x) of each of the `images` (B, C, H, W), nats, and the effective sample size of
    each, (B,) float64 both. It draws from torch's generator.

    posteriors   q(z|x) of the images, of each latent space, where they are known

    Raises `ValueError` for fewer than one sample.
    """
    if samples < 1 or at_once < 1:
        raise ValueError(f"samples and at_once must be 1 or more, got {samples} and {at_once}")
    chunk = max(at_once // len(images), 1)
    total = torch.full((len(images),), -math.inf, dtype=torch.float64, device=images.device)
    squares = total.clone()
    with evaluating(model):
        posteriors = model.posteriors(images) if posteriors is None else posteriors
        priors = model.priors()
        for start in range(0, samples, chunk):
            count = min(chunk, samples - start)
            codes = [posterior.sample((count,)) for posterior in posteriors]
            raw = model.raw(torch.cat(codes, 2).flatten(0, 1)).unflatten(0, (count, -1))
            nll = model.likelihood.nll_of_samples(raw, images)
            weights = prior_over_posterior(priors, posteriors, codes).double() - nll.double()
            total = torch.logaddexp(total, weights.logsumexp(0))
            squares = torch.logaddexp(squares, (2 * weights).logsumexp(0))
    return total - math.log(samples), (2 * total - squares).exp()


class Evidences:
    """Gathers what `log_evidence` gives over batches; `read` gives the score.

    Example:
        >>> found = Evidences(samples=64)
        >>> found.add(torch.tensor([-90.0, -94.0]), torch.tensor([30.0, 50.0]))
        >>> found.read().value, found.read().others["effective"]
        (-92.0, 40.0)
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self._found: list[tuple[Tensor, Tensor]] = []

    def add(self, values: Tensor, effective: Tensor) -> None:
        """Add a batch's estimates and effective sample sizes, (B,) both."""
        self._found.append((values.cpu(), effective.cpu()))

    def read(self) -> Score:
        """Returns the mean of log p(x), nats; `others` has its standard `error` over images, the mean and the smallest
        effective sample size, and K, `samples`.
        """
        values, effective = (torch.cat(parts) for parts in zip(*self._found, strict=True))
        error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        others = {"error": error, "effective": float(effective.mean()), "effective_min": float(effective.min())}
        few = self.samples >= FEW and others["effective"] < FEW
        notes = ["few samples count: log p(x) is higher, and more of them come nearer to it"] if few else []
        return Score(float(values.mean()), others={**others, "samples": float(self.samples)}, notes=notes)
