"""Rounded convex solids, and where a ray enters one.

A solid is all points within a radius rho of a convex core K: of a box or an upright cylinder, for rounded edges, of a
line for a capsule, of a point for a ball. With away(p) = p - the point of K nearest to p,

    gap(p) = |away(p)| - rho,    grad gap(p) = away(p) / |away(p)|,

the distance to the surface and its normal. Along a ray p + t d the gap is a convex function of t, for K is convex. So
Newton's steps, t <- t - gap / (grad gap . d), from a point outside never pass the first root, and come to it
quadratically; a ray that still has a gap where the gap no longer falls misses. A few steps take the place of the dozens
of sphere tracing.

Single precision, and no operation but those that IEEE 754 rounds exactly (+ - * / sqrt, comparisons), each on its own:
the results are the same to the bit on every machine.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ball", "Capsule", "Cube", "Cylinder", "Floats", "Solid", "Vector", "dot", "normalised"]
__all__ += ["taken"]

Floats = NDArray[np.float32]
Vector = tuple[Floats, Floats, Floats]  # x to the right, y up, z towards the viewer; each of one shape, or a number

_EDGE = 0.04  # radius of rounded edges
_NEAR = np.float32(1e-4)  # a gap that is none
_STEPS = 24  # of Newton's method, at most; grazing rays, whose root is nearly double, take the most
_TINY = np.float32(1e-12)


class Solid(ABC):
    """One that stands on the floor, y = 0, at x = z = 0.

    Args:
        radius: what its sizes are multiples of.

    Attributes:
        height: of its centre above the floor.
        reach: the radius of a ball around its centre that holds all of it.
        rho: the radius around its core.

    Example:
        >>> [solid(1.0).height for solid in (Cube, Cylinder, Ball, Capsule)]
        [0.85, 1.0, 1.0, 1.0]
    """

    height: float
    reach: float
    rho: float

    @abstractmethod
    def away(self, x: Floats, y: Floats, z: Floats) -> Vector:
        """From the nearest point of the core to points, by their places from the centre of the solid."""

    def normal(self, point: Vector) -> Vector:
        """The outer normal at points of the surface, of length 1."""
        x, y, z = point
        return normalised(self.away(x, y - np.float32(self.height), z))

    def entry(self, origin: Vector, direction: Vector) -> Floats:
        """Where each ray, direction (N,) of length 1, enters the solid first: t (N,), infinite for those that miss."""
        x, y, z = origin
        x, y, z = np.broadcast_arrays(x, y - np.float32(self.height), z, direction[0])[:3]
        along = -dot((x, y, z), direction)
        beside = dot((x, y, z), (x, y, z)) - along * along  # squared distance of the line from the centre
        half = np.float32(self.reach * self.reach) - beside
        found = np.full(along.shape, np.inf, np.float32)
        near = np.flatnonzero((half > 0) & (along > 0))
        start = np.maximum(along[near] - np.sqrt(half[near]), np.float32(0))
        found[near] = self._roots(taken((x, y, z), near), taken(direction, near), start)
        return found

    def _roots(self, origin: Vector, direction: Vector, t: Floats) -> Floats:
        """Newton's method for the gap, from points outside the solid on; infinite where there is no root."""
        found, rays = np.full(t.shape, np.inf, np.float32), np.arange(len(t))
        for _ in range(_STEPS):
            away = self.away(*(start + t * step for start, step in zip(origin, direction, strict=True)))
            length: Floats = np.maximum(np.sqrt(dot(away, away)), _TINY)
            gap, slope = length - np.float32(self.rho), dot(away, direction) / length
            is_there = gap < _NEAR
            found[rays[is_there]] = t[is_there]
            going = np.flatnonzero(~is_there & (slope < -_TINY))
            if not len(going):
                break
            t = t[going] - gap[going] / slope[going]
            rays, origin, direction = rays[going], taken(origin, going), taken(direction, going)
        return found


class Cube(Solid):
    """Half sides of 0.85 radii, rounded.

    Example:
        >>> zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
        >>> round(Cube(1.0).entry((zero, 5 * one, zero), (zero, -one, zero)).item(), 3)  # from above
        3.3
    """

    def __init__(self, radius: float) -> None:
        self.height = 0.85 * radius
        self.reach = 3**0.5 * self.height
        self.rho = _EDGE
        self._half = np.float32(self.height - _EDGE)

    def away(self, x: Floats, y: Floats, z: Floats) -> Vector:
        return _beyond(x, self._half), _beyond(y, self._half), _beyond(z, self._half)


class Cylinder(Solid):
    """Upright, of 0.8 radii and a height of two, rounded.

    Example:
        >>> zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
        >>> Cylinder(1.0).entry((zero, 5 * one, zero), (zero, -one, zero)).round(2).tolist()  # from above
        [3.0]
    """

    def __init__(self, radius: float) -> None:
        self.height = radius
        self.reach = 1.64**0.5 * radius
        self.rho = _EDGE
        self._half, self._wide = np.float32(radius - _EDGE), np.float32(0.8 * radius - _EDGE)

    def away(self, x: Floats, y: Floats, z: Floats) -> Vector:
        wide: Floats = np.maximum(np.sqrt(x * x + z * z), _TINY)
        part = _beyond(wide, self._wide) / wide
        return x * part, _beyond(y, self._half), z * part


class Ball(Solid):
    """Of one radius.

    Example:
        >>> zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
        >>> Ball(1.0).entry((zero, 5 * one, zero), (zero, -one, zero)).round(2).tolist()  # from above
        [3.0]
    """

    def __init__(self, radius: float) -> None:
        self.height = self.reach = self.rho = radius

    def away(self, x: Floats, y: Floats, z: Floats) -> Vector:
        return x, y, z


class Capsule(Solid):
    """Upright, of 0.7 radii and a height of two.

    Example:
        >>> zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
        >>> Capsule(1.0).entry((zero, 5 * one, zero), (zero, -one, zero)).round(2).tolist()  # from above
        [3.0]
    """

    def __init__(self, radius: float) -> None:
        self.height = self.reach = radius
        self.rho = 0.7 * radius
        self._half = np.float32(radius - self.rho)

    def away(self, x: Floats, y: Floats, z: Floats) -> Vector:
        return x, _beyond(y, self._half), z


def dot(one: Vector, other: Vector) -> Floats:
    """Products of vectors, summed in one order."""
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def normalised(vector: Vector) -> Vector:
    """Of length 1; 0 stays 0."""
    length: Floats = np.maximum(np.sqrt(dot(vector, vector)), _TINY)
    scale = np.float32(1) / length
    return vector[0] * scale, vector[1] * scale, vector[2] * scale


def taken(vector: Vector, places: NDArray[np.intp]) -> Vector:
    """Those at some places."""
    return vector[0][places], vector[1][places], vector[2][places]


def _beyond(value: Floats, half: np.float32) -> Floats:
    """How far outside [-half, half]."""
    return value - np.minimum(np.maximum(value, -half), half)
