from collections.abc import Callable

import pytest
import torch
import yaml
from torch import nn

from vae_runner.architectures import (
    BroadcastDecoder,
    ConvDecoder,
    ConvEncoder,
    LinearDecoder,
    MLPDecoder,
    MLPEncoder,
    ResNetDecoder,
    ResNetEncoder,
)
from vae_runner.architectures.parts import halvings
from vae_runner.architectures.resnet import Enlarged, ResidualBlock
from vae_runner.auto_encoder import VAE
from vae_runner.engine import Engine
from vae_runner.experiment.building import build
from vae_runner.latent_space import NormalSpace
from vae_runner.likelihood import Bernoulli
from vae_runner.paths import config_dir

SHAPES = [(1, 16, 16), (3, 17, 17), (1, 30, 47), (3, 64, 64), (2, 65, 127), (1, 128, 128)]
SHAPES += [(3, 64, 96), (1, 96, 64), (3, 48, 80)]
TOTAL = 33752.80355863478  # of the absolute weights of conv for 64x64, seed 7
PARTS = sorted(
    file.relative_to(config_dir() / "architecture").with_suffix("").as_posix()
    for file in (config_dir() / "architecture").glob("*/*.yaml")
)
HIGGINS = {"channels": [32, 32, 64, 64], "hidden": [256]}


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_conv_has_the_published_number_of_parameters() -> None:
    # Burgess et al. 2018 for 1x64x64 and 10 latents, the head counted with the encoder
    vae = VAE(ConvEncoder((1, 64, 64)), [NormalSpace(10)], ConvDecoder(10, (1, 64, 64)), Bernoulli())
    assert count(vae.encoder, vae.head) == 252_052
    assert count(vae.decoder) == 249_953
    assert count(vae) == 502_005


def test_kernels_of_two_pixels_tile_the_image_without_a_margin() -> None:
    encoder = ConvEncoder((1, 16, 16), channels=[3, 5], hidden=[4], kernels=[4, 2])
    first, second = (layer for layer in encoder.layers if isinstance(layer, nn.Conv2d))
    x = torch.rand(2, 1, 16, 16)
    inner = torch.relu(first(x))
    tiles = inner.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3)  # (B, 4, 4, 3 * 2 * 2)
    expected = (tiles @ second.weight.flatten(1).T + second.bias).permute(0, 3, 1, 2)
    torch.testing.assert_close(second(inner), expected)
    with pytest.raises(ValueError, match="kernels: 2 are given for 4 convolutions"):
        ConvEncoder((1, 64, 64), kernels=[4, 2])


def test_mlp_has_the_layers_of_higgins_2017() -> None:
    widths = [(4096, 1200), (1200, 1200)]
    assert count(MLPEncoder((1, 64, 64))) == sum(a * b + b for a, b in widths)
    widths = [(10, 1200), (1200, 1200), (1200, 1200), (1200, 4096)]
    decoder = MLPDecoder(10, (1, 64, 64))
    assert count(decoder) == sum(a * b + b for a, b in widths)
    assert sum(isinstance(layer, nn.Tanh) for layer in decoder.layers) == 3


def test_conv_higgins_has_the_channels_of_higgins_2017() -> None:
    encoder = ConvEncoder((3, 64, 64), **HIGGINS)
    convolutions = [layer for layer in encoder.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [32, 32, 64, 64]
    assert encoder.num_features == 256


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("encoder", "decoder", "encoder_options", "decoder_options"),
    [
        (ConvEncoder, ConvDecoder, {}, {}),
        (ConvEncoder, ConvDecoder, HIGGINS, {"channels": [64, 64, 32, 32], "hidden": [256]}),
        (MLPEncoder, MLPDecoder, {"hidden": [32]}, {"hidden": [32, 16]}),
        (ConvEncoder, MLPDecoder, {}, {"hidden": [32]}),
        (MLPEncoder, LinearDecoder, {"hidden": [32]}, {"bias": True}),
        (ResNetEncoder, ResNetDecoder, {"width": 4}, {"width": 4}),
        (ConvEncoder, BroadcastDecoder, {}, {"width": 5}),
        (ConvEncoder, BroadcastDecoder, {}, {"width": 3, "convolutions": 0, "doublings": 3}),
        (ResNetEncoder, ConvDecoder, {"width": 3, "max_width": 20, "blocks": 2}, {}),
    ],
)
def test_any_size_and_channel_count(
    shape: tuple[int, int, int],
    encoder: type[nn.Module],
    decoder: type[nn.Module],
    encoder_options: dict,
    decoder_options: dict,
) -> None:
    one, two = encoder(shape, **encoder_options), decoder(5, shape, **decoder_options)
    features = one(torch.rand(2, *shape))
    assert features.shape == (2, one.num_features)
    raw = two(torch.rand(2, 5))
    assert raw.shape == (2, *shape)
    raw.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in two.parameters())


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32), (1, 64, 96), (3, 64, 96)])
@pytest.mark.parametrize("part", PARTS)
def test_every_option_takes_gray_and_coloured_images_of_28_and_32_pixels_and_rectangles(
    part: str, shape: tuple[int, int, int]
) -> None:
    node = yaml.safe_load((config_dir() / "architecture" / f"{part}.yaml").read_text())
    with torch.no_grad():
        if part.startswith("encoder/"):
            encoder = build(node, image_shape=shape)
            assert encoder(torch.rand(2, *shape)).shape == (2, encoder.num_features)
        else:
            assert build(node, image_shape=shape, latent_dim=5)(torch.rand(2, 5)).shape == (2, *shape)


def test_images_too_small_for_the_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="8x16 pixels are too small for 4 layers of stride 2: they need 16 pixels"):
        ConvEncoder((1, 8, 16), channels=[32, 32, 32, 32])


@pytest.mark.parametrize(
    ("size", "channels", "last"),
    [
        ((16, 16), [32] * 2, 4),
        ((32, 32), [32] * 3, 4),
        ((64, 64), [32] * 4, 4),
        ((128, 128), [32] * 4 + [64], 4),
        ((256, 256), [32] * 4 + [64] * 2, 4),
        ((218, 178), [32] * 4 + [64], 5),  # 178 is halved to 89, 44, 22, 11 and 5
        ((47, 300), [32] * 3, 5),
        ((3, 3), [32], 1),
    ],
)
def test_conv_deepens_until_4_to_7_pixels_are_left(size: tuple[int, int], channels: list[int], last: int) -> None:
    encoder, decoder = ConvEncoder((3, *size)), ConvDecoder(8, (3, *size))
    assert [layer.out_channels for layer in encoder.layers if isinstance(layer, nn.Conv2d)] == channels
    up = [layer for layer in decoder.layers if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.in_channels for layer in up] == channels[::-1]
    convolved = encoder.layers[: 2 * len(channels)](torch.zeros(1, 3, *size))
    assert min(convolved.shape[2:]) == last
    assert decoder(torch.zeros(1, 8)).shape == (1, 3, *size)


def test_conv_for_64_pixels_starts_with_the_weights_that_it_always_had() -> None:
    # sums of absolute weights and names of the version in which the four layers were written out
    torch.manual_seed(7)
    encoder, decoder = ConvEncoder((1, 64, 64)), ConvDecoder(10, (1, 64, 64))
    torch.manual_seed(7)
    given = ConvEncoder((1, 64, 64), channels=[32] * 4), ConvDecoder(10, (1, 64, 64), channels=[32] * 4)
    for one, other in zip((encoder, decoder), given, strict=True):
        assert one.state_dict().keys() == other.state_dict().keys()
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())
    total = sum(p.double().abs().sum().item() for module in (encoder, decoder) for p in module.parameters())
    assert total == pytest.approx(TOTAL, rel=1e-9)
    assert list(encoder.state_dict())[:2] == ["layers.0.weight", "layers.0.bias"]


def test_halvings_are_those_of_the_smaller_side() -> None:
    assert [halvings((1, side, 500)) for side in (1, 4, 7, 8, 15, 16, 31, 32, 63, 64, 255, 256)] == [
        1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6,
    ]  # fmt: skip


def test_resnet_has_the_widths_of_its_levels() -> None:
    encoder, decoder = ResNetEncoder((3, 64, 64)), ResNetDecoder(8, (3, 64, 64))
    down = [block.branch[-1].out_channels for block in encoder.layers if isinstance(block, ResidualBlock)]
    assert down == [32, 64, 128, 256]  # at 32, 16, 8 and 4 pixels
    assert encoder.num_features == 256 * 4 * 4
    up = [block.branch[-1].out_channels for block in decoder.layers if isinstance(block, ResidualBlock)]
    assert up == [128, 64, 32, 16, 16]  # at 4, 8, 16, 32 and 64 pixels
    deep = ResNetEncoder((3, 64, 64), width=8, max_width=20, blocks=3)
    assert sum(isinstance(layer, ResidualBlock) for layer in deep.layers) == 12
    assert deep.num_features == 20 * 4 * 4
    assert count(encoder, decoder) < 3e6


def test_a_residual_block_starts_as_its_shortcut() -> None:
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(ResidualBlock(8, 8)(x), x)
    block = ResidualBlock(8, 16)
    torch.testing.assert_close(block(x), block.shortcut(x))
    block(x).square().sum().backward()
    assert block.branch[-1].weight.grad.abs().sum() > 0  # it can leave zero


@pytest.mark.slow
@pytest.mark.parametrize("side", [32, 64, 128])
@pytest.mark.parametrize("blocks", [1, 4])
def test_signals_keep_their_size_through_a_new_resnet(side: int, blocks: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 1, 1).expand(-1, -1, side, side)  # what a mean over pixels leaves as it is
    encoder = ResNetEncoder((3, side, side), width=32, blocks=blocks)
    inner = encoder.layers[:-3](x)[:, :, 1:-1, 1:-1]  # before the norm, away from the borders' zeros
    assert inner.square().mean().item() == pytest.approx(x.square().mean().item(), rel=0.5)
    decoder = ResNetDecoder(64, (3, side, side), width=32, blocks=blocks)
    z = torch.randn(4, 64)
    inner = decoder.layers[:-3](z)
    # of independent neighbours, linear interpolation keeps int (1 - t)^2 + t^2 dt = 2/3 of the variance along each axis
    assert inner.square().mean().item() == pytest.approx(4 / 9, rel=0.5)
    assert 0.2 < decoder(z).square().mean().item() < 2


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("old", "new"), [((4, 4), (8, 8)), ((5, 7), (11, 14)), ((1, 3), (2, 7))])
def test_enlarging_is_bilinear_interpolation(
    old: tuple[int, int], new: tuple[int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(2, 3, *old).contiguous(memory_format=layout).requires_grad_()
    enlarged, expected = Enlarged(old, new)(x), nn.functional.interpolate(x, new, mode="bilinear")
    assert enlarged.is_contiguous(memory_format=layout)
    torch.testing.assert_close(enlarged, expected)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((image * weights).sum(), x)[0] for image in (enlarged, expected)]
    torch.testing.assert_close(*gradients)
    assert Enlarged(old, new).state_dict() == {}


def test_resnet_learns_an_image_quickly() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 24)
    image = torch.stack([ramp.expand(20, -1), ramp[:20, None].expand(-1, 24), (ramp.expand(20, -1) > 0.5).float()])[
        None
    ]
    encoder, decoder = ResNetEncoder((3, 20, 24), width=8), ResNetDecoder(128, (3, 20, 24), width=8)
    head = nn.Linear(encoder.num_features, 128)
    parameters = [*encoder.parameters(), *head.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        loss = (decoder(head(encoder(image))) - image).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01  # the best constant colour is at 0.14


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((8, 8), (4, 4)),
        ((9, 15), (4, 7)),
        ((16, 16), (8, 8)),
        ((28, 28), (14, 14)),
        ((32, 32), (16, 16)),
        ((64, 64), (16, 16)),
        ((127, 80), (31, 20)),
        ((128, 128), (16, 16)),
        ((256, 200), (32, 25)),
    ],
)
def test_broadcast_has_a_grid_of_16_to_31_pixels_whatever_the_size(
    size: tuple[int, int], grid: tuple[int, int]
) -> None:
    decoder = BroadcastDecoder(3, (2, *size), width=4)
    assert decoder.coordinates.shape == (1, 2, *grid)
    assert decoder(torch.zeros(1, 3)).shape == (1, 2, *size)


def test_broadcast_sees_the_code_and_the_place_as_a_convolution_over_both_would() -> None:
    # Watters et al. 2019, algorithm 1: z tiled over the grid beside the two coordinates, then a 1x1 convolution
    decoder, z = BroadcastDecoder(3, (1, 20, 24), width=6), torch.randn(2, 3)
    height, breadth = torch.meshgrid(torch.linspace(-1, 1, 10), torch.linspace(-1, 1, 12), indexing="ij")
    tiled = torch.cat(
        [z[:, :, None, None].expand(-1, -1, 10, 12), torch.stack([height, breadth]).expand(2, -1, -1, -1)], 1
    )
    weight = torch.cat([decoder.of_code.weight[:, :, None, None], decoder.of_place.weight], 1)
    seen = nn.functional.conv2d(tiled, weight, decoder.of_code.bias)
    torch.testing.assert_close(decoder(z), decoder.layers(seen))


def test_broadcast_starts_as_he_the_last_layer_as_glorot() -> None:
    torch.manual_seed(0)
    decoder = BroadcastDecoder(10, (3, 64, 64), width=32)
    fans = [(decoder.of_code, 10), (decoder.of_place, 2), (decoder.layers[1], 32 * 9), (decoder.layers[3], 32 * 9)]
    bounds = [(layer, (6 / fan) ** 0.5) for layer, fan in fans]
    bounds.append((decoder.layers[-1], (6 / (16 * 3 + 16 * 32)) ** 0.5))
    for layer, bound in bounds:
        assert 0.8 * bound < layer.weight.abs().max() <= bound
    assert all((values == 0).all() for name, values in decoder.named_parameters() if name.endswith("bias"))


def test_broadcast_tells_close_codes_apart_where_the_networks_are_in_bf16() -> None:
    decoder, seen = BroadcastDecoder(1, (1, 16, 16)), []
    decoder.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.autocast("cpu", torch.bfloat16):
        decoder(torch.tensor([[1.0], [1.001]]))  # one number in bfloat16
    assert seen[0].dtype == torch.float32
    assert not torch.equal(seen[0][0], seen[0][1])


def test_broadcast_draws_a_square_where_its_code_says_after_a_few_steps() -> None:
    torch.manual_seed(0)
    places = torch.randint(0, 12, (64, 2))
    images = torch.zeros(64, 1, 16, 16)
    for image, (row, column) in zip(images, places.tolist(), strict=True):
        image[0, row : row + 4, column : column + 4] = 1
    decoder = BroadcastDecoder(2, (1, 16, 16), width=16)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(decoder(places / 6 - 1), images)
        loss.backward()
        optimizer.step()
    mean = images.mean(0, keepdim=True).expand_as(images)
    assert loss < 0.5 * nn.functional.binary_cross_entropy(mean, images)  # the best image that is the same for all


def test_a_broadcast_decoder_that_would_have_no_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="8x8 pixels are too small for 4 layers of stride 2"):
        BroadcastDecoder(3, (1, 8, 8), doublings=4)
    with pytest.raises(ValueError, match="width must be positive, got 0"):
        BroadcastDecoder(3, (1, 8, 8), width=0)
    with pytest.raises(ValueError, match="convolutions must not be negative, got -1"):
        BroadcastDecoder(3, (1, 8, 8), convolutions=-1)


def test_widths_must_be_given() -> None:
    with pytest.raises(ValueError, match="hidden must list one positive width or more"):
        MLPEncoder((1, 16, 16), hidden=[])
    with pytest.raises(ValueError, match="channels must list one positive width or more"):
        ConvEncoder((1, 16, 16), channels=[32, 0])


def test_the_linear_decoder_adds_parts() -> None:
    decoder = LinearDecoder(3, (2, 4, 5))
    z = torch.rand(6, 3)
    parts = decoder.layer.weight.unflatten(0, (2, 4, 5))  # (2, 4, 5, 3)
    assert (parts >= 0).all()
    torch.testing.assert_close(decoder(z), torch.einsum("chwd,bd->bchw", parts, z))
    assert decoder.layer.bias is None


def test_the_linear_decoder_starts_with_gray_images() -> None:
    torch.manual_seed(0)
    images = LinearDecoder(50, (1, 64, 64))(torch.distributions.Weibull(1.0, 1.0).sample((200, 50)))
    # 50 latents of mean and variance 1, weights of mean 1/100 and variance 1/50^2/12: 4 sigma of the mean
    variance = 50 * 0.01**2 / 200 + 50 * 0.02**2 / 12 / 64**2
    assert images.mean().item() == pytest.approx(0.5, abs=4 * variance**0.5)


def test_weights_of_the_linear_decoder_are_non_negative_after_every_step(experiment: Callable[..., Engine]) -> None:
    # Squires et al. 2019
    overrides = ["experiment=squires2019_weibull", "dataset=toy", "engine.steps=5", "optimizer.lr=0.1"]
    engine = experiment(*overrides)
    decoder = engine.objective.model.decoder
    for _ in range(5):
        before = decoder.layer.weight.clone()
        engine.train_step()
        assert not torch.equal(decoder.layer.weight, before)
        assert decoder.layer.weight.min() == 0  # some have fallen below and been set to it
    free = experiment(*overrides, "architecture.decoder.non_negative=false").objective.model.decoder
    assert free.layer.weight.min() < 0


def test_the_weibull_preset_is_the_papers(experiment: Callable[..., Engine]) -> None:
    model = experiment("experiment=squires2019_weibull", "dataset=toy").objective.model
    x, target = torch.rand(2, 3, 1, 16, 16).unbind()
    half_squares = (x - target).square().flatten(1).sum(1) / 2
    torch.testing.assert_close(model.likelihood.nll(x, target) - half_squares, torch.full((3,), 256 * 0.918938533))
    prior = model.priors()[0]
    assert (prior.l == 1).all()
    assert (prior.k == 1).all()
