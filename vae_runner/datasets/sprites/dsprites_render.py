"""dSprites drawn from its definition: the data set without the file.

Every image is one white polygon on black, given by five factors: shape, scale k, orientation theta, and the position of
its origin. With outlines (u, v) in pixels at scale 1, v downwards, and the origin at `cx = 16 + 32 posX`,
`cy = 16 + 32 posY`, a vertex lies at

    x = cx + k (cos(theta) u + sin(theta) v),    y = cy + k (-sin(theta) u + cos(theta) v),

and is snapped to 1/256 pixel: `X = floor(256 x + 1/2)`, `Y = floor(256 (64 - y) + 1/2)`, Y upwards. From there on the
arithmetic is in integers and exact. The pixel in row r and column c is white iff its centre
`(256 c + 128, 256 (63 - r) + 128)` is inside the snapped polygon, the rule by which a GPU fills a polygon without
anti-aliasing. A centre exactly on an outline is inside on left and bottom edges, and outside on right and top ones.

An edge crosses the line of centres of a row at one point; it toggles every pixel of the row from the first centre not
left of that point. So a row of an image is the XOR, over the edges that cross it, of the masks "all columns from c on",
64 bits each, which makes the whole set a matter of seconds. The rows an edge crosses depend on posY only, so all 1,024
positions of one (shape, scale, orientation) are drawn together.

The constants were fitted to published frames of the original, which they reproduce. Over the whole set the original has
128,328,862 white pixels and this renderer 128,328,864; an estimated 0.02 % of the images differ from it by one pixel,
for the original's vertices were float32.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FACTOR_SIZES", "RENDERED_SHA256", "WINDOWS_SHA256", "render", "render_images"]

FACTOR_SIZES = (3, 6, 40, 32, 32)  # shape (square, ellipse, heart), scale, orientation, posX, posY; posY varies fastest
RENDERED_SHA256 = "3a228f4037ef3d42a42588e0e01f1078aa2df13cfa17584e88c95ed9fb5672da"  # of all images, as bits
WINDOWS_SHA256 = "43500b5f408402ca422922172227e54cce6ea836807e01562b12bc2e62310b81"  # of all images, as windows

_SIDE = 64  # pixels
_UNIT = 19.2  # pixels: the side of the square at scale 1
_SUBPIXELS = 256  # steps per pixel that vertices are snapped to
_SCALES = np.linspace(0.5, 1, 6)
_ANGLES = np.linspace(0, 2 * np.pi, 40)  # the end point is included: orientations 0 and 39 are the same
_CENTRES = 16 + 32 * np.linspace(0, 1, 32)  # pixels from the left and from the top
_ROW_CENTRES = _SUBPIXELS * (_SIDE - 1 - np.arange(_SIDE)) + _SUBPIXELS // 2  # Y of each row, the top row first
_COLUMNS_FROM = np.packbits(np.arange(_SIDE) >= np.arange(_SIDE + 1)[:, None], axis=1).view(np.uint64)[:, 0]

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]
_Rows = NDArray[np.uint64]  # one row of an image each: its 64 pixels in the order of np.packbits


def render() -> Iterator[_Rows]:
    """Draw the whole set, the 1,024 positions of one turned shape at a time.

    Yields:
        (1024, 64) uint64: the rows of each image.
    """
    for shape, scale, orientation in np.ndindex(FACTOR_SIZES[:3]):
        yield _draw(_sprite(shape, scale, orientation), _CENTRES, _CENTRES).reshape(-1, _SIDE)


def render_images(indices: ArrayLike) -> NDArray[np.uint8]:
    """Draw the images at the given (n,) indices only, one by one.

    Returns:
        (n, 64, 64) uint8 of zeros and ones.

    Raises:
        ValueError: where an index is outside the set.
    """
    rows = np.empty((len(np.asarray(indices)), _SIDE), np.uint64)
    codes = np.stack(np.unravel_index(np.asarray(indices), FACTOR_SIZES), axis=-1)
    for image, (shape, scale, orientation, x, y) in zip(rows, codes, strict=True):
        image[:] = _draw(_sprite(shape, scale, orientation), _CENTRES[x : x + 1], _CENTRES[y : y + 1])
    return np.unpackbits(rows.view(np.uint8), axis=1).reshape(-1, _SIDE, _SIDE)


def _outlines() -> tuple[_Floats, _Floats, _Floats]:
    """Square, ellipse and heart at scale 1, as (vertices, 2) pixels: u to the right, v downwards."""
    half = _UNIT / 2
    square = half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    t = 2 * np.pi * np.arange(100) / 100
    ellipse = half * np.stack([1.33 * np.cos(t), np.sin(t) / 1.33], axis=1)
    t = 2 * np.pi * np.arange(150) / 150
    height = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 29 + 0.075
    heart = np.stack([half * np.sin(t) ** 3, -_UNIT * height], axis=1)
    return square, ellipse, heart


_OUTLINES = _outlines()


def _sprite(shape: int, scale: int, orientation: int) -> _Floats:
    """One shape scaled and turned counter-clockwise: (vertices, 2) pixels from its origin, x right, y downwards."""
    u, v = _OUTLINES[shape].T
    cos, sin = np.cos(_ANGLES[orientation]), np.sin(_ANGLES[orientation])
    return _SCALES[scale] * np.stack([cos * u + sin * v, -sin * u + cos * v], axis=1)


def _draw(sprite: _Floats, cx: _Floats, cy: _Floats) -> _Rows:
    """The sprite at every position of the grid cx (P,) x cy (Q,), pixels. Returns (P, Q, 64)."""
    x, y = sprite.T
    x = _snap(x[:, None] + cx)  # (vertices, P)
    y = _snap(_SIDE - (y[:, None] + cy))  # (vertices, Q), upwards
    line, edge = _crossings(y)
    masks = _COLUMNS_FROM[_first_columns(x, y, line, edge)]  # (crossings, P)
    starts = np.flatnonzero(np.diff(line, prepend=-1))
    rows = np.zeros((len(cx), len(cy) * _SIDE), np.uint64)
    rows[:, line[starts]] = np.bitwise_xor.reduceat(masks, starts, axis=0).T
    return rows.reshape(len(cx), len(cy), _SIDE)


def _snap(pixels: _Floats) -> _Integers:
    return np.floor(_SUBPIXELS * pixels + 0.5).astype(np.int64)


def _crossings(y: _Integers) -> tuple[_Integers, _Integers]:
    """Which edges cross which rows, for vertex heights y (vertices, Q); edge i goes from vertex i to the next one.

    Returns:
        for each crossing its line `q * 64 + row`, in rising order, and its edge. An edge holds its lower end and not
        its upper one: every vertex is counted once, and bottom edges are in and top edges out.
    """
    ends = y.T[:, None], np.roll(y, -1, axis=0).T[:, None]  # (Q, 1, vertices)
    level = _ROW_CENTRES[:, None]
    crossed = (np.minimum(*ends) <= level) & (level < np.maximum(*ends))  # (Q, 64, edges)
    return np.divmod(np.flatnonzero(crossed), len(y))


def _first_columns(x: _Integers, y: _Integers, line: _Integers, edge: _Integers) -> _Integers:
    """The first column with its centre on or right of each crossing, 0 to 64, at each x position: (crossings, P).

    With the edge from (X, Y) to (X + dX, Y + dY), a crossing at height Y + h is at X + h dX / dY, hence the column
    ceil((h dX + (X - 128) dY) / (256 dY)), whatever the sign of dY.
    """
    q, row = np.divmod(line, _SIDE)
    dx = (np.roll(x, -1, axis=0) - x)[edge]
    dy = (np.roll(y, -1, axis=0) - y)[edge, q][:, None]
    h = (_ROW_CENTRES[row] - y[edge, q])[:, None]
    column = -((h * dx + (x[edge] - _SUBPIXELS // 2) * dy) // (-_SUBPIXELS * dy))
    return np.clip(column, 0, _SIDE)
