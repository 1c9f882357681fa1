"""For each training image, another one that shares all but a few of its factors: pairs for weak supervision (Locatello
et al. 2020, arXiv 2002.02886). Which one is a function of (seed, step), so that nothing has to be saved.

Partners come from the training images alone: what is held back stays unseen.
"""

import itertools
import math

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import FactoredImages, FactorGrid
from vae_runner.datasets.split.epoch_order import EpochOrder
from vae_runner.datasets.split.subset import Subset
from vae_runner.errors import UserError
from vae_runner.randomness import seed_for

__all__ = ["Partners"]

_MOST = 2**31  # combinations, a byte each
FEW = 10  # factors, for all of whose subsets the images are counted


class Partners:
    """The partners of every step's batch.

    Args:
        train: the images; partners are of these, too.
        order: which of them a step has, and the seed.
        differ: the factors in which two differ; None: a number that is drawn for each pair, from 1 to one less than
            there vary.

    Raises:
        UserError: where the data set knows no factors, where its images would share none, and where `limit` and
            `validation` leave images without a partner.

    Example:
        >>> from vae_runner.datasets.factors import Factor
        >>> class Dots(FactoredImages):
        ...     grid = FactorGrid([Factor("x", (0, 1, 2)), Factor("y", (0, 1, 2))])
        ...     gather = None
        >>> order = EpochOrder(size=9, batch_size=3, seed=0)
        >>> partners = Partners(Subset(Dots(), torch.arange(9)), order, differ=1)
        >>> same = Dots.grid.classes_of(partners.indices(0)) == Dots.grid.classes_of(order.positions(0))
        >>> same.sum(1)  # of the two factors, each has one in common with its image
        tensor([1, 1, 1])
    """

    def __init__(self, train: Subset, order: EpochOrder, differ: int | None) -> None:
        self.data = _factored(train.data)
        self.grid = _shared_grid(self.data.grid, differ)
        self.differ, self.seed = differ, order.seed
        # On the host whatever the device, so that nobody waits for the device to say which partners are allowed.
        on_host = torch.device(order.device).type == "cpu"
        self._order = order if on_host else EpochOrder(order.size, order.batch_size, order.seed)
        self._grid_indices = self.data.grid_indices(train.indices.cpu()).cpu()
        self._among = torch.zeros(len(self.grid), dtype=torch.bool)
        self._among[self._grid_indices] = True
        self._refuse_lonely()

    def indices(self, step: int) -> Tensor:
        """Returns the indices in the data set of the partners of that step's images, (B,) int64, on the host."""
        generator = torch.Generator().manual_seed(seed_for(self.seed, "partners", step))
        images = self._grid_indices[self._order.positions(step)]
        return self.data.positions(self.grid.partners(images, self.differ, generator, self._among))

    def _refuse_lonely(self) -> None:
        most = len(self.grid.varying)
        if most > FEW:  # told when one of them comes up
            return
        wanted = range(1, most) if self.differ is None else [most - self.differ]
        counts = agreeing(self.grid, self._grid_indices, least=min(wanted))
        lonely = int((torch.stack([counts[shared] for shared in wanted]).sum(0) == 0).sum())
        if lonely:
            words = f"exactly {self.differ}" if self.differ else f"1 to {most - 1}"
            raise UserError(
                f"{lonely:,} of {len(self._grid_indices):,} training images have no partner among them that differs in "
                f"{words} of {most} factors; train on more, without dataset.limit, or change divergence.differ"
            )


def agreeing(grid: FactorGrid, grid_indices: Tensor, least: int = 0) -> dict[int, Tensor]:
    """Returns for each number m of varying factors, from `least`, with how many of these images (N,) an image has
    exactly m classes in common, (N,) int64.

    With A_j the sum over all sets of j factors of how many agree in these, whatever the others are, it is
    sum_{j >= m} (-1)^(j - m) (j over m) A_j: by inclusion and exclusion, without comparing each with each.
    """
    classes, many = grid.classes_of(grid_indices), len(grid.varying)
    in_common: dict[int, Tensor] = {}
    for size in range(least, many + 1):
        total = torch.zeros_like(grid_indices)
        for places in itertools.combinations(grid.varying, size):
            kind = sum((classes[:, place] * grid.strides[place] for place in places), torch.zeros_like(grid_indices))
            total += torch.bincount(kind)[kind]
        in_common[size] = total
    return {
        m: sum(((-1) ** (j - m) * math.comb(j, m) * in_common[j] for j in range(m, many + 1)), torch.zeros_like(total))
        for m in range(least, many + 1)
    }


def _factored(data: ImageData) -> FactoredImages:
    """The data set, where it knows the factors of its images."""
    if not isinstance(data, FactoredImages) or data.grid is None:
        raise UserError(
            "divergence takes pairs of images that share factors, and this dataset knows none: take one with factors, "
            "such as dataset=dsprites, or state those of your own as a grid (docs/library.md)"
        )
    return data


def _shared_grid(grid: FactorGrid, differ: int | None) -> FactorGrid:
    """The factors, where pairs can share all but so many of them."""
    most, names = len(grid.varying) - 1, ", ".join(grid.names[place] for place in grid.varying)
    if len(grid) > _MOST:
        raise UserError(f"pairs need at most {_MOST:,} combinations of factors, and {names} have {len(grid):,}")
    if most < 1:
        raise UserError(f"pairs share all but some of the factors that vary, and here vary {names or 'none'}: too few")
    if differ is not None and differ > most:
        raise UserError(
            f"divergence.differ must be at most {most}, one less than the factors that vary ({names}), got {differ}: "
            "a pair has to share one"
        )
    return grid
