"""Words for layers with weights: products, convolutions and their adjoints, normalisations.

A batch normalisation that is evaluated is a factor and a summand for each channel.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vae_runner.visualisation.exploring.vocabulary import Says, Unknown, word

__all__ = ["NORMS"]

NORMS = ("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training")


@word("mm", "bmm")
def _matmul(says: Says, a: Tensor, b: Tensor) -> int:
    batch = a.shape[0] if a.dim() == 3 else 1
    (m, k), n = a.shape[-2:], b.shape[-1]
    single = [_once(one) for one in (a, b)]
    over = [0 if one.dim() == 2 or len(one) == 1 else one[0].numel() for one in single]
    inputs = [says.place(one) for one in single]
    return says.step("matmul", inputs, (batch, m, n), batch=batch, m=m, k=k, n=n, over=over)


def _once(x: Tensor) -> Tensor:
    """One of the matrices, where all of them lie in the same memory."""
    return x[:1] if x.dim() == 3 and x.stride(0) == 0 and len(x) > 1 else x


@word("addmm", "baddbmm")
def _addmm(says: Says, bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> int:
    if beta != 1 or alpha != 1:
        raise Unknown("has factors")
    made = _matmul(says, a, b)
    return says.pair("add", made, bias, [says.made.shape, bias.shape])


@word("convolution")
def _convolution(
    says: Says, x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, output_padding: list[int], groups: int,
) -> int:  # fmt: skip
    if x.dim() != 4:
        raise Unknown("is not of images")
    if (place := says.place(weight)) is None or place >= 0:
        raise Unknown("has weights that follow from the code")
    if transposed:
        inner = weight.shape[0] // groups
        weight = weight.reshape(groups, inner, *weight.shape[1:]).permute(0, 2, 3, 4, 1).contiguous()
    kernel = weight.shape[-3:-1] if transposed else weight.shape[-2:]
    given: dict[str, Any] = {"x": list(x.shape), "kernel": list(kernel)}
    given |= {"stride": list(stride), "padding": list(padding), "dilation": list(dilation), "groups": groups}
    inputs = [says.place(x), says.program.constant(weight) if transposed else place, says.place(bias)]
    return says.step("deconv" if transposed else "conv", inputs, says.made.shape, **given)


@word("native_group_norm")
def _group_norm(
    says: Says, x: Tensor, weight: Tensor | None, bias: Tensor | None, n: int, channels: int, pixels: int,
    groups: int, eps: float,
) -> list[int | None]:  # fmt: skip
    return _norm(
        says, x, _full(weight, 1, channels), _full(bias, 0, channels), channels // groups * pixels, pixels, eps
    )


@word("native_layer_norm")
def _layer_norm(
    says: Says, x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> list[int | None]:
    size = math.prod(shape)
    return _norm(says, x, _full(weight, 1, size), _full(bias, 0, size), size, 1, eps)


def _full(values: Tensor | None, value: float, size: int) -> Tensor:
    return torch.full((size,), float(value)) if values is None else values


def _norm(says: Says, x: Tensor, weight: Tensor, bias: Tensor, size: int, inner: int, eps: float) -> list[int | None]:
    inputs = [says.place(one) for one in (x, weight, bias)]
    return [says.step("norm", inputs, x.shape, size=size, inner=inner, eps=eps), None, None]


@word(*NORMS)
def _batch_norm(
    says: Says, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor | None, variance: Tensor | None,
    *rest: Any,
) -> list[int | None]:  # fmt: skip
    eps, training = float(rest[-1]), len(rest) == 3 and bool(rest[0])
    if mean is None or variance is None or training:
        raise Unknown("is of the batch")
    scale = _full(weight, 1, len(mean)).to(mean) / (variance + eps).sqrt()
    shift = _full(bias, 0, len(mean)).to(mean) - mean * scale
    along = (len(mean), *([1] * (x.dim() - 2)))
    scaled = says.pair("mul", x, scale.view(along))
    return [says.pair("add", scaled, shift.view(along), [x.shape, along]), None, None]
