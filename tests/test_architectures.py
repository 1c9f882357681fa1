from collections.abc import Callable

import pytest
import torch
from torch import nn

from vae_runner.architectures import ConvDecoder, ConvEncoder, LinearDecoder, MLPDecoder, MLPEncoder
from vae_runner.auto_encoder import VAE
from vae_runner.engine import Engine
from vae_runner.latent_space import NormalSpace
from vae_runner.likelihood import Bernoulli

SHAPES = [(1, 16, 16), (3, 17, 17), (1, 30, 47), (3, 64, 64), (2, 65, 127), (1, 128, 128)]
HIGGINS = {"channels": [32, 32, 64, 64], "hidden": [256]}


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_conv_has_the_published_number_of_parameters() -> None:
    # Burgess et al. 2018 for 1x64x64 and 10 latents, the head counted with the encoder
    vae = VAE(ConvEncoder((1, 64, 64)), [NormalSpace(10)], ConvDecoder(10, (1, 64, 64)), Bernoulli())
    assert count(vae.encoder, vae.head) == 252_052
    assert count(vae.decoder) == 249_953
    assert count(vae) == 502_005


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


def test_images_too_small_for_the_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="8x16 pixels are too small for 4 layers of stride 2: they need 16 pixels"):
        ConvEncoder((1, 8, 16))


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
