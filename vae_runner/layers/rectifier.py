"""The rectifier max(y, 0) and its gradient, by the bits where those are faster to compare.

torch's kernels for a CPU convert each bfloat16 to float32 and back, and take three times as long as for integers of the
same size. Read as a signed integer, a bfloat16 is above 0 where the number is; the negative ones lie from -0, the
least, up to -infinity, and between that and 0 are half of the NaNs. A compiler's kernels gain nothing by it.
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["rectify", "where_positive"]

_MINUS_INFINITY = -128  # its bits


def rectify(y: Tensor) -> Tensor:
    """Returns max(y, 0), NaN where `y` is; `y` itself may be overwritten by it."""
    if not _is_compared_by_bits(y):
        return y.relu()
    is_dense = y.is_contiguous() or y.is_contiguous(memory_format=torch.channels_last)
    threshold = functional.threshold_ if is_dense else functional.threshold
    return threshold(y.view(torch.int16), _MINUS_INFINITY, 0).view(y.dtype)


def where_positive(grad: Tensor, y: Tensor) -> Tensor:
    """Returns `grad` where y > 0, 0 where y <= 0, one or the other where `y` is NaN."""
    if torch.is_grad_enabled() or not (_is_compared_by_bits(grad) and _is_compared_by_bits(y)):
        return torch.ops.aten.threshold_backward(grad, y, 0)
    chosen = torch.ops.aten.threshold_backward(grad.view(torch.int16), y.view(torch.int16), 0)
    return chosen.view(grad.dtype)


def _is_compared_by_bits(y: Tensor) -> bool:
    return y.dtype == torch.bfloat16 and y.device.type == "cpu" and not torch.compiler.is_compiling()
