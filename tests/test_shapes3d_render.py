"""The light of rendered scenes, compared with distances by the textbook, with a closed form, and with its checksum."""

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from vae_runner.datasets.scenes import shapes3d_render
from vae_runner.datasets.scenes.solids import Ball, Capsule, Cube, Cylinder, Solid

FLOOR, WALL, OBJECT, SHINE = range(4)
RADII = [0.62 + 0.63 * scale / 7 for scale in range(8)]


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    """All buffers by scale, shape and orientation, (8, 4, 15, 4, 64, 64)."""
    return shapes3d_render.render().reshape(8, 4, 15, 4, 64, 64)


def test_the_light_has_the_checksum_that_the_cache_expects(light: np.ndarray) -> None:
    assert hashlib.sha256(light).hexdigest() == shapes3d_render.RENDERED_SHA256


def rounded(box: np.ndarray, radius: float = 0.04) -> np.ndarray:
    """The distance to a rounded box, by its usual formula, from (..., D) beyond its faces."""
    outside = np.maximum(box + radius, 0)
    return np.sqrt((outside**2).sum(-1)) + np.minimum((box + radius).max(-1), 0) - radius


def cube(x: np.ndarray, r: float) -> np.ndarray:
    return rounded(np.abs(x - [0, 0.85 * r, 0]) - 0.85 * r)


def cylinder(x: np.ndarray, r: float) -> np.ndarray:
    return rounded(np.stack([np.hypot(x[..., 0], x[..., 2]) - 0.8 * r, np.abs(x[..., 1] - r) - r], -1))


def ball(x: np.ndarray, r: float) -> np.ndarray:
    return np.linalg.norm(x - [0, r, 0], axis=-1) - r


def capsule(x: np.ndarray, r: float) -> np.ndarray:
    return (
        np.linalg.norm(x - np.stack([0 * x[..., 1], x[..., 1].clip(0.7 * r, 1.3 * r), 0 * x[..., 1]], -1), axis=-1)
        - 0.7 * r
    )


KINDS: list[tuple[type[Solid], Callable[[np.ndarray, float], np.ndarray]]] = [
    (Cube, cube), (Cylinder, cylinder), (Ball, ball), (Capsule, capsule),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "distance"), KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("radius", [RADII[0], RADII[-1]])
def test_a_ray_enters_a_solid_where_its_distance_becomes_zero(kind: type, distance: Callable, radius: float) -> None:
    draw = np.random.default_rng(0)
    origin = np.array([3.0, 2.5, 4.0])
    aim = draw.normal(size=(300, 3)) * radius + [0, radius, 0]
    rays = (aim - origin) / np.linalg.norm(aim - origin, axis=1, keepdims=True)
    t = kind(radius).entry(*(tuple(part.astype(np.float32) for part in each) for each in (origin, rays.T)))
    steps = np.linspace(2, 10, 3200)
    along = distance(origin + steps[:, None, None] * rays, radius)  # (steps, rays)
    least, hit = along.min(0), np.isfinite(t)
    assert 50 < hit.sum() < 250
    assert (least[hit] < 0.002).all()
    assert (least[~hit] > -0.002).all()
    assert np.abs(distance(origin + t[hit, None] * rays[hit], radius)).max() < 3e-4
    first = steps[(along < -0.001).argmax(0)]  # where the scan finds itself inside
    inside = hit & (least < -0.05)
    assert np.abs(t - first)[inside].max() < 0.1
    assert (t - first)[inside].max() < 1e-3


@pytest.mark.parametrize(("kind", "distance"), KINDS, ids=lambda kind: kind.__name__)
def test_the_normal_is_the_gradient_of_the_distance(kind: type, distance: Callable) -> None:
    origin, aim = np.array([3.0, 2.5, 4.0]), np.random.default_rng(1).normal(size=(300, 3)) * 0.5 + [0, 1, 0]
    rays = (aim - origin) / np.linalg.norm(aim - origin, axis=1, keepdims=True)
    solid = kind(1.0)
    t = solid.entry(*(tuple(part.astype(np.float32) for part in each) for each in (origin, rays.T)))
    points = (origin + t[:, None] * rays)[np.isfinite(t)]
    normal = np.stack(solid.normal(tuple(points.T.astype(np.float32))), 1)
    steps = 1e-4 * np.eye(3)
    slope = np.stack([(distance(points + step, 1) - distance(points - step, 1)) / 2e-4 for step in steps], 1)
    assert np.abs(normal - slope).max() < 0.02


def dots(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(-1)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def meets_ball(origin: np.ndarray, rays: np.ndarray, r: float) -> np.ndarray:
    """By the quadratic equation; infinite where it has no positive root."""
    centre = origin - [0, r, 0]
    half, rest = dots(centre, rays), dots(centre, centre) - r * r
    root = half**2 - rest
    t = -half - np.sqrt(np.maximum(root, 0))
    return np.where((root > 0) & (t > 0), t, np.inf)


def ball_in_its_room(angle: float, r: float) -> np.ndarray:
    """The light of a ball in double precision, (4, 64, 64), every ray asking for all points of the lamp."""
    turn, count = math.radians(angle), 256
    camera = np.array([5.6 * math.sin(turn), 2.9, 5.6 * math.cos(turn)])
    forward = unit(np.array([0, 0.75, 0]) - camera)
    right = unit(np.cross(forward, [0, 1, 0]))
    up = np.cross(right, forward)
    steps = ((np.arange(count) + 0.5) / count * 2 - 1) * math.tan(math.radians(21))
    rays = unit(forward + steps[None, :, None] * right - steps[:, None, None] * up)
    hit = meets_ball(camera, rays, r)
    planes = [(0, 1, 0, 0.0), (1, 0, 0, -2.6), (-1, 0, 0, -2.6), (0, 0, 1, -2.6)]  # inner normal, offset
    with np.errstate(divide="ignore"):
        leaves = [
            np.where(rays @ n[:3] < 0, (n[3] - camera @ n[:3]) / (rays @ n[:3]), np.inf) for n in np.array(planes)
        ]
    plane, out = np.argmin(leaves, 0), np.min(leaves, 0)
    lamp, on_ball = np.array([2.2, 4.6, 3.4]), np.isfinite(hit)
    points = camera + np.where(on_ball, hit, out)[..., None] * rays
    normal = np.where(on_ball[..., None], (points - [0, r, 0]) / r, np.array(planes)[plane, :3])
    to_lamp = unit(lamp - points)
    diffuse = np.maximum(dots(normal, to_lamp), 0)
    lit = np.zeros(out.shape)
    for x in (-0.45, -0.15, 0.15, 0.45):
        for z in (-0.45, -0.15, 0.15, 0.45):
            lit += np.isinf(meets_ball(points, unit(lamp + np.array([x, 0, z]) - points), r)) / 16
    shade = 0.34 + 0.66 * diffuse * (0.35 + 0.65 * np.where(on_ball, 1, lit))
    shine = 0.35 * np.maximum(dots(normal, unit(to_lamp - rays)), 0) ** 40 * (on_ball & (diffuse > 0))
    parts = [~on_ball & (plane == 0), ~on_ball & (plane > 0), on_ball]
    layers = [*(shade * part for part in parts), shine]
    return 255 * np.stack([layer.reshape(64, 4, 64, 4).mean((1, 3)) for layer in layers])


@pytest.mark.parametrize(("scale", "orientation"), [(0, 0), (4, 9), (7, 14)])
def test_a_ball_in_its_room_is_lit_as_double_precision_and_the_quadratic_equation_say(
    light: np.ndarray, scale: int, orientation: int
) -> None:
    expected = ball_in_its_room(-30 + 60 * orientation / 14, RADII[scale])
    difference = np.abs(light[scale, 2, orientation] - expected)
    assert difference.mean() < 0.3  # of which rounding is a quarter
    assert difference[[OBJECT, SHINE]].max() < 1
    assert difference.max() < 24  # in half-shadows, where each ray asks for one point of the lamp


def test_the_corner_of_the_room_moves_with_the_orientation_as_a_projection_says(light: np.ndarray) -> None:
    for orientation in range(6):  # from where its right corner is in view
        turn = math.radians(-30 + 60 * orientation / 14)
        x, z = 2.6 * math.cos(turn) + 2.6 * math.sin(turn), 2.6 * math.sin(turn) - 2.6 * math.cos(turn)
        camera = np.array([0, 2.9, 5.6])  # the room has turned in its place
        ahead = unit(np.array([0, 0.75, 0]) - camera)
        top = np.array([x, 0, z]) - camera
        up = np.cross([1, 0, 0], ahead)
        height = math.tan(math.radians(21)) * 63 / 64  # of the middle of the first row
        # the point of the corner's edge that is seen there: top + s (0, 1, 0)
        s = (height * dots(top, ahead) - dots(top, up)) / (up[1] - height * ahead[1])
        depth = dots(top + np.array([0, s, 0]), ahead)
        column = (top[0] / depth / math.tan(math.radians(21)) + 1) * 32
        row = light[0, 0, orientation, WALL, 0].astype(int)
        assert abs(np.abs(np.diff(row)).argmax() + 1 - column) < 1


def test_the_object_grows_with_the_scale_and_keeps_its_foot(light: np.ndarray) -> None:
    seen = light[:, :, :, OBJECT] > 0
    area = seen.sum((-2, -1))
    assert (np.diff(area, axis=0) > 0).all()
    assert seen[..., 40, 32].all()  # near the axis of the room, on the floor


def test_parts_of_a_pixel_never_add_up_to_more_than_all_of_it(light: np.ndarray) -> None:
    assert light[:, :, :, :SHINE].astype(int).sum(3).max() <= 256


@pytest.mark.slow
def test_light_and_images_are_the_same_to_the_bit_whatever_the_width_of_vectors(light: np.ndarray) -> None:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    wide = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    code = (
        "import hashlib, torch; from vae_runner.datasets.scenes import shapes3d_render as r; "
        "from vae_runner.datasets.scenes.composed import ComposedImages; "
        "from vae_runner.datasets.scenes.shapes3d import _colours; light = r.render(); "
        "images = ComposedImages(torch.from_numpy(light), torch.from_numpy(_colours()));"
        "found = images.gather(torch.arange(0, 480000, 4799)); "
        "print(hashlib.sha256(light).hexdigest(), hashlib.sha256(found.numpy()).hexdigest())"
    )
    narrow = {"NPY_DISABLE_CPU_FEATURES": " ".join(wide), "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    found = [
        subprocess.run([sys.executable, "-c", code], env=os.environ | more, check=True, capture_output=True).stdout
        for more in (narrow, {"OMP_NUM_THREADS": "2"})
    ]
    assert found[0] == found[1]
    assert found[0].split()[0].decode() == shapes3d_render.RENDERED_SHA256
