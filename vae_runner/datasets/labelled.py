"""Images whose factors may be known: where they are, by a grid; else pictures say nothing of them, and pairs and scores
that need factors are refused in a line.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import FactoredImages, FactorGrid

__all__ = ["LabelledImages"]


class LabelledImages(FactoredImages, ImageData):
    """A data set that knows its factors where `_grid` is set.

    Example:
        >>> from vae_runner.datasets.factors import Factor
        >>> class Dots(LabelledImages):
        ...     image_shape = provenance = gather = to = fingerprint = __len__ = None
        >>> dots = Dots()
        >>> dots.grid, dots.factors(None), dots.factor_classes
        (None, {}, {})
        >>> dots._grid = FactorGrid([Factor("shape", (0, 1), is_category=True, labels=("square", "heart"))])
        >>> dots.factor_classes
        {'shape': ('square', 'heart')}
    """

    _grid: FactorGrid | None = None

    @property
    def grid(self) -> FactorGrid | None:  # type: ignore[override]
        """The factors; None: they are not known."""
        return self._grid

    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        """As of any set with factors; nothing where they are not known."""
        return {} if self._grid is None else super().factors(indices)

    @property
    def factor_classes(self) -> Mapping[str, Sequence[str]]:
        """As of any set with factors; nothing where they are not known."""
        return {} if self._grid is None else super().factor_classes
