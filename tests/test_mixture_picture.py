"""Gaussians that are fitted to codes, and the picture of what is drawn of them."""

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import Blobs

from vae_runner import architectures, latent_space, likelihood
from vae_runner.auto_encoder import VAE
from vae_runner.errors import UserError
from vae_runner.state import DEVICE, MODEL, STEP
from vae_runner.visualisation import MixtureSampler, Scene
from vae_runner.visualisation.gaussian_mixture import fit_mixture

SHAPE = (1, 16, 16)


def vae(space: type[latent_space.LatentSpace] = latent_space.NormalSpace, dims: int = 3) -> VAE:
    torch.manual_seed(0)
    ends = architectures.MLPEncoder(SHAPE, (16,)), architectures.MLPDecoder(dims, SHAPE, (16,))
    return VAE(ends[0], [space(dims=dims)], ends[1], likelihood.Bernoulli()).eval()


def scene(model: VAE, images: int = 200) -> Scene:
    data = Blobs(images)
    state = {MODEL: model, STEP: 70, DEVICE: torch.device("cpu")}
    chosen = lambda phase, count: (data, torch.arange(len(data))[:count])  # noqa: E731
    return Scene(70, 100, Path(), lambda phase: state, dict, chosen)


def test_one_gaussian_has_the_moments_of_the_codes() -> None:
    codes = torch.randn(5000, 3, dtype=torch.float64) @ torch.randn(3, 3, dtype=torch.float64) + 5
    mixture = fit_mixture(codes, 1)
    assert np.allclose(mixture.means[0], codes.mean(0), atol=1e-9)
    assert np.allclose(mixture.lower[0] @ mixture.lower[0].T, np.cov(codes.T.numpy(), bias=True), atol=1e-5)
    drawn = mixture.draw(100_000, np.random.default_rng(0)).double()
    assert np.allclose(drawn.mean(0), codes.mean(0), atol=0.05)
    assert np.allclose(np.cov(drawn.T.numpy()), np.cov(codes.T.numpy()), rtol=0.05, atol=0.05)


def test_what_is_drawn_lies_where_codes_are_and_not_between() -> None:
    side = (torch.rand(1000) < 0.8) * 2.0 - 1
    codes = torch.stack([10 * side, torch.randn(1000)], 1) + 0.1 * torch.randn(1000, 2)
    mixture = fit_mixture(codes, 2)
    drawn = mixture.draw(1000, np.random.default_rng(0))
    assert (drawn[:, 0].abs() - 10).abs().max() < 1
    assert float((drawn[:, 0] > 0).float().mean()) == pytest.approx(float((side > 0).float().mean()), abs=0.06)
    still = mixture.draw(1000, np.random.default_rng(0), temperature=0)
    assert len(still.unique(dim=0)) == 2


def test_the_picture_is_the_same_each_time_and_says_what_it_is_of() -> None:
    picture, model = MixtureSampler(num_images=6, row_size=3, components=2, images=100), vae()
    [first], [again] = picture.drawings(scene(model)), picture.drawings(scene(model))
    assert first.images.shape == (6, *SHAPE)
    assert torch.equal(first.images, again.images)
    assert first.title == "samples of a mixture of 2 Gaussians, fitted to the codes of 100 images, step 70"
    codes = torch.tensor(first.details["codes"][0])
    assert torch.allclose(model.decode(codes), first.images, atol=1e-6)


def test_its_codes_are_spread_as_those_of_images() -> None:
    model = vae()
    [drawn] = MixtureSampler(num_images=4000, components=1).drawings(scene(model))
    codes = torch.tensor(drawn.details["codes"][0])
    images = Blobs(200).gather(torch.arange(200))
    (posterior,) = model.posteriors(images)
    spread = posterior.variance.mean(0) + posterior.mean.var(0)
    assert torch.allclose(codes.var(0), spread, rtol=4 * (2 / 200) ** 0.5)  # of one draw of each of 200 images
    assert ((codes.mean(0) - posterior.mean.mean(0)).abs() < 4 * (spread / 200).sqrt()).all()


def test_few_images_are_fitted_by_few_gaussians() -> None:
    [drawn] = MixtureSampler(num_images=4, components=10).drawings(scene(vae(), images=30))
    assert drawn.title.startswith("samples of a Gaussian, fitted to the codes of 30 images")


def test_latents_that_are_not_on_the_whole_line_have_none_and_a_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model, picture = vae(latent_space.ExponentialSpace), MixtureSampler()
    with caplog.at_level(logging.WARNING):
        picture.prepare(model, Blobs())
    assert caplog.messages == ["no picture of a mixture: Gaussians would leave what the prior covers"]
    assert picture.drawings(scene(model)) == []


def test_without_scikit_learn_there_is_none_and_a_line_says_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    picture = MixtureSampler()
    with caplog.at_level(logging.WARNING):
        picture.prepare(vae(), Blobs())
    (line,) = caplog.messages
    assert line.endswith("a mixture needs scikit-learn: pip install 'vae_runner[evaluate]'")
    assert picture.drawings(scene(vae())) == []


def test_a_grid_that_would_be_absurd_is_refused() -> None:
    with pytest.raises(UserError, match="num_images=1000000"):
        MixtureSampler(num_images=1_000_000).prepare(vae(), Blobs())


def test_one_image_alone_makes_none_and_a_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert MixtureSampler().drawings(scene(vae(), images=1)) == []
    assert caplog.messages == ["no picture of a mixture: the codes of 1 image have no spread"]
    assert len(MixtureSampler().drawings(scene(vae(), images=2))) == 1
