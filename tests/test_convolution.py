"""Faster convolutions against torch's own: values, gradients, second derivatives, and what is left alone."""

import copy

import pytest
import torch
from torch import Tensor, nn

from vae_runner.convolution import FEW, accelerate

LAYERS = {
    "gray image in": (nn.Conv2d(1, 8, 4, 2, 1), (3, 1, 16, 12)),
    "colours in, odd size": (nn.Conv2d(3, 8, 4, 2, 1), (3, 3, 17, 13)),
    "without bias": (nn.Conv2d(1, 8, 4, 2, 1, bias=False), (2, 1, 8, 8)),
    "gray image out": (nn.ConvTranspose2d(8, 1, 4, 2, 1), (3, 8, 8, 6)),
    "colours out": (nn.ConvTranspose2d(8, 3, 4, 2, 1), (3, 8, 5, 7)),
    "one pixel": (nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), (2, 8, 1, 1)),
    "transposed": (nn.ConvTranspose2d(8, 6, 4, 2, 1), (3, 8, 5, 7)),
    "transposed, odd size": (nn.ConvTranspose2d(8, 1, 4, 2, 1, output_padding=(1, 0)), (3, 8, 5, 7)),
    "transposed, groups": (nn.ConvTranspose2d(8, 6, 3, 3, 0, groups=2, dilation=2, bias=False), (3, 8, 5, 7)),
}
FORMATS = {"rows first": torch.contiguous_format, "channels last": torch.channels_last}


def same(layer: nn.Module) -> nn.Module:
    """A copy of the layer that torch itself computes, in float64."""
    return copy.deepcopy(layer).double()


def faster(layer: nn.Module) -> nn.Module:
    layer = same(layer)
    assert accelerate(layer) == 1
    return layer


def gradients(layer: nn.Module, x: Tensor, weights: Tensor) -> list[Tensor]:
    """Of sum(weights * layer(x)): with respect to the images, then to the parameters."""
    return list(torch.autograd.grad((layer(x) * weights).sum(), [x, *layer.parameters()]))


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_values_and_gradients_are_those_of_torch(
    layer: nn.Module, shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, generator=generator).contiguous(memory_format=memory_format)
    x.requires_grad_()
    expected = same(layer)(x)
    torch.testing.assert_close(faster(layer)(x), expected, rtol=0, atol=1e-12)
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=generator)
    for ours, theirs in zip(gradients(faster(layer), x, weights), gradients(same(layer), x, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_gradients_in_float32_are_within_1e_5_of_torch(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    theirs, ours = copy.deepcopy(layer), copy.deepcopy(layer)
    accelerate(ours)
    weights = torch.randn(theirs(x).shape, generator=torch.Generator().manual_seed(2))
    for mine, expected in zip(gradients(ours, x, weights), gradients(theirs, x, weights), strict=True):
        assert (mine - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_second_derivatives_exist(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(1, shape[1], min(shape[2], 4), min(shape[3], 4), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(faster(layer), x)


def test_no_gradient_is_made_for_what_needs_none() -> None:
    for layer, shape in LAYERS.values():
        layer = faster(layer).requires_grad_(False)
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        layer(x).sum().backward()
        assert x.grad is not None
        assert all(parameter.grad is None for parameter in layer.parameters())


def test_autocast_computes_in_its_precision() -> None:
    for layer, shape in LAYERS.values():
        ours = copy.deepcopy(layer)
        accelerate(ours)
        with torch.autocast("cpu", torch.bfloat16):
            y = ours(torch.randn(shape))
        assert y.dtype == torch.bfloat16
        y.float().sum().backward()
        assert all(parameter.grad.dtype == torch.float32 for parameter in ours.parameters())


def test_layers_stay_torch_s_own_with_the_same_state_dict() -> None:
    for layer, _ in LAYERS.values():
        ours = copy.deepcopy(layer)
        accelerate(ours)
        assert isinstance(ours, type(layer))
        layer.load_state_dict(ours.state_dict())
        assert accelerate(ours) == 0  # it has been done


class Doubled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "layer",
    [
        Doubled(1, 8, 4, 2, 1),
        nn.Conv2d(FEW + 1, 8, 4, 2, 1),
        nn.Conv2d(1, 8, 3, 2, 1),
        nn.Conv2d(1, 8, 4, 2, 1, padding_mode="circular"),
        nn.Conv2d(1, 8, 4, 2, "valid"),
        nn.Conv2d(2, 8, 4, 2, 1, groups=2),
        nn.Linear(4, 4),
    ],
    ids=repr,
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    assert accelerate(nn.Sequential(layer)) == 0


def test_an_output_size_is_obeyed() -> None:
    for layer in (nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.ConvTranspose2d(8, 6, 4, 2, 1)):
        x = torch.randn(2, 8, 5, 5, dtype=torch.float64)
        torch.testing.assert_close(faster(layer)(x, (11, 10)), same(layer)(x, (11, 10)))
