"""A batch that N processes make together: each has B / N of its B images, its own rows, and its networks see no other.

What follows on the networks is little: a few numbers for each latent, one -log p(x|z) for each image. So it is put
together, and each process goes on with those of the whole batch, and the very same noise:

    own rows x_r -> encoder -> h_r -> whole(h) -> q(z|x), z ~ q, every term        of the whole batch, on each process
                                         own(z) -> z_r -> decoder -> -log p_r -> whole(-log p)

A term need not know of it: a mean over the batch, a covariance, the pairs of an estimator, a permutation are what they
are in one process, and so is each family's noise, which may take as many random numbers as its parameters want.

The gradients that the processes find are averaged: g = sum_r g_r / N. With L the loss of the whole batch, each finds
dL/dh, of which its own rows belong to its images; so `whole`, on the way back, gives N dL/dh_r, and nothing is sent:

    sum_r (N dL/dh_r)(dh_r/dw) / N = dL/dw.

`own` undoes it: what comes back by it is N times too large, as each process has that of its own rows alone, and is
divided by N. Weights that are used behind `whole`, of a prior or a discriminator, have dL/dw on each process, whose
average it is.

Inside `sharing` that is so; outside, and in one process, `whole` and `own` give back what they are given.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Share", "is_sharing", "mean_of_all", "own", "sharing", "whole"]


class Share(NamedTuple):
    """The rows of process number `rank` of `world`.

    Example:
        >>> Share(rank=1, world=2).rows(batch=6)
        slice(3, 6, None)
    """

    rank: int
    world: int

    def rows(self, batch: int) -> slice:
        """Returns which images of a batch are its own."""
        each = batch // self.world
        return slice(self.rank * each, (self.rank + 1) * each)


_share: Share | None = None  # of the step that is being made


@contextlib.contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Inside, this process makes that part of a step, and all others theirs: each calls the same in the same order."""
    global _share  # read by what is compiled, to which a context variable would be unknown
    before, _share = _share, share
    try:
        yield
    finally:
        _share = before


def is_sharing() -> bool:
    """Returns whether others make their parts of the step that is being made."""
    return _share is not None


def whole(own: Tensor, dim: int = 0) -> Tensor:
    """Returns the rows of all processes, side by side along `dim`, of as many of each."""
    if _share is None:
        return own
    gathered = torch.ops.vae_runner.gathered(own.movedim(dim, 0).contiguous(), _share.rank, _share.world)
    return gathered.movedim(0, dim)


def own(whole: Tensor, dim: int = 0) -> Tensor:
    """Returns the rows of this process, along `dim`."""
    if _share is None:
        return whole
    rows: Tensor = _Own.apply(whole, dim, _share.rank, _share.world)
    return rows


def mean_of_all(figure: Tensor) -> Tensor:
    """Returns the mean over all processes of a figure () that is a mean over the rows of each."""
    return figure if _share is None else whole(figure.reshape(1)).mean()


class _Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: Tensor, dim: int, rank: int, world: int) -> Tensor:
        each = whole.shape[dim] // world
        ctx.place, ctx.shape, ctx.world = (dim, rank * each, each), whole.shape, world
        return whole.narrow(*ctx.place).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        of_whole = gradient.new_zeros(ctx.shape)
        of_whole.narrow(*ctx.place).copy_(gradient / ctx.world)
        return of_whole, None, None, None
