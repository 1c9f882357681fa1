"""Training images that are not all alike likely, for questions that a complete grid cannot ask.

Combinations held out: of images whose factors all lie in the classes named, none is trained on, and those that are
measured at the end are such: what a model makes of combinations that it has never seen (Montero et al. 2021, ICLR, "The
role of disentanglement in generalisation"; Schott et al. 2022, arXiv 2107.08221).

Correlated factors: of two factors whose classes u and v are numbered from 0 to 1, images are kept for training with
probability

    p(u, v) = exp(-(u - v)^2 / (2 width^2)),

so that the two lie along a line, the closer the smaller the width (Traeuble et al. 2021, arXiv 2006.07886, "On
disentangled representations learned from correlated data"). An image is kept or not by its index and the split's seed;
those that are held back are as they were, of all combinations.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import FactoredImages, FactorGrid
from vae_runner.errors import UserError
from vae_runner.randomness import permutation, seed_for

__all__ = ["HeldOut", "constrained", "correlation"]

HeldOut = dict[str, Any]
_HELD_OUT, _CORRELATED = "dataset.held_out", "dataset.correlated"


def constrained(
    data: ImageData,
    parts: Sequence[Tensor],
    held_out: HeldOut | None,
    correlated: Sequence[str | float] | None,
    seed: int,
) -> list[Tensor]:
    """Returns the parts of a split under these constraints.

    Args:
        data: the set, which knows its factors.
        parts: the indices of the training images, and of the images of each other part.
        held_out: of some factors, by name, the classes of which no combination is trained on: a class by its number or
            its label, a range of numbers as a text, "16-31", or a list of these. The last part that has images is then
            of such images alone, and has no more of them than it had before.
        correlated: names of two factors, and the width.
        seed: of the choice among held out images, and of which images are kept.

    Raises:
        UserError: where the set knows no such factors, or nothing would be left.
    """
    if not held_out and not correlated:
        return list(parts)
    if not isinstance(data, FactoredImages) or data.grid is None:
        setting = _HELD_OUT if held_out else _CORRELATED
        raise UserError(f"{setting} is of data sets that know their factors, and this dataset knows none")
    found = list(parts)
    if held_out:
        found = _held_out(data, found, held_out, seed)
    if correlated:
        generator = torch.Generator().manual_seed(seed_for(seed, "correlated"))
        chances = correlation(data.grid, data.grid_indices(found[0]), correlated)
        drawn = torch.rand(len(data), generator=generator, dtype=torch.float64)[found[0]]
        found[0] = found[0][drawn < chances]
        if not len(found[0]):
            raise UserError(f"{_CORRELATED}={list(correlated)} leaves nothing to train on")
    return found


def correlation(grid: FactorGrid, grid_indices: Tensor, correlated: Sequence[str | float]) -> Tensor:
    """Returns the probability with which each image is kept, (N,) float64.

    Args:
        grid: the factors.
        grid_indices: of the images in it, (N,).
        correlated: names of two factors, and the width.

    Raises:
        UserError: where it is anything else.

    Example:
        >>> from vae_runner.datasets.factors import Factor
        >>> grid = FactorGrid([Factor("x", (0, 1)), Factor("y", (0, 1, 2))])
        >>> correlation(grid, torch.arange(6), ["x", "y", 1.0]).view(2, 3)[0]
        tensor([1.0000, 0.8825, 0.6065], dtype=torch.float64)
    """
    *names, width = correlated if len(correlated) == 3 else ("", "", 0)
    places = [_place(grid, name, _CORRELATED) for name in names] if len(correlated) == 3 else []
    is_width = isinstance(width, (int, float)) and not isinstance(width, bool) and 0 < width < float("inf")
    if len(set(places)) < 2 or not is_width or any(grid.sizes[place] < 2 for place in places):
        raise UserError(
            f"{_CORRELATED} must name two factors that vary and the width of the line, as in [posX,posY,0.2], got "
            f"{list(correlated)}"
        )
    classes = grid.classes_of(grid_indices.cpu()).double()
    first, second = (classes[:, place] / (grid.sizes[place] - 1) for place in places)
    return (-(first - second).square() / (2 * float(width) ** 2)).exp()


def _held_out(data: FactoredImages, parts: list[Tensor], held_out: HeldOut, seed: int) -> list[Tensor]:
    """The parts, of which the last that has images is the corner, and no other has any of it."""
    grid = data.grid
    every = torch.cat(parts)
    classes = grid.classes_of(data.grid_indices(every).cpu())
    inside = torch.ones(len(every), dtype=torch.bool)
    for name, wanted in held_out.items():
        place = _place(grid, name, _HELD_OUT)
        inside &= torch.isin(classes[:, place], torch.tensor(_classes(grid, place, wanted)))
    last = max(number for number, part in enumerate(parts) if len(part))
    corner = every[inside].sort().values
    if last == 0 or not len(corner):
        raise UserError(f"{_HELD_OUT} holds no image out: there is none of these combinations, or no part for it")
    masks = inside.split([len(part) for part in parts])
    kept = [part[~mask] for part, mask in zip(parts, masks, strict=True)]
    if not len(kept[0]):
        raise UserError(f"{_HELD_OUT} holds all images out, and leaves nothing to train on")
    kept[last] = corner[permutation(len(corner), seed_for(seed, "held out"))[: len(parts[last])]]
    return kept


def _place(grid: FactorGrid, name: Any, setting: str) -> int:
    if name not in grid.names:
        raise UserError(f"{setting}: there is no factor {name}, there are {', '.join(grid.names)}")
    return grid.names.index(name)


def _classes(grid: FactorGrid, place: int, wanted: Any) -> list[int]:
    """The numbers of the classes that are meant."""
    factor, found = grid.factors[place], []
    for one in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        if one in factor.labels:
            found.append(factor.labels.index(one))
            continue
        low, dash, high = str(one).partition("-")
        ends = [low, high if dash else low]
        if isinstance(one, bool) or not all(end.strip().isdecimal() for end in ends):
            known = f"one of {', '.join(factor.labels)}, " if factor.labels else ""
            raise UserError(f"{_HELD_OUT}.{factor.name}: expected {known}a number or a range such as 2-5, got {one!r}")
        first, last = map(int, ends)
        if not first <= last < factor.size:
            raise UserError(f"{_HELD_OUT}.{factor.name}: {one} is not among its classes, 0 to {factor.size - 1}")
        found += range(first, last + 1)
    if not found:
        raise UserError(f"{_HELD_OUT}.{factor.name} names no class")
    return found
