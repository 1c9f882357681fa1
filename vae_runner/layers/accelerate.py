"""torch's own layers, made to use the functions that are faster. They keep their parameters, and their state dict."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest

import torch
from torch import Tensor, nn

from vae_runner.layers.functions import connected, doubling, halving, transposed_convolution
from vae_runner.layers.normalisation import group_norm

__all__ = ["accelerate", "plainly"]

_GEOMETRY = ((4, 4), (2, 2), (1, 1), (1, 1), 1, "zeros")


def accelerate(module: nn.Module) -> int:
    """Let the layers in `module` that have a faster equal use it; returns how many they are.

    They are torch's own `nn.Linear`, `nn.Conv2d`, `nn.ConvTranspose2d`, `nn.GroupNorm` and `nn.Sequential`, and stay
    that by their parameters and in a state dict. Subclasses are left alone, for they may do something else.
    """
    found = [(part, fast) for part in module.modules() if (fast := _faster(part)) is not None]
    for part, fast in found:
        part.__class__ = fast
    return sum(fast is not _Chain for _, fast in found)


@contextmanager
def plainly(module: nn.Module) -> Iterator[None]:
    """Inside, the layers in `module` that `accelerate` has changed do as torch's own do."""
    found = [(part, type(part)) for part in module.modules() if type(part) in _PLAIN]
    for part, fast in found:
        part.__class__ = _PLAIN[fast]
    try:
        yield
    finally:
        for part, fast in found:
            part.__class__ = fast


class _Linear(nn.Linear):
    def forward(self, x: Tensor, rectified: bool = False) -> Tensor:
        if x.dim() != 2:
            return _rectified(super().forward(x), rectified)
        return connected(x, self.weight, self.bias, rectified)


class _HalvingConv2d(nn.Conv2d):
    def forward(self, x: Tensor, rectified: bool = False) -> Tensor:
        if x.dim() != 4:
            return _rectified(super().forward(x), rectified)
        return halving(x, self.weight, self.bias, rectified)


class _DoublingConvTranspose2d(nn.ConvTranspose2d):
    def forward(self, x: Tensor, output_size: list[int] | None = None, rectified: bool = False) -> Tensor:
        if x.dim() != 4 or output_size is not None:
            return _rectified(super().forward(x, output_size), rectified)
        return doubling(x, self.weight, self.bias, self.output_padding, rectified)


class _FastConvTranspose2d(nn.ConvTranspose2d):
    def forward(self, x: Tensor, output_size: list[int] | None = None, rectified: bool = False) -> Tensor:
        if x.dim() != 4 or output_size is not None:
            return _rectified(super().forward(x, output_size), rectified)
        geometry = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return transposed_convolution(x, self.weight, self.bias, *geometry, rectified)


class _GroupNorm(nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class _Chain(nn.Sequential):
    """Each rectifier is left to the layer before it, unless someone looks at what is between the two."""

    def forward(self, x: Tensor) -> Tensor:
        parts = zip_longest(self, list(self)[1:])
        for part, following in parts:
            if _is_fast(part) and type(following) is nn.ReLU and not (_is_watched(part) or _is_watched(following)):
                x = part(x, rectified=True)
                next(parts)
            else:
                x = part(x)
        return x


_PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    _Linear: nn.Linear,
    _HalvingConv2d: nn.Conv2d,
    _DoublingConvTranspose2d: nn.ConvTranspose2d,
    _FastConvTranspose2d: nn.ConvTranspose2d,
    _GroupNorm: nn.GroupNorm,
    _Chain: nn.Sequential,
}


def _faster(module: nn.Module) -> type[nn.Module] | None:
    """The class that does the same faster, of exactly torch's own layers."""
    if type(module) is nn.ConvTranspose2d:
        return _DoublingConvTranspose2d if _halves(module) else _FastConvTranspose2d
    if type(module) is nn.Conv2d:
        return _HalvingConv2d if _halves(module) else None
    return {nn.Linear: _Linear, nn.GroupNorm: _GroupNorm, nn.Sequential: _Chain}.get(type(module))


def _halves(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    geometry = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups, module.padding_mode)
    return geometry == _GEOMETRY


def _is_fast(module: nn.Module) -> bool:
    return isinstance(module, (_Linear, _HalvingConv2d, _DoublingConvTranspose2d, _FastConvTranspose2d))


def _is_watched(module: nn.Module) -> bool:
    hooks = (module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks)
    return any(hooks)


def _rectified(y: Tensor, rectified: bool) -> Tensor:
    return y.relu() if rectified else y
