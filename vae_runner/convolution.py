"""Convolutions that train faster on a CPU: the same parameters, the same results up to the order of summation.

A transposed convolution y = conv^T(x, w) is the gradient of the convolution x = conv(y, w) with respect to y. So its
own gradients are a convolution's too (Dumoulin & Visin 2016, section 4):

    dL/dx = conv(dL/dy, w),        dL/dw = the weight gradient of conv at the input dL/dy and the output gradient x.

Libraries for CPUs have fast kernels for the right-hand sides, and take two to five times as long on their own "weight
gradient of the transposed convolution".

At the ends of a network for images there are one or three channels, too few to fill a vector register. There a 4x4
convolution with stride 2 is one matrix product with the 4x4 patches of the image, gathered by 16 strided copies; the
transposed one is a matrix product first, whose 16 numbers for each pixel are then added up where they overlap: an
output pixel lies under 2 of the 4 rows and 2 of the 4 columns of the kernel,

    y[2i]     = c[i, 1] + c[i - 1, 3],        y[2i + 1] = c[i, 2] + c[i + 1, 0]        for rows, and so for columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FEW", "accelerate", "from_few_channels", "to_few_channels", "transposed_convolution"]

FEW = 4  # channels up to which an end of a network is a matrix product
_KERNEL, _STRIDE, _PADDING = (4, 4), (2, 2), (1, 1)
_TAPS = [(row, column) for row in range(4) for column in range(4)]
_NONE = [0, 0]


def accelerate(module: nn.Module) -> int:
    """Let the convolutions in `module` that have a faster equal use it; returns how many they are.

    They are torch's own `nn.Conv2d` and `nn.ConvTranspose2d`, and stay that by their parameters and in a state dict.
    """
    found = [(part, fast) for part in module.modules() if (fast := _faster(part)) is not None]
    for part, fast in found:
        part.__class__ = fast
    return len(found)


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Tensor:
    """As `torch.nn.functional.conv_transpose2d`, differentiated by convolutions."""
    geometry = (list(stride), list(padding), list(dilation), list(output_padding), groups)
    return _Transposed.apply(*_autocast(x, weight, bias), geometry)


def from_few_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `conv2d(x, weight, bias, stride=2, padding=1)` of a 4x4 kernel: (B, I, H, W) to (B, O, H // 2, W // 2)."""
    return _FromFew.apply(*_autocast(x, weight, bias))


def to_few_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `conv_transpose2d(x, weight, bias, stride=2, padding=1)` of a 4x4 kernel: (B, I, h, w) to (B, O, 2h, 2w)."""
    return _ToFew.apply(*_autocast(x, weight, bias))


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        stride, padding, dilation, output_padding, groups = geometry
        return torch.convolution(x, weight, bias, stride, padding, dilation, True, output_padding, groups)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, _, groups = ctx.geometry
        plain = (stride, padding, dilation, False, _NONE, groups)
        grads: list[Tensor | None] = [None] * 4
        if ctx.needs_input_grad[0]:
            grads[0] = torch.convolution(grad, weight, None, *plain)
        if ctx.needs_input_grad[1]:
            mask = [False, True, False]
            grads[1] = torch.ops.aten.convolution_backward(x, grad, weight, None, *plain, mask)[1]
        if ctx.needs_input_grad[2]:
            grads[2] = grad.sum((0, 2, 3))
        return tuple(grads)


class _FromFew(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        patches = _patches(x)
        ctx.save_for_backward(patches, weight)
        ctx.odd = [x.shape[2] % 2, x.shape[3] % 2]
        y = functional.linear(patches.flatten(0, 2), weight.flatten(1), bias)
        return _as_images(y, patches)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        patches, weight = ctx.saved_tensors
        rows = _as_rows(grad)
        grads: list[Tensor | None] = [None] * 3
        if ctx.needs_input_grad[0]:
            grads[0] = torch.convolution(grad, weight, None, _STRIDE, _PADDING, (1, 1), True, ctx.odd, 1)
        if ctx.needs_input_grad[1]:
            grads[1] = (rows.t() @ patches.flatten(0, 2)).view_as(weight)
        if ctx.needs_input_grad[2]:
            grads[2] = rows.sum(0)
        return tuple(grads)


class _ToFew(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        y = _overlapped(x, weight)
        return y if bias is None else y + bias.view(-1, 1, 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        patches = _patches(grad)
        rows = patches.flatten(0, 2)
        grads: list[Tensor | None] = [None] * 3
        if ctx.needs_input_grad[0]:
            grads[0] = _as_images(rows @ weight.flatten(1).t(), patches)
        if ctx.needs_input_grad[1]:
            grads[1] = (_as_rows(x).t() @ rows).view_as(weight)
        if ctx.needs_input_grad[2]:
            grads[2] = grad.sum((0, 2, 3))
        return tuple(grads)


def _patches(x: Tensor) -> Tensor:
    """The 4x4 patches of (B, C, H, W), padded by 1, two pixels apart: (B, H // 2, W // 2, 16 C), as weights lie."""
    batch, channels, height, width = x.shape
    rows, columns = height // 2, width // 2
    padded = functional.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    patches = x.new_empty(batch, rows, columns, channels, 16)
    for tap, (row, column) in enumerate(_TAPS):
        patches[..., tap] = padded[:, row : row + 2 * rows : 2, column : column + 2 * columns : 2]
    return patches.flatten(3)


def _overlapped(x: Tensor, weight: Tensor) -> Tensor:
    """The transposed convolution of (B, I, h, w) by (I, O, 4, 4) without its bias, (B, O, 2h, 2w)."""
    batch, _, height, width = x.shape
    channels = weight.shape[1]
    columns = x.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2)  # (B, I, h w)
    taps = torch.matmul(weight.flatten(1).t(), columns).view(batch, channels, 4, 4, height, width)
    y = x.new_empty(batch, channels, height, 2, width, 2)
    for parity, rows in enumerate(_halves(taps.unbind(2), dim=-2)):
        for other, pixels in enumerate(_halves(rows.unbind(2), dim=-1)):
            y[..., parity, :, other] = pixels
    return y.view(batch, channels, 2 * height, 2 * width)


def _halves(taps: Sequence[Tensor], dim: int) -> tuple[Tensor, Tensor]:
    """What four taps add up to in the even and in the odd places along `dim`."""
    length = taps[0].shape[dim]
    even, odd = taps[1].clone(), taps[2].clone()
    even.narrow(dim, 1, length - 1).add_(taps[3].narrow(dim, 0, length - 1))
    odd.narrow(dim, 0, length - 1).add_(taps[0].narrow(dim, 1, length - 1))
    return even, odd


def _as_rows(images: Tensor) -> Tensor:
    """(B, C, H, W) as (B H W, C)."""
    return images.permute(0, 2, 3, 1).flatten(0, 2)


def _as_images(rows: Tensor, patches: Tensor) -> Tensor:
    """(B h w, C) as (B, C, h, w), channels last in memory; B, h and w as of the patches."""
    return rows.view(*patches.shape[:3], -1).permute(0, 3, 1, 2)


def _autocast(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The operands in the precision that autocast wants of a convolution here."""
    if not torch.is_autocast_enabled(x.device.type):
        return x, weight, bias
    dtype = torch.get_autocast_dtype(x.device.type)
    return x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)


class _FewInConv2d(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return from_few_channels(x, self.weight, self.bias)


class _FewOutConvTranspose2d(nn.ConvTranspose2d):
    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        if output_size is not None:
            return super().forward(x, output_size)
        return to_few_channels(x, self.weight, self.bias)


class _FastConvTranspose2d(nn.ConvTranspose2d):
    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        if output_size is not None:
            return super().forward(x, output_size)
        geometry = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return transposed_convolution(x, self.weight, self.bias, *geometry)


def _faster(module: nn.Module) -> type[nn.Module] | None:
    """The class that does the same faster, of exactly torch's own layers; a subclass may do something else."""
    if type(module) is nn.Conv2d:
        return _FewInConv2d if _halves_size(module) and module.in_channels <= FEW else None
    if type(module) is nn.ConvTranspose2d:
        few = _halves_size(module) and module.out_channels <= FEW and module.output_padding == (0, 0)
        return _FewOutConvTranspose2d if few else _FastConvTranspose2d
    return None


def _halves_size(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    geometry = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups, module.padding_mode)
    return geometry == (_KERNEL, _STRIDE, _PADDING, (1, 1), 1, "zeros")
