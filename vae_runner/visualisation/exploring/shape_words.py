"""Words for what puts numbers at other places, and for what resizes images.

Registers hold an array row by row, whatever its strides in torch: so what only looks at an array in another way is
found out by looking at its places 0, 1, 2, ... in that way; where these stay in order, nothing is to be done. What
resizes an image linearly is a matrix for its rows and one for its columns, those of single pixels resized.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vae_runner.visualisation.exploring.vocabulary import Says, Unknown, word

__all__ = ["COPIES", "RESIZED", "VIEWS"]

VIEWS = (
    *("alias", "detach", "expand", "permute", "select", "slice", "split", "split_with_sizes", "squeeze", "t"),
    *("transpose", "unbind", "unsafe_split", "unsqueeze", "view", "_unsafe_view", "_reshape_alias"),
)
COPIES = ("clone", "_to_copy", "contiguous", "lift_fresh")
RESIZED = ("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_nearest_exact2d")


@word(*VIEWS)
def _view(says: Says, x: Tensor, *arguments: Any, **named: Any) -> Any:
    numbered = torch.arange(x.numel()).view(x.shape)
    seen = says.func(numbered, *arguments, **named)
    found = [_seen(says, x, one) for one in (seen if isinstance(seen, (list, tuple)) else [seen])]
    return found if isinstance(seen, (list, tuple)) else found[0]


def _seen(says: Says, x: Tensor, view: Tensor) -> int | None:
    if view.is_contiguous() and view.storage_offset() == 0 and view.numel() == x.numel():
        return says.place(x)
    strides, offset = list(view.stride()), view.storage_offset()
    return says.step("strided", [says.place(x)], view.shape, strides=strides, offset=offset)


@word(*COPIES)
def _copy(says: Says, x: Tensor, **_: Any) -> int | None:
    if not says.made.is_floating_point():
        raise Unknown("makes whole numbers")
    return says.place(x)


@word("repeat")
def _repeat(says: Says, x: Tensor, repeats: Sequence[int]) -> int:
    lengths = [1] * (len(repeats) - x.dim()) + list(x.shape)
    strides = torch.empty(lengths).stride()
    shape = [size for count, length in zip(repeats, lengths, strict=True) for size in (count, length)]
    over = [stride for one in strides for stride in (0, one)]
    return says.step("strided", [says.place(x)], shape, strides=over, offset=0)


@word("pixel_shuffle")
def _pixel_shuffle(says: Says, x: Tensor, by: int) -> int | None:
    n, channels, high, wide = x.shape
    numbered = torch.arange(x.numel()).view(n, channels // by**2, by, by, high, wide)
    return _seen(says, x, numbered.permute(0, 1, 4, 2, 5, 3))


@word("cat", "stack")
def _cat(says: Says, parts: Sequence[Tensor], dim: int = 0) -> int | None:
    if len(parts) == 1:
        return says.place(parts[0])
    axis = dim % says.made.dim()
    lengths = [math.prod(part.shape[axis:]) for part in parts]
    return says.step("cat", [says.place(part) for part in parts], says.made.shape, lengths=lengths)


@word("constant_pad_nd")
def _pad(says: Says, x: Tensor, pad: Sequence[int], value: float = 0) -> int:
    if min(pad) < 0:
        raise Unknown("cuts")
    over = list(torch.empty(says.made.shape).stride())
    before = [0] * (x.dim() - len(pad) // 2) + list(pad[-2::-2])
    offset = sum(count * stride for count, stride in zip(before, over, strict=True))
    given = {"x": list(x.shape), "over": over, "offset": offset, "value": value}
    return says.step("pad", [says.place(x)], says.made.shape, **given)


@word(*RESIZED)
def _resized(says: Says, x: Tensor, size: Sequence[int], *rest: Any) -> int:
    count = 0 if "nearest" in says.func.overloadpacket.__name__ else 1
    corners, (tall, broad) = rest[:count], (*rest[count:], None, None)[:2]
    (_, channels, high, wide), (rows, columns) = x.shape, size
    of_rows = says.func(torch.eye(high)[None, :, :, None], [rows, 1], *corners, tall, None)[0, :, :, 0].T
    of_columns = says.func(torch.eye(wide)[None, :, None, :], [1, columns], *corners, None, broad)[0, :, 0, :]
    inner = says.step(
        "matmul", [says.place(x), says.place(of_columns)], (channels * high, columns),
        batch=1, m=len(x) * channels * high, k=wide, n=columns, over=[0, 0],
    )  # fmt: skip
    return says.step(
        "matmul", [says.place(of_rows), inner], says.made.shape,
        batch=len(x) * channels, m=rows, k=high, n=columns, over=[0, high * columns],
    )  # fmt: skip
