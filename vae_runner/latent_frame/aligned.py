"""A normal space that keeps its frame: R, (dims, dims) orthogonal, about the mean m of the prior N(m, s^2 I).

    mean given out = m + R (mu - m),    the decoder is given m + R^T (z - m)

R is the identity at first, and after each turn Q of some latents it is Q R, Q being the identity elsewhere. So
neither network changes at a turn, the prior is what it was, and so is the image decoded from a posterior's mean: R^T R
= I. Variances stay where they are, and are learned anew in a few dozen steps. No factor is looked at.

Only latents with a KL above a threshold are turned: those without information are noise, and would spoil the frame. And
only so many, those that carry most: of a net that tells the same in nine latents, as one seed of five learns it, the
frame was another one at each turn where all of them were turned, and at rest from the third on with four.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_runner.distributions import SimpleNormal
from vae_runner.latent_frame.fast_ica import Sources, nearest_orthogonal
from vae_runner.latent_frame.least_turn import least_turn
from vae_runner.latent_space import NormalSpace, Prior
from vae_runner.latent_space.families import Bound
from vae_runner.latent_space.opening import Open
from vae_runner.signature import Limit, enforced, non_negative, positive

__all__ = ["AlignedNormalSpace", "Turn"]

Dims = Annotated[int, positive, Limit("must be at most 1,000, for a frame of their square", lambda dims: dims <= 1000)]
Steps = Annotated[
    Sequence[Annotated[int, positive]],
    Limit("must rise from each step to the next", lambda steps: all(a < b for a, b in pairwise(steps))),
    Limit("must be at most 1,000 steps", lambda steps: len(steps) <= 1000),
]
Images = Annotated[int, Limit("must lie between 10 and 1,000,000", lambda count: 10 <= count <= 1_000_000)]
Most = Annotated[int, Limit("must be at least 2", lambda count: count >= 2)]
Iterations = Annotated[int, Limit("must lie between 1 and 10,000", lambda count: 1 <= count <= 10_000)]

ALIGN = (250, 500, 1000, 2000, 4000, 6000)
FLAT = 1e-9  # of the largest variance: what is less has none


@dataclass(frozen=True)
class Turn:
    """What a turn has done: the `latents` that were turned and the angle between each one's old and new axis, degrees;
    or none, and `why`.

    Example:
        >>> AlignedNormalSpace(dims=3).turn(torch.randn(100, 3), nats=torch.tensor([2.5, 0.1, 0.2])).why
        '1 of 3 latents carries more than 2 nats'
    """

    latents: tuple[int, ...] = ()
    degrees: tuple[float, ...] = ()
    why: str = ""


@enforced
class AlignedNormalSpace(NormalSpace):
    """q(z|x) = N(m + R (mu - m), e^logvar), diagonal; p(z) = N(0, 1), or a normal `prior` of one variance.

    align        the steps at which who trains it has it turned, rising: early, several times, the last one at about
                 half of the run
    threshold    KL, nats, above which a latent is turned
    most         latents that are turned at most, those of the largest KL; None: all above the threshold
    images       so many training images are looked at, all where there are fewer
    iterations   half steps of FastICA's fixed point; whole ones for sub-Gaussian sources
    sources      "sub_gaussian": components flatter than a normal number, as evenly spread factors are, and no sparse
                 ones, which the codes of a young net have besides; "any" shape

    Raises:
        ValueError: where a turn would change the prior.

    Example:
        >>> places = torch.rand(4096, 2) * 4 - 2  # of a square, which is turned by 30 degrees
        >>> mixed = places @ torch.tensor([[0.866, 0.5], [-0.5, 0.866]])
        >>> space = AlignedNormalSpace(dims=2, align=[100])
        >>> turn = space.turn(mixed, nats=torch.tensor([3.0, 3.0]))
        >>> turn.latents, [round(degrees, -1) for degrees in turn.degrees]
        ((0, 1), [30.0, 30.0])
    """

    frame: Tensor

    def __init__(
        self,
        dims: Dims = 10,
        prior: Prior | None = None,
        align: Steps = ALIGN,
        threshold: Annotated[float, non_negative] = 2.0,
        images: Images = 4096,
        iterations: Iterations = 200,
        open: Open = None,
        logvar_limit: Bound = 20.0,
        most: Most | None = None,
        sources: Sources = "any",
    ) -> None:
        super().__init__(dims, prior, open, logvar_limit)
        if prior is not None:
            _check_isotropic(prior)
        self.align, self.threshold, self.images, self.iterations = tuple(align), threshold, images, iterations
        self.most, self.sources = most, sources
        self.register_buffer("frame", torch.eye(dims))

    def posterior(self, raw: Tensor) -> SimpleNormal:
        plain = super().posterior(raw)
        return self._opened(SimpleNormal(self._about_the_prior(plain.mean, self.frame.T), plain.logvar))

    def decoded(self, z: Tensor) -> Tensor:
        return self._about_the_prior(super().decoded(z), self.frame)

    @torch.no_grad()
    def turn(self, means: Tensor, nats: Tensor) -> Turn:
        """Turn the frame to the components of what is given out now: posterior means (N, dims), KLs (dims,), nats."""
        means, nats = means.double().cpu(), nats.double().cpu()
        if not (means.isfinite().all() and nats.isfinite().all()):
            return Turn(why="the codes are not finite")
        informative = nats.argsort(descending=True, stable=True)[: int((nats > self.threshold).sum())]
        if len(informative) < 2:
            verb = "carry" if len(informative) == 0 else "carries"
            return Turn(
                why=f"{len(informative) or 'none'} of {self.dims} latents {verb} more than {self.threshold:g} nats"
            )
        informative = informative[: self.most].sort().values
        codes = means[:, informative]
        if not _is_of_full_rank(codes):
            return Turn(why=f"{len(codes):,} images are too few to tell {len(informative)} latents apart")
        rotation = least_turn(codes, self.iterations, self.sources)
        self._multiply(informative, rotation)
        angles = rotation.diagonal().clamp(-1, 1).acos() * 180 / math.pi
        return Turn(tuple(informative.tolist()), tuple(angles.tolist()))

    def _multiply(self, latents: Tensor, rotation: Tensor) -> None:
        axes = rotation @ self.frame.double().cpu()[latents]
        rows = latents.to(self.frame.device)
        self.frame[rows] = nearest_orthogonal(axes).to(self.frame)  # so that rounding does not add up

    def _about_the_prior(self, codes: Tensor, matrix: Tensor) -> Tensor:
        """Codes (..., dims) times a matrix, in float32 whatever the networks are in, with the prior's mean as the
        origin.
        """
        with torch.autocast(codes.device.type, enabled=False):
            mean = getattr(self, f"prior_{self.prior_names[0]}")
            return mean + (codes - mean) @ matrix.to(codes.dtype)


def _check_isotropic(prior: Prior) -> None:
    fix = "a turn would change it; take distribution=normal, or a normal prior of one variance"
    if not isinstance(prior, (SimpleNormal, Normal)):
        raise ValueError(f"prior: {type(prior).__name__} is not the same in every direction: {fix}")
    if (prior.variance != prior.variance.flatten()[0]).any():
        raise ValueError(f"prior: its variances differ, {prior.variance.tolist()}: {fix}")


def _is_of_full_rank(codes: Tensor) -> bool:
    """Whether no direction of codes (N, k) is without variance."""
    if len(codes) <= codes.shape[1] or not (deviations := codes.std(0)).all():
        return False
    variances = torch.linalg.eigvalsh(torch.corrcoef((codes / deviations).T))
    return bool(variances[0] > FLAT * variances[-1])
