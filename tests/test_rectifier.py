"""The rectifier against torch's own, for every bfloat16 there is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vae_runner.layers.rectifier import rectify, where_positive

EVERY = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.bfloat16)
LAYOUTS = {
    "as it comes": lambda y: y.clone(),
    "channels last": lambda y: y.reshape(16, 8, 16, 32).contiguous(memory_format=torch.channels_last),
    "a part of a larger one": lambda y: torch.nn.functional.pad(y.reshape(16, 8, 16, 32), (1, 1))[..., 1:-1],
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def float32(y: Tensor) -> Tensor:
    return y.float().nan_to_num(nan=torch.pi)  # a number that is no bfloat16


@layouts
def test_every_number_is_rectified_and_nan_stays(layout: Callable[[Tensor], Tensor]) -> None:
    y = layout(EVERY)
    expected = float32(y).relu()
    assert (expected == torch.pi).sum() == 2 * (2**7 - 1)
    torch.testing.assert_close(float32(rectify(y)), expected, rtol=0, atol=0)


@layouts
def test_the_gradient_of_every_number_that_is_above_0_is_let_through(layout: Callable[[Tensor], Tensor]) -> None:
    y = layout(EVERY)
    grad = layout(EVERY[torch.randperm(len(EVERY), generator=torch.Generator().manual_seed(0))])
    before = grad.clone()
    with torch.no_grad():
        found = where_positive(grad, y)
    expected = torch.where(y.float() > 0, float32(grad), torch.zeros(()))
    torch.testing.assert_close(float32(found)[~y.isnan()], expected[~y.isnan()], rtol=0, atol=0)
    torch.testing.assert_close(float32(grad), float32(before), rtol=0, atol=0)  # someone else may look at it


def test_what_is_let_through_can_be_differentiated() -> None:
    grad = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    where_positive(grad, torch.tensor([-1, 0, 2], dtype=torch.bfloat16)).sum().backward()
    assert grad.grad.tolist() == [0, 0, 1]
