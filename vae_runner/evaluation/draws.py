"""Draws from a table of codes, with replacement, by the factors of the images: a score's batches.

A batch with a factor fixed holds images of one class of it: the class of an image that is drawn from all, as Locatello
et al. 2019 (arXiv 1811.12359) do on whole grids. Here only images of the table are drawn, so that a score of held back
images sees no others. Draws follow from the generator alone.
"""

from typing import Any

import numpy as np

from vae_runner.evaluation.score import Array, as_pair, varying

__all__ = ["Draws"]


class Draws:
    """Batches of the codes (N, D) of images whose factors are the classes (N, K). Factors of one value are never fixed.

    Raises:
        UserError: No factor has more than one value.

    Example:
        >>> draws = Draws(np.array([[1.0], [2.0], [1.5]]), np.array([[0], [1], [0]]), seed=0)
        >>> {tuple(batch) for batch in np.sort(draws.fixed(np.zeros(50, int), batch=2)[..., 0]).tolist()} <= {
        ...     (1.0, 1.0), (1.0, 1.5), (1.5, 1.5), (2.0, 2.0)
        ... }
        True
    """

    def __init__(self, codes: Any, factors: Any, seed: int) -> None:
        self.codes, self.factors = as_pair(codes, factors)
        self.places = varying(self.factors)
        self.generator = np.random.default_rng(seed)
        self._groups = {place: _Groups(self.factors[:, place]) for place in self.places.tolist()}

    def rows(self, count: int) -> Array:
        """Returns `count` rows of the table, (count,) int64, each with the same chance."""
        return self.generator.integers(len(self.codes), size=count)

    def of_places(self, count: int) -> Array:
        """Returns factors to fix, (count,) int64, each of those that vary with the same chance."""
        return self.generator.choice(self.places, count)

    def fixed(self, places: Array, batch: int) -> Array:
        """Returns, for each factor of `places` (M,), the codes of a batch that has one class of it: (M, batch, D)."""
        first = self.rows(len(places))
        return self.codes[self._like(np.repeat(first[:, None], batch, 1), places)]

    def pairs(self, places: Array, batch: int) -> tuple[Array, Array]:
        """Returns, for each factor of `places` (M,), `batch` pairs of codes that share its class and nothing else that
        is not shared by chance: (M, batch, D) twice.
        """
        first = self.rows(len(places) * batch).reshape(len(places), batch)
        return self.codes[first], self.codes[self._like(first, places)]

    def _like(self, rows: Array, places: Array) -> Array:
        """For each of the rows (M, B) one that has the same class of the factor of its line, places (M,)."""
        found = np.empty_like(rows)
        for place, groups in self._groups.items():
            lines = places == place
            found[lines] = groups.like(rows[lines], self.generator)
        return found


class _Groups:
    """The rows of each class of one factor."""

    def __init__(self, classes: Array) -> None:
        _, self._class_of, self._counts = np.unique(classes, return_inverse=True, return_counts=True)
        self._order = np.argsort(self._class_of, kind="stable")
        self._starts = np.cumsum(self._counts) - self._counts

    def like(self, rows: Array, generator: np.random.Generator) -> Array:
        """For each of the rows, one of its class."""
        which = self._class_of[rows]
        return self._order[self._starts[which] + generator.integers(self._counts[which])]
