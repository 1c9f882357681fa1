"""The 4x4 convolution with stride 2 and padding 1 that halves an image, and its adjoints, by a CPU's faster kernels.

With y = conv(x, w), the gradient by x is the transposed convolution, which doubles an image, and the gradient by w is
bilinear in x and dL/dy; so a layer that halves and one that doubles are made of the same three, with the parts
exchanged (Dumoulin & Visin 2016, arXiv 1603.07285, section 4):

    halved(x, w)[o, i, j] = sum_ckl x[c, 2i - 1 + k, 2j - 1 + l] w[o, c, k, l]
    doubled(y, w)         = d <y, halved(x, w)> / dx
    weight_gradient(x, y) = d <y, halved(x, w)> / dw

Kernels are fast where a row of an image is a matrix, channels by columns, and the stride along it is 1. So two columns
of x are taken for one with twice the channels, and the kernel becomes half as wide,

    x'[C s + c, i, j] = x[c, i, 2j - 1 + s],    w'[o, C s + c, k, a] = w[o, c, k, 2a + s],    s = 0, 1.

With channels last both are other views of the same memory, once x has a column of zeros on its left, and on its right
where its width is even. It pays in the first and the last where x has few channels, and in `doubled` where it has some.

Where the doubled image has few channels, as at the end of a decoder, most of each vector register would still be
wasted. There, blocks of b x b pixels are taken for one with b^2 times the channels. A block depends on b / 2 + 2 rows
and columns of y, so this is a convolution with stride b / 2, with the weight p = r + 3 - 2k from row k of y to row r of
the block, where there is one.
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["doubled", "halved", "weight_gradient"]

FEW, SOME = 4, 32  # channels of the larger image
_PAIRED = ((2, 1), (1, 0))  # stride and padding of a convolution of pairs of columns


def halved(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, C, H, W) and (O, C, 4, 4) to (B, O, H // 2, W // 2)."""
    if x.shape[1] > FEW:
        return functional.conv2d(x, weight, bias, 2, 1)
    return functional.conv2d(_paired(x), _paired_weight(weight), bias, *_PAIRED)


def weight_gradient(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """(B, C, H, W) and (B, O, H // 2, W // 2) to (O, C, 4, 4); of the weight, only shape and layout are looked at."""
    if x.shape[1] > FEW:
        return _weight_gradient(x, y, weight, (2, 2), (1, 1))
    features, channels = weight.shape[:2]
    gradient = _weight_gradient(_paired(x), y, _paired_weight(weight), *_PAIRED)
    return gradient.permute(0, 2, 3, 1).reshape(features, 4, 4, channels).permute(0, 3, 1, 2)


def doubled(y: Tensor, weight: Tensor, size: tuple[int, int], bias: Tensor | None = None) -> Tensor:
    """(B, O, h, w) and (O, C, 4, 4) to (B, C, *size), of 2h or 2h + 1 rows and 2w or 2w + 1 columns; often a view."""
    channels = weight.shape[1]
    if channels <= FEW:
        return _in_blocks(y, weight, size, bias, block=4 if 2 * channels <= FEW else 2)
    if channels <= SOME:
        return _in_pairs(y, weight, size, bias)
    odd = (size[0] - 2 * y.shape[2], size[1] - 2 * y.shape[3])
    return functional.conv_transpose2d(y, weight, bias, 2, 1, odd)


def _paired(x: Tensor) -> Tensor:
    """Images (B, C, H, W) with two columns in one: (B, 2C, H, W // 2 + 1), channels last in memory."""
    batch, channels, rows, columns = x.shape
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 - columns % 2))
    return padded.reshape(batch, rows, columns // 2 + 1, 2 * channels).permute(0, 3, 1, 2)


def _paired_weight(weight: Tensor) -> Tensor:
    """(O, C, 4, 4) as it is applied to pairs of columns: (O, 2C, 4, 2), channels last in memory."""
    features, channels = weight.shape[:2]
    return weight.permute(0, 2, 3, 1).reshape(features, 4, 2, 2 * channels).permute(0, 3, 1, 2)


def _weight_gradient(x: Tensor, y: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    geometry = (stride, padding, (1, 1), False, (0, 0), 1)
    return torch.ops.aten.convolution_backward(y, x, weight, None, *geometry, (False, True, False))[1]


def _in_pairs(y: Tensor, weight: Tensor, size: tuple[int, int], bias: Tensor | None) -> Tensor:
    batch, _, rows, columns = y.shape
    bias = _times(bias, 2)
    pairs = functional.conv_transpose2d(y, _paired_weight(weight), bias, *_PAIRED, (size[0] - 2 * rows, 0))
    pixels = pairs.permute(0, 2, 3, 1).reshape(batch, size[0], 2 * columns + 2, weight.shape[1])
    return pixels[:, :, 1 : size[1] + 1].permute(0, 3, 1, 2)


def _in_blocks(y: Tensor, weight: Tensor, size: tuple[int, int], bias: Tensor | None, block: int) -> Tensor:
    channels = weight.shape[1]
    rows, columns = (-(-length // block) * block // 2 for length in size)
    if (rows, columns) != y.shape[2:]:
        y = functional.pad(y, (0, columns - y.shape[3], 0, rows - y.shape[2]))
    bias = _times(bias, block * block)
    blocks = functional.conv2d(y, _block_weight(weight, block), bias, block // 2, 1).permute(0, 2, 3, 1)
    batch, high, wide, _ = blocks.shape
    pixels = blocks.reshape(batch, high, wide, block, block * channels).transpose(2, 3)
    pixels = pixels.reshape(batch, high * block, wide * block, channels)
    return pixels[:, : size[0], : size[1]].permute(0, 3, 1, 2)


def _times(bias: Tensor | None, count: int) -> Tensor | None:
    return None if bias is None else bias.expand(count, -1).flatten()


def _block_weight(weight: Tensor, block: int) -> Tensor:
    """(O, C, 4, 4) as it is applied to make blocks of pixels: (block^2 C, O, taps, taps), channels last in memory."""
    features, channels = weight.shape[:2]
    taps = block // 2 + 2
    spread = _REACHED[block].to(weight) @ weight.permute(2, 3, 1, 0).reshape(16, channels * features)
    ordered = spread.view(block, block, taps, taps, channels, features).permute(0, 1, 4, 2, 3, 5)
    return ordered.reshape(block * block * channels, taps, taps, features).permute(0, 3, 1, 2)


def _reached(block: int) -> Tensor:
    """1 where pixel (r, s) of a block is reached from row k and column l of y by the weight (p, q), else 0:
    (block^2 taps^2, 16).
    """
    pixel, tap, weight = torch.arange(block), torch.arange(block // 2 + 2), torch.arange(4)
    rows = weight == pixel[:, None, None] + 3 - 2 * tap[:, None]  # (block, taps, 4)
    both = rows[:, None, :, None, :, None] & rows[None, :, None, :, None, :]
    return both.reshape(-1, 16).float()


_REACHED = {block: _reached(block) for block in (2, 4)}
