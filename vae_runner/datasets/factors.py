"""The factors that images were made of, as data sets state them and as pictures, pairs and scores read them.

A complete set has one image for every combination of the factors' classes, in row-major order: the last factor varies
fastest. With sizes s_1 ... s_F the image of the classes c_1 ... c_F has the index

    index = ((c_1 s_2 + c_2) s_3 + c_3) ... s_F + c_F

so that an index and its classes determine each other, and no label takes memory.

Pairs for weak supervision (Locatello et al. 2020, arXiv 2002.02886, "Weakly-supervised disentanglement without
compromises") differ in k factors and share all others, k fixed or drawn anew for each pair.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from vae_runner.errors import UserError

__all__ = ["Factor", "FactorGrid", "FactoredImages"]

_TRIES = 8  # draws of partners among some images, before all of these are looked through


@dataclass(frozen=True)
class Factor:
    """One of the factors: what it is called, the values of its classes, and how these are related.

    Args:
        name: what it is called in pictures and in settings.
        values: of each class, in the order of the classes; rising, but for categories.
        is_category: the classes have no order, as shapes have none; else they are ordered.
        period: the difference after which a value stands for the same again, as 2 pi does for an angle; None: it does
            not wrap around. A hue is a category and wraps around.
        labels: the names of the classes, where they have any.

    Raises:
        ValueError: where these contradict each other.

    Example:
        >>> Factor("shape", (0, 1), is_category=True, labels=("square", "heart")).size
        2
        >>> Factor("size", (2, 1))
        Traceback (most recent call last):
            ...
        ValueError: the values of the factor size must be finite and rise, got (2, 1)
    """

    name: str
    values: tuple[float, ...]
    is_category: bool = False
    period: float | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rises = all(low < high for low, high in zip(self.values, self.values[1:], strict=False))
        if not self.values or not all(map(math.isfinite, self.values)) or not (rises or self.is_category):
            raise ValueError(f"the values of the factor {self.name} must be finite and rise, got {self.values}")
        if self.labels and len(self.labels) != len(self.values):
            raise ValueError(f"the factor {self.name} has {len(self.values)} values and {len(self.labels)} labels")
        if self.period is not None and not 0 < self.period < math.inf:
            raise ValueError(f"the period of the factor {self.name} must be above 0 and finite, got {self.period}")

    @property
    def size(self) -> int:
        """The number of its classes."""
        return len(self.values)


class FactorGrid:
    """All combinations of some factors, each with its index.

    Attributes:
        factors: from the one that varies slowest to the one that varies fastest.
        names, sizes: of the factors.
        strides: what one step of each factor adds to the index.
        varying: which factors, by their positions, have more than one class.

    Example:
        >>> grid = FactorGrid([Factor("shape", (0, 1), is_category=True), Factor("size", (0.5, 0.75, 1.0))])
        >>> len(grid), grid.classes_of(torch.tensor([0, 5])).tolist(), grid.index_of(torch.tensor([1, 0])).item()
        (6, [[0, 0], [1, 2]], 3)
    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        self.factors = tuple(factors)
        self.names = tuple(factor.name for factor in self.factors)
        self.sizes = tuple(factor.size for factor in self.factors)
        self.strides = tuple(math.prod(self.sizes[place + 1 :]) for place in range(len(self.sizes)))
        self.varying = tuple(place for place, size in enumerate(self.sizes) if size > 1)
        if len(set(self.names)) < len(self.names) or not self.names:
            raise ValueError(f"factors must have names of their own, got {', '.join(self.names) or 'no factors'}")

    def __len__(self) -> int:
        return math.prod(self.sizes)

    def index_of(self, classes: Tensor) -> Tensor:
        """Returns the index (...), int64, of each combination of classes (..., F), integers in the order of `names`.

        Raises:
            ValueError: for what is no combination.
            IndexError: naming the factor where a class is out of range.
        """
        if classes.shape[-1:] != (len(self.names),) or classes.is_floating_point() or classes.dtype == torch.bool:
            names, given = ", ".join(self.names), tuple(classes.shape)
            raise ValueError(f"a combination is {len(self.names)} integers ({names}), got {classes.dtype} {given}")
        sizes = torch.tensor(self.sizes, device=classes.device)
        outside = ((classes < 0) | (classes >= sizes)).nonzero()
        if len(outside):
            place = int(outside[0, -1])
            value, size = int(classes[tuple(outside[0])]), self.sizes[place]
            raise IndexError(f"{self.names[place]} is {value}, but has {size} values: 0 to {size - 1}")
        return self._index(classes.long())

    def classes_of(self, indices: Tensor) -> Tensor:
        """Returns the class of each factor at the `indices` (...), each in [0, len): (..., F) int64."""
        strides, sizes = (torch.tensor(numbers, device=indices.device) for numbers in (self.strides, self.sizes))
        return indices[..., None].div(strides, rounding_mode="floor") % sizes

    def values_of(self, indices: Tensor) -> Tensor:
        """Returns the value of each factor at the `indices` (...), each in [0, len): (..., F) float64."""
        columns = zip(self.factors, self.classes_of(indices).unbind(-1), strict=True)
        return torch.stack([_values(factor, classes) for factor, classes in columns], -1)

    def quantities(self, indices: Tensor) -> dict[str, Tensor]:
        """Returns what pictures compare codes with: for each factor that varies, at the `indices` (B,), its classes
        (B,) int64 where it is a category, its values (B,) float64, or the cosine and sine (B, 2) of one that wraps
        around.
        """
        classes = self.classes_of(indices)
        return {self.names[place]: _quantity(self.factors[place], classes[:, place]) for place in self.varying}

    def partners(
        self,
        indices: Tensor,
        differ: int | None = None,
        generator: torch.Generator | None = None,
        among: Tensor | None = None,
    ) -> Tensor:
        """Returns for each index (B,) that of a combination that differs in exactly `differ` factors, (B,) int64.

        Which factors these are, and to which of their other classes they change, is drawn with equal chances from
        `generator`. Two classes may look the same, as the first and the last of one that wraps around.

        Args:
            indices: each in [0, len).
            differ: how many factors change; None: for each pair a number drawn from 1 to one less than there vary.
            generator: None: torch's own.
            among: (len,) bool: the indices that partners may have, such as those of the training set; the others are
                drawn again. None: all.

        Raises:
            UserError: where there are no such partners.
        """
        self._check_differ(differ)
        found = self._proposed(indices, differ, generator)
        if among is None:
            return found
        for _ in range(_TRIES):
            if among[found].all():
                return found
            found = torch.where(among[found], found, self._proposed(indices, differ, generator))
        rows = (~among[found]).nonzero()[:, 0].tolist()
        candidates = among.nonzero()[:, 0] if rows else found
        classes = self.classes_of(candidates)
        for row in rows:
            found[row] = self._searched(indices[row], differ, generator, candidates, classes)
        return found

    def _index(self, classes: Tensor) -> Tensor:
        return (classes * torch.tensor(self.strides, device=classes.device)).sum(-1)

    def _check_differ(self, differ: int | None) -> None:
        most = len(self.varying)
        if most == 0 or (differ is not None and not 1 <= differ <= most):
            named = ", ".join(self.names[place] for place in self.varying) or "none"
            raise UserError(f"pairs cannot differ in {differ or 'some'} of {most} factors that vary ({named})")

    def _proposed(self, indices: Tensor, differ: int | None, generator: torch.Generator | None) -> Tensor:
        """Partners anywhere in the grid."""
        count, many = len(indices), len(self.varying)
        device = torch.device("cpu") if generator is None else generator.device
        kind: dict[str, Any] = {"generator": generator, "device": device, "dtype": torch.float64}
        ranks = torch.rand(count, many, **kind).argsort(1).argsort(1)
        wanted = torch.rand(count, 1, **kind).mul(max(many - 1, 1)).long() + 1 if differ is None else differ
        others = torch.tensor([self.sizes[place] - 1 for place in self.varying], device=device)
        steps = (torch.rand(count, many, **kind) * others).long() + 1  # from 1 to size - 1: never the class itself
        steps = torch.where(ranks < wanted, steps, 0).to(indices.device)
        classes, places = self.classes_of(indices), list(self.varying)
        sizes = torch.tensor(self.sizes, device=indices.device)[places]
        classes[:, places] = (classes[:, places] + steps) % sizes
        return self._index(classes)

    def _searched(
        self,
        index: Tensor,
        differ: int | None,
        generator: torch.Generator | None,
        candidates: Tensor,
        classes: Tensor,
    ) -> Tensor:
        """One of all partners among the candidates (N,), of these classes (N, F), with the chances that they have in
        the whole grid.
        """
        places = list(self.varying)
        differs = (classes != self.classes_of(index))[:, places]
        many, count = len(places), differs.sum(1)
        fits = (count >= 1) & (count <= max(many - 1, 1)) if differ is None else count == differ
        if not fits.any():
            words = f"exactly {differ}" if differ else f"1 to {max(many - 1, 1)}"
            raise UserError(f"the image {int(index)} of the grid has no partner that differs in {words} factors")
        others = torch.tensor([self.sizes[place] - 1 for place in places], device=candidates.device)
        ways = torch.tensor([math.comb(many, k) for k in range(many + 1)], device=candidates.device)[count]
        chances = fits / (ways * torch.where(differs, others, 1).prod(1)).double()
        device = torch.device("cpu") if generator is None else generator.device
        drawn = torch.rand((), generator=generator, device=device, dtype=torch.float64).to(candidates.device)
        total = chances[fits].cumsum(0)
        return candidates[fits][torch.searchsorted(total, drawn * total[-1], right=True).clamp(max=len(total) - 1)]


class FactoredImages(ABC):
    """A data set that knows the factors of its images. This is all that pictures, pairs and scores read of them.

    Attributes:
        grid: the factors and all their combinations.
        listed: the index in the grid of each image of the set, (N,) int64, where these are a list, with some of the
            combinations left out or in another order; None: the set has all images, in the order of the grid.

    Example:
        >>> class Gray(FactoredImages):
        ...     grid = FactorGrid([Factor("brightness", (0.0, 0.5, 1.0))])
        ...     def gather(self, indices):
        ...         return (indices / 2).view(-1, 1, 1, 1)
        >>> Gray().factors(torch.tensor([2])), Gray().images(torch.tensor([1])).item()
        ({'brightness': tensor([1.], dtype=torch.float64)}, 0.5)
    """

    grid: FactorGrid
    listed: Tensor | None = None

    @abstractmethod
    def gather(self, indices: Tensor) -> Tensor:
        """Returns the images at the `indices` (B,) of the set: (B, C, H, W) float32 in [0, 1]."""

    def grid_indices(self, indices: Tensor) -> Tensor:
        """Returns the index in the complete grid of each image, by its index in the set (B,)."""
        return indices if self.listed is None else self.listed.to(indices.device)[indices]

    def positions(self, grid_indices: Tensor) -> Tensor:
        """Returns the index in the set of the image of each combination, by its index in the complete grid (B,).

        Raises:
            IndexError: naming a combination of which the set has no image.
        """
        if self.listed is None:
            return grid_indices
        ordered, order = self._ordered
        found = torch.searchsorted(ordered, grid_indices.cpu()).clamp(max=len(ordered) - 1)
        absent = grid_indices.cpu()[ordered[found] != grid_indices.cpu()]
        if len(absent):
            classes = zip(self.grid.names, self.grid.classes_of(absent[0]).tolist(), strict=True)
            raise IndexError(f"there is no image of {', '.join(f'{name} {value}' for name, value in classes)}")
        return order[found].to(grid_indices.device)

    def images(self, grid_indices: Tensor) -> Tensor:
        """Returns the images of combinations, by their indices in the complete grid (B,): as `gather`."""
        return self.gather(self.positions(grid_indices))

    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        """Returns what is known of the images at the `indices` (B,) of the set, see `FactorGrid.quantities`."""
        return self.grid.quantities(self.grid_indices(indices.cpu()))

    @property
    def factor_classes(self) -> Mapping[str, Sequence[str]]:
        """The names of the classes of each factor that has such."""
        return {factor.name: factor.labels for factor in self.grid.factors if factor.labels}

    @cached_property
    def _ordered(self) -> tuple[Tensor, Tensor]:
        """The grid indices of the list, rising, and where each of them is in the list."""
        assert self.listed is not None
        return self.listed.cpu().sort(stable=True)


def _values(factor: Factor, classes: Tensor) -> Tensor:
    return torch.tensor(factor.values, dtype=torch.float64, device=classes.device)[classes]


def _quantity(factor: Factor, classes: Tensor) -> Tensor:
    if factor.period is not None:
        angle = 2 * math.pi / factor.period * _values(factor, classes)
        return torch.stack([angle.cos(), angle.sin()], -1)
    return classes if factor.is_category else _values(factor, classes)
