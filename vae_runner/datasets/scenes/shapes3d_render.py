"""Shapes3D drawn here: how much light each pixel gets, for every shape, scale and orientation of the object.

The published set shows a solid on the floor of a room, whose three hues, of floor, wall and object, say nothing about
where the light falls. So an image is a sum over what is seen in a pixel,

    image = floor F + wall W + object O + H,

with colours floor, wall, object and four numbers for each pixel: the parts F, W, O of the pixel that show the floor,
the walls and the object, each times its shade, and the highlight H on the object. 8 x 4 x 15 such buffers of
64 x 64 x 4 bytes, 7.9 MB, hold all 480,000 images; `composed` multiplies the colours in.

The room is -2.6 <= x, z <= 2.6 with the floor at y = 0, a wall behind and one on each side. The camera, 5.6 from the
axis x = z = 0 and 2.9 above the floor, looks at (0, 0.75, 0) with half a field of view of 21 degrees; the orientation
is its angle about the axis. Each pixel is the mean of 4 x 4 rays. With the unit vectors n of the surface, l to the
lamp, v to the camera, and h halfway between l and v,

    shade = 0.34 + 0.66 max(n . l, 0) (0.35 + 0.65 lit),    H = 0.35 max(n . h, 0)^40 on the object,

lit being whether a ray to the lamp is free: each of the 16 rays of a pixel asks for another of 16 points of the lamp,
a square of side 1.2, which makes shadows soft. The solid is convex, and so shades itself by n . l alone.

The pictures are our own, not those of the published file: they have its factors, sizes and order. All is in single
precision with exactly rounded operations, in one order (see `solids`), and then rounded to bytes: the buffers are the
same to the bit on every machine, and have a checksum.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.scenes.solids import (
    Ball,
    Capsule,
    Cube,
    Cylinder,
    Floats,
    Solid,
    Vector,
    dot,
    normalised,
    taken,
)

__all__ = ["ANGLES", "GEOMETRIES", "RENDERED_SHA256", "SHAPES", "SIDE", "render"]

SHAPES: dict[str, Callable[[float], Solid]] = {"cube": Cube, "cylinder": Cylinder, "sphere": Ball, "capsule": Capsule}
ANGLES = tuple(-30 + 60 * step / 14 for step in range(15))  # degrees
GEOMETRIES = (8, len(SHAPES), len(ANGLES))  # scales, shapes, orientations; the last varies fastest
SIDE = 64  # pixels
RENDERED_SHA256 = "f16938af2fd006400b8e4417cec4bc178b9af40328395259ca31d2f5aede6961"  # of what render() returns

_SAMPLES = 4  # rays along each side of a pixel
_RADII = tuple(0.62 + 0.63 * step / 7 for step in range(8))
_WALL = np.float32(2.6)
_DISTANCE, _HEIGHT, _LOOK = 5.6, 2.9, 0.75
_FIELD = 0.383864035  # tan 21 degrees
_LAMP, _LAMP_SIDE = (2.2, 4.6, 3.4), 1.2
_NONE, _TINY = np.float32(0), np.float32(1e-6)


def render(progress: Callable[[int], object] | None = None) -> NDArray[np.uint8]:
    """Draw all buffers; `progress` is called with the number of buffers each time that some are done.

    Returns:
        (480, 4, 64, 64) uint8, in the order of `GEOMETRIES`, of F, W, O and H, 255 for 1.
    """
    buffers = np.empty((*GEOMETRIES, 4, SIDE, SIDE), np.uint8)
    for place, angle in enumerate(ANGLES):
        view = _View(angle)
        for scale, radius in enumerate(_RADII):
            for shape, kind in enumerate(SHAPES.values()):
                buffers[scale, shape, place] = view.buffer(kind(radius))
                if progress is not None:
                    progress(1)
    return buffers.reshape(-1, 4, SIDE, SIDE)


class _View:
    """The room as it is seen at an angle, in degrees, with all that does not depend on the solid in it."""

    def __init__(self, angle: float) -> None:
        self.camera, self.rays = _camera(angle)
        t, self.is_floor, is_side = _room(self.camera, self.rays)
        self.points = _at(self.camera, self.rays, t)
        light = normalised(_between(self.points, _constant(_LAMP)))
        inwards = np.where(is_side, np.where(self.points[0] < 0, light[0], -light[0]), light[2])
        self.diffuse = np.maximum(np.where(self.is_floor, light[1], inwards), _NONE)
        self.to_lamp = normalised(_between(self.points, _lamp_points()))

    def buffer(self, solid: Solid) -> NDArray[np.uint8]:
        """(4, 64, 64)."""
        t = solid.entry(self.camera, self.rays)
        is_solid = np.isfinite(t)
        seen = np.flatnonzero(is_solid)
        lit = np.isinf(solid.entry(self.points, self.to_lamp)).astype(np.float32)
        shade, bright = _shade(self.diffuse, lit), np.zeros(t.shape, np.float32)
        shade[seen], bright[seen] = self._on(solid, taken(self.rays, seen), t[seen])
        parts = (self.is_floor & ~is_solid, ~self.is_floor & ~is_solid, is_solid)
        return np.stack([_pixels(np.where(part, shade, _NONE)) for part in parts] + [_pixels(bright)])

    def _on(self, solid: Solid, rays: Vector, t: Floats) -> tuple[Floats, Floats]:
        """The shade and the highlight of the solid where the rays meet it."""
        points = _at(self.camera, rays, t)
        normal, light = solid.normal(points), normalised(_between(points, _constant(_LAMP)))
        half = normalised((light[0] - rays[0], light[1] - rays[1], light[2] - rays[2]))
        diffuse = np.maximum(dot(normal, light), _NONE)
        glance = np.where(diffuse > 0, np.maximum(dot(normal, half), _NONE), _NONE)
        to_8 = _squared(_squared(_squared(glance)))
        return _shade(diffuse, np.float32(1)), np.float32(0.35) * (to_8 * _squared(_squared(to_8)))


def _camera(angle: float) -> tuple[Vector, Vector]:
    """The place of the camera, and the directions of all rays, (N,), in rows from the top left."""
    # rounded so far that the last digits of a machine's sine do not matter
    sin, cos = round(math.sin(math.radians(angle)), 9), round(math.cos(math.radians(angle)), 9)
    down = _HEIGHT - _LOOK
    length = math.sqrt(_DISTANCE * _DISTANCE + down * down)
    level, fall = np.float32(_DISTANCE / length), np.float32(down / length)
    count = SIDE * _SAMPLES
    steps = (np.arange(1 - count, count, 2) * (_FIELD / count)).astype(np.float32)
    right, up = np.tile(steps, count), np.repeat(-steps, count)
    ahead = level + up * fall  # of directions: ahead is (-level sin, -fall, -level cos), right (cos, 0, -sin)
    x = right * np.float32(cos) - ahead * np.float32(sin)
    z = -right * np.float32(sin) - ahead * np.float32(cos)
    return _constant((_DISTANCE * sin, _HEIGHT, _DISTANCE * cos)), normalised((x, up * level - fall, z))


def _room(camera: Vector, rays: Vector) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Where each ray leaves the room, whether that is through the floor, and whether, else, through a side."""
    x, y, z = rays
    side = (_WALL - np.where(x < 0, -camera[0], camera[0])) / np.maximum(np.abs(x), _TINY)
    back = (_WALL + camera[2]) / np.maximum(-z, _TINY)
    floor = camera[1] / np.maximum(-y, _TINY)
    wall = np.minimum(side, back)
    return np.minimum(floor, wall), floor < wall, side < back


def _lamp_points() -> Vector:
    """The point of the lamp that each ray asks for, in an order in which neighbours are apart."""
    rank = np.arange(_SAMPLES * _SAMPLES).reshape(_SAMPLES, _SAMPLES) * 7 % _SAMPLES**2
    steps = (np.arange(1 - _SAMPLES, _SAMPLES, 2) * (_LAMP_SIDE / 2 / _SAMPLES)).astype(np.float32)
    x, y, z = _constant(_LAMP)
    across, along = (np.tile(steps[part], (SIDE, SIDE)).ravel() for part in (rank // _SAMPLES, rank % _SAMPLES))
    return x + across, y, z + along


def _pixels(samples: Floats) -> NDArray[np.uint8]:
    """The mean over the rays of each pixel, summed in one order, as bytes."""
    grid = samples.reshape(SIDE, _SAMPLES, SIDE, _SAMPLES)
    total = np.zeros((SIDE, SIDE), np.float32)
    for row in range(_SAMPLES):
        for column in range(_SAMPLES):
            total += grid[:, row, :, column]
    return np.floor(total * np.float32(255 / _SAMPLES**2) + np.float32(0.5)).astype(np.uint8)


def _shade(diffuse: Floats, lit: Floats | np.float32) -> Floats:
    return np.float32(0.34) + np.float32(0.66) * (diffuse * (np.float32(0.35) + np.float32(0.65) * lit))


def _constant(vector: tuple[float, float, float]) -> Vector:
    x, y, z = (np.asarray(value, np.float32) for value in vector)
    return x, y, z


def _between(start: Vector, end: Vector) -> Vector:
    return end[0] - start[0], end[1] - start[1], end[2] - start[2]


def _at(origin: Vector, direction: Vector, t: Floats) -> Vector:
    return origin[0] + t * direction[0], origin[1] + t * direction[1], origin[2] + t * direction[2]


def _squared(value: Floats) -> Floats:
    return value * value
