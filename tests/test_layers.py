"""Faster layers against torch's own: values, gradients, second derivatives, and what is left alone."""

import copy

import pytest
import torch
from torch import Tensor, nn

from vae_runner.layers import accelerate, plainly
from vae_runner.layers.halving import FEW, SOME

LAYERS = {
    "gray image in": (nn.Conv2d(1, 8, 4, 2, 1), (3, 1, 16, 12)),
    "colours in, odd size": (nn.Conv2d(3, 8, 4, 2, 1), (3, 3, 17, 13)),
    "without bias": (nn.Conv2d(1, 8, 4, 2, 1, bias=False), (2, 1, 8, 8)),
    "features in, odd size": (nn.Conv2d(FEW + 1, 6, 4, 2, 1), (3, FEW + 1, 13, 16)),
    "many features in": (nn.Conv2d(SOME + 1, 2, 4, 2, 1), (2, SOME + 1, 3, 4)),
    "gray image out": (nn.ConvTranspose2d(8, 1, 4, 2, 1), (3, 8, 8, 6)),
    "two channels out, odd size": (nn.ConvTranspose2d(8, 2, 4, 2, 1, output_padding=(0, 1)), (3, 8, 7, 6)),
    "colours out": (nn.ConvTranspose2d(8, 3, 4, 2, 1), (3, 8, 5, 7)),
    "one pixel": (nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), (2, 8, 1, 1)),
    "features out": (nn.ConvTranspose2d(8, 6, 4, 2, 1), (3, 8, 5, 7)),
    "features out, odd size": (nn.ConvTranspose2d(8, 6, 4, 2, 1, output_padding=(1, 1)), (3, 8, 5, 7)),
    "many features out": (nn.ConvTranspose2d(2, SOME + 1, 4, 2, 1, output_padding=(1, 0)), (2, 2, 2, 1)),
    "gray image out, odd size": (nn.ConvTranspose2d(8, 1, 4, 2, 1, output_padding=(1, 0)), (3, 8, 5, 7)),
    "transposed, groups": (nn.ConvTranspose2d(8, 6, 3, 3, 0, groups=2, dilation=2, bias=False), (3, 8, 5, 7)),
    "group norm": (nn.GroupNorm(4, 8), (3, 8, 5, 7)),
    "group norm without weights": (nn.GroupNorm(2, 8, affine=False), (3, 8, 5, 7)),
    "fully connected": (nn.Linear(8, 6), (3, 8)),
    "fully connected, without bias": (nn.Linear(8, 6, bias=False), (3, 8)),
}
FORMATS = {"rows first": torch.contiguous_format, "channels last": torch.channels_last}


def same(layer: nn.Module, rectified: bool = False) -> nn.Module:
    """A copy of the layer, with a rectifier behind it or without, that torch itself computes, in float64."""
    layer = copy.deepcopy(layer).double()
    return nn.Sequential(layer, nn.ReLU()) if rectified else layer


def faster(layer: nn.Module, rectified: bool = False) -> nn.Module:
    layer = same(layer, rectified)
    assert accelerate(layer) == 1
    return layer


def draw(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def gradients(layer: nn.Module, x: Tensor, weights: Tensor) -> list[Tensor]:
    """Of sum(weights * layer(x)): with respect to the input, then to the parameters."""
    return list(torch.autograd.grad((layer(x) * weights).sum(), [x, *layer.parameters()]))


@pytest.mark.parametrize("rectified", [False, True], ids=["", "rectified"])
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_values_and_gradients_are_those_of_torch(
    layer: nn.Module, shape: tuple[int, ...], memory_format: torch.memory_format, rectified: bool
) -> None:
    x = draw(shape, 0)
    x = (x.contiguous(memory_format=memory_format) if x.dim() == 4 else x).requires_grad_()
    expected = same(layer, rectified)(x)
    torch.testing.assert_close(faster(layer, rectified)(x), expected, rtol=0, atol=1e-12)
    weights = draw(expected.shape, 1)
    found = gradients(faster(layer, rectified), x, weights)
    for ours, theirs in zip(found, gradients(same(layer, rectified), x, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_gradients_in_float32_are_within_1e_5_of_torch(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = draw(shape, 1, torch.float32).requires_grad_()
    theirs, ours = copy.deepcopy(layer), copy.deepcopy(layer)
    accelerate(ours)
    weights = draw(theirs(x).shape, 2, torch.float32)
    for mine, expected in zip(gradients(ours, x, weights), gradients(theirs, x, weights), strict=True):
        assert (mine - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_second_derivatives_are_those_of_torch(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = draw(shape, 3).requires_grad_()

    def of_gradient(layer: nn.Module) -> list[Tensor]:
        """The gradient of the squared norm of a gradient, with respect to what has one."""
        y = layer(x)
        (gradient,) = torch.autograd.grad((y * draw(y.shape, 4)).sum(), x, create_graph=True)
        leaves = [x, *layer.parameters()]
        found = torch.autograd.grad(gradient.square().sum(), leaves, allow_unused=True, materialize_grads=True)
        return list(found)

    for ours, theirs in zip(of_gradient(faster(layer, True)), of_gradient(same(layer, True)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_second_derivatives_under_autocast_are_those_of_torch(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = draw(shape, 3, torch.float32).requires_grad_()

    def of_gradient(layer: nn.Module) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        (gradient,) = torch.autograd.grad((y * draw(y.shape, 4, y.dtype)).sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), next(layer.parameters(), x))[0]

    ours, theirs = copy.deepcopy(layer), layer
    accelerate(ours)
    found, expected = of_gradient(ours), of_gradient(theirs)
    assert (found - expected).norm() <= 0.02 * expected.norm()


def test_a_norm_of_bf16_has_torch_s_gradients_and_keeps_channels_last() -> None:
    theirs, x = nn.GroupNorm(4, 8), draw((3, 8, 5, 7), 0, torch.float32).bfloat16()
    ours = copy.deepcopy(theirs)
    accelerate(ours)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = draw((3, 8, 5, 7), 1, torch.float32).bfloat16().contiguous(memory_format=torch.channels_last)
    found, expected = gradients(ours, x, weights), gradients(theirs, x, weights)
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    assert [one.dtype for one in found] == [one.dtype for one in expected]
    for mine, other in zip(found, expected, strict=True):
        assert (mine - other).float().norm() <= 0.01 * other.float().norm()


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
            y, theirs = ours(torch.randn(shape, requires_grad=True)), layer(torch.randn(shape))
        assert y.dtype == theirs.dtype == (torch.float32 if isinstance(layer, nn.GroupNorm) else torch.bfloat16)
        y.float().sum().backward()
        assert all(parameter.grad.dtype == torch.float32 for parameter in ours.parameters())


def test_layers_stay_torch_s_own_with_the_same_state_dict() -> None:
    for layer, _ in LAYERS.values():
        ours = copy.deepcopy(layer)
        accelerate(ours)
        assert isinstance(ours, type(layer))
        layer.load_state_dict(ours.state_dict())
        assert accelerate(ours) == 0  # it has been done


def test_inside_plainly_each_layer_is_torch_s_own() -> None:
    for layer, _ in LAYERS.values():
        ours = copy.deepcopy(layer)
        accelerate(ours)
        fast = type(ours)
        with plainly(ours):
            assert type(ours) is type(layer)
        assert type(ours) is fast


@pytest.mark.parametrize("watched", [0, 1])
def test_who_looks_between_a_layer_and_its_rectifier_sees_what_is_there(watched: int) -> None:
    network = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 3))
    accelerate(network)
    x = torch.randn(7, 5)
    seen: list[Tensor] = []
    network[watched].register_forward_hook(lambda module, inputs, output: seen.extend([inputs[0], output]))
    network(x)
    linear = nn.functional.linear(x, network[0].weight, network[0].bias)
    expected = [x, linear] if watched == 0 else [linear, linear.relu()]
    torch.testing.assert_close(seen, expected)


def test_an_empty_chain_changes_nothing() -> None:
    network = nn.Sequential(nn.Sequential(), nn.Linear(3, 2))
    assert accelerate(network) == 1
    x = draw((4, 3), 0, torch.float32)
    torch.testing.assert_close(network[0](x), x)
    torch.testing.assert_close(network(x), nn.functional.linear(x, network[1].weight, network[1].bias))


def test_a_chain_is_what_its_parts_are_one_after_the_other() -> None:
    network = nn.Sequential(
        nn.ReLU(), nn.Conv2d(2, 3, 4, 2, 1), nn.ReLU(), nn.ReLU(), nn.ConvTranspose2d(3, 2, 4, 2, 1), nn.Tanh()
    )
    network.append(nn.Conv2d(2, 1, 3)).append(nn.ReLU())
    x = draw((2, 2, 6, 6), 0)
    expected = same(network)(x)
    network.double()
    assert accelerate(network) == 2
    torch.testing.assert_close(network(x), expected)
    assert network[1](x).min() < 0  # by itself, a layer is what it was


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(4, 3), (2, 5, 4)),
        (nn.Linear(4, 3), (4,)),
        (nn.Conv2d(1, 2, 4, 2, 1), (1, 6, 6)),
        (nn.ConvTranspose2d(3, 2, 4, 2, 1), (3, 6, 6)),
        (nn.ConvTranspose2d(3, 2, 3), (3, 6, 6)),
    ],
    ids=repr,
)
def test_inputs_of_other_dimensions_are_left_to_torch(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = draw(shape, 0).requires_grad_()
    expected = same(layer, True)(x)
    torch.testing.assert_close(faster(layer, True)(x), expected)
    weights = draw(expected.shape, 1)
    torch.testing.assert_close(gradients(faster(layer, True), x, weights), gradients(same(layer, True), x, weights))


class Doubled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "layer",
    [
        Doubled(1, 8, 4, 2, 1),
        nn.Conv2d(1, 8, 3, 2, 1),
        nn.Conv2d(1, 8, 4, 2, 1, padding_mode="circular"),
        nn.Conv2d(1, 8, 4, 2, "valid"),
        nn.Conv2d(2, 8, 4, 2, 1, groups=2),
        nn.Conv2d(8, 8, 4, 2, 1, groups=2),
        nn.Bilinear(4, 4, 4),
    ],
    ids=repr,
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    assert accelerate(nn.Sequential(layer)) == 0


def test_an_output_size_is_obeyed() -> None:
    for layer in (nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.ConvTranspose2d(8, 6, 4, 2, 1)):
        x = torch.randn(2, 8, 5, 5, dtype=torch.float64)
        torch.testing.assert_close(faster(layer)(x, (11, 10)), same(layer)(x, (11, 10)))
