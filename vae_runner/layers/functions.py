"""Layers as single functions for the tape: in the precision of autocast, with the rectifier behind them.

What torch differentiates as four to six functions is one here, y = max(product(x, w) + b, 0), the conversion of the
operands included. The gradients are those of the product, bilinear in x and w, at what of dL/dy has y > 0. They are
made of operations that can be differentiated again.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vae_runner.layers.halving import doubled, halved, weight_gradient
from vae_runner.layers.rectifier import rectify, where_positive

__all__ = ["connected", "doubling", "halving", "transposed_convolution"]

Gradients = tuple[Tensor | None, ...]


def connected(x: Tensor, weight: Tensor, bias: Tensor | None = None, rectified: bool = False) -> Tensor:
    """As `linear`: (B, I) to (B, O)."""
    return _Layer.apply(x, weight, bias, _Connected, None, rectified)


def halving(x: Tensor, weight: Tensor, bias: Tensor | None = None, rectified: bool = False) -> Tensor:
    """As `conv2d(x, weight, bias, stride=2, padding=1)` of a 4x4 kernel: (B, C, H, W) to (B, O, H // 2, W // 2)."""
    return _Layer.apply(x, weight, bias, _Halving, None, rectified)


def doubling(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, odd: Sequence[int] = (0, 0), rectified: bool = False
) -> Tensor:
    """As `conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=odd)` of a 4x4 kernel:
    (B, I, h, w) to (B, O, 2h + odd, 2w + odd).
    """
    size = (2 * x.shape[2] + odd[0], 2 * x.shape[3] + odd[1])
    return _Layer.apply(x, weight, bias, _Doubling, size, rectified)


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
    rectified: bool = False,
) -> Tensor:
    """As `torch.nn.functional.conv_transpose2d`, differentiated by convolutions: on a CPU, the transposed one's own
    gradient by the weight takes two to five times as long as the equal convolution's.
    """
    geometry = (list(stride), list(padding), list(dilation), list(output_padding), groups)
    return _Layer.apply(x, weight, bias, _Transposed, geometry, rectified)


class _Connected:
    over = (0,)  # the dimensions that share one bias

    @staticmethod
    def product(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: None) -> Tensor:
        return functional.linear(x, weight, bias)

    @staticmethod
    def by_input(grad: Tensor, x: Tensor, weight: Tensor, geometry: None) -> Tensor:
        return grad @ weight

    @staticmethod
    def by_weight(grad: Tensor, x: Tensor, weight: Tensor, geometry: None) -> Tensor:
        return grad.t() @ x


class _Halving:
    over = (0, 2, 3)

    @staticmethod
    def product(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: None) -> Tensor:
        return halved(x, weight, bias)

    @staticmethod
    def by_input(grad: Tensor, x: Tensor, weight: Tensor, geometry: None) -> Tensor:
        return doubled(grad, weight, x.shape[2:])

    @staticmethod
    def by_weight(grad: Tensor, x: Tensor, weight: Tensor, geometry: None) -> Tensor:
        return weight_gradient(x, grad, weight)


class _Doubling:
    over = (0, 2, 3)

    @staticmethod
    def product(x: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
        return doubled(x, weight, size, bias)

    @staticmethod
    def by_input(grad: Tensor, x: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
        return halved(grad, weight)

    @staticmethod
    def by_weight(grad: Tensor, x: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
        return weight_gradient(grad, x, weight)


class _Transposed:
    over = (0, 2, 3)

    @staticmethod
    def product(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple) -> Tensor:
        stride, padding, dilation, output_padding, groups = geometry
        return torch.convolution(x, weight, bias, stride, padding, dilation, True, output_padding, groups)

    @staticmethod
    def by_input(grad: Tensor, x: Tensor, weight: Tensor, geometry: tuple) -> Tensor:
        stride, padding, dilation, _, groups = geometry
        return torch.convolution(grad, weight, None, stride, padding, dilation, False, [0, 0], groups)

    @staticmethod
    def by_weight(grad: Tensor, x: Tensor, weight: Tensor, geometry: tuple) -> Tensor:
        stride, padding, dilation, _, groups = geometry
        plain = (stride, padding, dilation, False, [0, 0], groups)
        return torch.ops.aten.convolution_backward(x, grad, weight, None, *plain, (False, True, False))[1]


_Kind = type[_Connected] | type[_Halving] | type[_Doubling] | type[_Transposed]


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, kind: _Kind, geometry: tuple | None, rectified: bool
    ) -> Tensor:
        x = x.to(_precision(x))
        converted = weight.to(x.dtype)
        y = kind.product(x, converted, None if bias is None else bias.to(x.dtype), geometry)
        if rectified:
            y = rectify(y)
        ctx.save_for_backward(x, weight, converted, bias, y if rectified else None)
        ctx.kind, ctx.geometry = kind, geometry
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, weight, converted, bias, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # what comes out is to be differentiated by the weight too
            converted = weight.to(grad.dtype)
        if y is not None:
            grad = where_positive(grad, y)
        operands = (grad, x, converted, ctx.geometry)
        grads: list[Tensor | None] = [None] * 6
        if ctx.needs_input_grad[0]:
            grads[0] = ctx.kind.by_input(*operands)
        if ctx.needs_input_grad[1]:
            grads[1] = ctx.kind.by_weight(*operands).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            grads[2] = grad.sum(ctx.kind.over).to(bias.dtype)
        return tuple(grads)


def _precision(x: Tensor) -> torch.dtype:
    """What autocast wants of a product's operands here, else what x has."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
