"""log p(x) by importance sampling: K samples of q(z|x) for each image (Burda et al. 2016, arXiv 1509.00519, section 3).

    log p(x) >= E log (1/K) sum_k w_k,    log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x)

K = 1 is -ELBO by one sample with its sign turned; the estimate rises with K, to log p(x). The weights are summed in
float64 while they come, `at_once` decoded images at a time, so that memory does not grow with K. Beside the mean over
images stands its standard error, and the effective sample size (sum w)^2 / sum w^2, from 1 to K: where it is near 1
one sample decides, and log p(x) is still higher.

**In bf16** a decoder is several times faster, and -log p(x|z) some tenths of a nat off. So w' of all K samples are made
in bf16, and M of them are drawn, j with a chance of w'_j / sum_k w'_k, and decoded in fp32 again:

    (1/K) sum_k w_k = (1/K) sum_k w'_k  E_j[w_j / w'_j]

which the mean over M draws estimates without a bias: what is left of the rounding is noise, of some tenths of a nat
over the root of M.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.evaluation.importance import importance_bound, prior_over_posterior
from vae_runner.evaluation.score import Score

__all__ = ["Evidences", "log_evidence"]

FEW = 5  # samples that count
TOGETHER = 64  # images that a thread decodes at a time: their activations stay in its cache


def log_evidence(
    model: VAE,
    images: Tensor,
    samples: int,
    at_once: int = 256,
    posteriors: Sequence[Distribution] | None = None,
    corrected_by: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns the estimate of log p(x) of each of the `images` (B, C, H, W), nats, and the effective sample size of
    each, (B,) float64 both. It draws from torch's generator.

    at_once        images that are decoded before their weights are added
    posteriors     q(z|x) of the images, of each latent space, where they are known
    corrected_by   decode in bf16, and so many of the samples of each image in fp32 again; None: all in fp32

    Raises `ValueError` where a count is below 1.
    """
    for name, count in {"samples": samples, "at_once": at_once, "corrected_by": corrected_by}.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be 1 or more, got {count}")
    total = torch.full((len(images),), -math.inf, dtype=torch.float64, device=images.device)
    squares = total.clone()
    with evaluating(model):
        posteriors = model.posteriors(images) if posteriors is None else posteriors
        drawn = None if corrected_by is None else _Drawn(corrected_by, images, sum(model.latent_dims))
        for codes, nll, weights in _weighted(model, images, posteriors, samples, at_once, drawn is not None):
            total = torch.logaddexp(total, weights.logsumexp(0))
            squares = torch.logaddexp(squares, (2 * weights).logsumexp(0))
            if drawn is not None:
                drawn.add(codes, nll, weights, total)
        correction = 0.0 if drawn is None else importance_bound(drawn.nll - _nll(model, drawn.codes, images))
    return total - math.log(samples) + correction, (2 * total - squares).exp()


def _weighted(
    model: VAE, images: Tensor, posteriors: Sequence[Distribution], samples: int, at_once: int, is_rough: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Codes (k, B, D) of q(z|x), -log p(x|z) of each and its log weight, (k, B) float64, some at a time."""
    priors, chunk = model.priors(), max(at_once // len(images), 1)
    for start in range(0, samples, chunk):
        codes = [posterior.sample((min(chunk, samples - start),)) for posterior in posteriors]
        joined = torch.cat(codes, 2)
        nll = _nll(model, joined, images, is_rough)
        yield joined, nll, prior_over_posterior(priors, posteriors, codes).double() - nll


def _nll(model: VAE, codes: Tensor, images: Tensor, is_rough: bool = False) -> Tensor:
    """-log p(x|z) of codes (K, B, D), (K, B) float64; where `is_rough`, of a decoder in bf16."""
    together = TOGETHER * torch.get_num_threads() if images.device.type == "cpu" else len(codes) * len(images)
    found = []
    for some in codes.split(max(together // len(images), 1)):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=is_rough):
            raw = model.raw(some.flatten(0, 1))
        found.append(model.likelihood.nll_of_samples(raw.float().unflatten(0, some.shape[:2]), images))
    return torch.cat(found).double()


class _Drawn:
    """`count` samples of each image, each drawn from all that have come so far by their weights: where more come, each
    gives its place to one of these with the chance that these have of being drawn.
    """

    def __init__(self, count: int, images: Tensor, dims: int) -> None:
        self.codes = images.new_zeros(count, len(images), dims)
        self.nll = images.new_zeros(count, len(images), dtype=torch.float64)

    def add(self, codes: Tensor, nll: Tensor, weights: Tensor, total: Tensor) -> None:
        """Codes (K, B, D), their nll and log weights (K, B), and the logarithm of the sum of all weights, (B,)."""
        count = len(self.nll)
        chosen = torch.softmax(weights, 0).T.multinomial(count, replacement=True).T
        is_new = torch.rand_like(self.nll) < (weights.logsumexp(0) - total).exp()
        self.nll = torch.where(is_new, nll.gather(0, chosen), self.nll)
        theirs = codes.gather(0, chosen[..., None].expand(-1, -1, codes.shape[2]))
        self.codes = torch.where(is_new[..., None], theirs, self.codes)


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
