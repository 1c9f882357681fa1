"""Scores of models and their images: log p(x) against the closed form, pictures against scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from vae_runner.auto_encoder import VAE
from vae_runner.divergence.discrepancy import SCALES, imq, mmd
from vae_runner.errors import UserError
from vae_runner.evaluation import Evidences, Fidelity, log_evidence, prior_match, psnr, ssim
from vae_runner.evaluation.importance import effective_samples, importance_bound
from vae_runner.latent_space import NormalSpace
from vae_runner.likelihood import Gaussian

PIXELS, DIMS, SIGMA = 6, 3, 0.5


class Decoder(nn.Module):
    """z -> W z as images (B, 1, 2, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(PIXELS, DIMS, generator=torch.Generator().manual_seed(0)))

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.weight.T).unflatten(1, (1, 2, 3))


class Encoder(nn.Module):
    num_features = PIXELS

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def linear_gaussian(wider: float = 1.0) -> tuple[VAE, MultivariateNormal]:
    """A model whose posterior is exact, but for its scale, which may be `wider`, and log p(x) in closed form."""
    model = VAE(Encoder(), [NormalSpace(DIMS)], Decoder(), Gaussian(SIGMA))
    model.requires_grad_(False)
    weight = model.decoder.weight.double()
    precision = torch.eye(DIMS).double() + weight.T @ weight / SIGMA**2
    gain = torch.linalg.solve(precision, weight.T) / SIGMA**2
    scale = precision.inverse().diagonal().sqrt() * wider  # independent latents: as good as such a posterior can be
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.weight[:DIMS] = gain
        zero = model.posteriors(torch.zeros(1, 1, 2, 3))[0]
        start = torch.full((DIMS,), 0.0)
        for _ in range(60):  # whatever maps raw numbers to scales is inverted step by step
            model.head.bias[DIMS:] = start
            zero = model.posteriors(torch.zeros(1, 1, 2, 3))[0]
            start = start + (scale.log() - zero.stddev[0].double().log()).float()
    torch.testing.assert_close(zero.stddev[0].double(), scale, rtol=1e-4, atol=1e-6)
    covariance = weight @ weight.T + SIGMA**2 * torch.eye(PIXELS).double()
    return model, MultivariateNormal(torch.zeros(PIXELS).double(), covariance)


def test_log_p_of_a_linear_gaussian_model_is_the_closed_form() -> None:
    model, exact = linear_gaussian()
    torch.manual_seed(0)
    images = exact.sample((50,)).float().unflatten(1, (1, 2, 3))
    values, effective = log_evidence(model, images, 5000)
    expected = exact.log_prob(images.flatten(1).double())
    assert values.dtype == torch.float64
    assert float(values.mean()) == pytest.approx(float(expected.mean()), abs=0.01)
    assert ((values - expected).abs() < 5 / effective.sqrt()).all()


def test_few_samples_give_the_bound_and_more_of_them_more() -> None:
    model, exact = linear_gaussian(wider=2.0)
    torch.manual_seed(0)
    images = exact.sample((400,)).float().unflatten(1, (1, 2, 3))
    means = [float(log_evidence(model, images, samples)[0].mean()) for samples in (1, 8, 64, 512)]
    assert means == sorted(means)
    q = model.posteriors(images)[0]
    kl = (q.mean.square() + q.variance - 1 - q.variance.log()).sum(1) / 2
    residual = images.flatten(1) - q.mean @ model.decoder.weight.T
    spread = (q.variance @ model.decoder.weight.T.square()).sum(1)
    recon = (residual.square().sum(1) + spread) / (2 * SIGMA**2) + PIXELS * math.log(SIGMA * math.sqrt(2 * math.pi))
    elbo = float((-recon - kl).mean())
    assert means[0] == pytest.approx(elbo, abs=4 * float((recon + kl).std()) / 20)
    assert means[-1] < float(exact.log_prob(images.flatten(1).double()).mean()) + 0.05


@pytest.mark.parametrize("at_once", [1, 7, 64, 10_000])
def test_parts_of_any_size_give_what_all_weights_at_once_do(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import vae_runner.evaluation.unsupervised.log_evidence as module

    model, exact = linear_gaussian(wider=1.5)
    images, weights = exact.sample((4,)).float().unflatten(1, (1, 2, 3)), []
    ratio = module.prior_over_posterior

    def noted(priors, posteriors, codes):
        nll = torch.stack([model.likelihood.nll(model.decoder(z), images) for z in codes[0]]).double()
        weights.append(ratio(priors, posteriors, codes).double() - nll)
        return ratio(priors, posteriors, codes)

    monkeypatch.setattr(module, "prior_over_posterior", noted)
    values, effective = log_evidence(model, images, 40, at_once)
    together = torch.cat(weights)
    assert len(together) == 40
    torch.testing.assert_close(values, importance_bound(together), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(effective, effective_samples(together), rtol=1e-4, atol=1e-4)


class Rough(Decoder):
    """The same, and in bf16 far off, by the code."""

    def forward(self, z: Tensor) -> Tensor:
        off = 0.3 * z[:, :1].sin() + 0.2 if torch.is_autocast_enabled("cpu") else 0.0
        return (z.float() @ self.weight.T + off).unflatten(1, (1, 2, 3))


@pytest.mark.parametrize("at_once", [1000, 5000])
def test_what_bf16_gets_wrong_is_made_good(at_once: int) -> None:
    model, exact = linear_gaussian(wider=1.3)
    images = exact.sample((50,)).float().unflatten(1, (1, 2, 3))
    model.decoder = Rough()
    torch.manual_seed(0)
    values, _ = log_evidence(model, images, 5000, at_once, corrected_by=64)
    expected = exact.log_prob(images.flatten(1).double())
    assert float(values.mean()) == pytest.approx(float(expected.mean()), abs=0.05)  # 64 samples of 0.6 nats off
    values, _ = log_evidence(model, images, 5000, at_once, corrected_by=1000)
    assert float(values.mean()) == pytest.approx(float(expected.mean()), abs=0.02)


@pytest.mark.parametrize("at_once", [4, 12, 1000])
def test_samples_are_drawn_by_their_weights_however_they_come(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import vae_runner.evaluation.unsupervised.log_evidence as module

    model, exact = linear_gaussian(wider=1.5)
    images, codes = exact.sample((4,)).float().unflatten(1, (1, 2, 3)), []
    model.decoder = Rough()
    ratio = module.prior_over_posterior

    def noted(priors, posteriors, drawn):
        codes.append(drawn[0])
        return ratio(priors, posteriors, drawn)

    monkeypatch.setattr(module, "prior_over_posterior", noted)
    torch.manual_seed(0)
    values, _ = log_evidence(model, images, 9, at_once, corrected_by=4000)
    z = torch.cat(codes)
    nll = torch.stack([model.likelihood.nll(model.decoder(part), images) for part in z]).double()
    weights = ratio(model.priors(), model.posteriors(images), [z]).double() - nll
    torch.testing.assert_close(values, importance_bound(weights), rtol=0, atol=0.08)


def test_the_error_of_log_p_is_that_of_a_mean_over_images() -> None:
    values, effective = torch.tensor([1.0, 2.0, 6.0]).double(), torch.tensor([3.0, 5.0, 4.0]).double()
    gathered = Evidences(10)
    gathered.add(values[:2], effective[:2])
    gathered.add(values[2:], effective[2:])
    found = gathered.read()
    error = np.std([1, 2, 6], ddof=1) / math.sqrt(3)
    assert found.value == pytest.approx(3)
    assert found.notes == ["few samples count: log p(x) is higher, and more of them come nearer to it"]
    assert found.others == pytest.approx({"error": error, "effective": 4, "effective_min": 3, "samples": 10})


def test_many_samples_that_count_or_one_alone_have_no_remark() -> None:
    for samples, effective in ((10, 5.0), (1, 1.0)):
        gathered = Evidences(samples)
        gathered.add(torch.zeros(2).double(), torch.full((2,), effective).double())
        assert gathered.read().notes == []


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_compared_as_scikit_image_does(channels: int) -> None:
    random = np.random.default_rng(0)
    one = random.random((3, channels, 16, 21))
    other = (one + 0.2 * random.normal(size=one.shape)).clip(0, 1)
    structure = [structural_similarity(a, b, channel_axis=0, data_range=1.0) for a, b in zip(one, other, strict=True)]
    noise = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(one, other, strict=True)]
    x, y = torch.from_numpy(one), torch.from_numpy(other)
    assert ssim(x, y).tolist() == pytest.approx(structure, rel=1e-9)
    assert psnr(x, y).tolist() == pytest.approx(noise, rel=1e-9)
    gathered = Fidelity()
    gathered.add(x[:1], y[:1])
    gathered.add(x[1:], y[1:])
    found = gathered.read()
    assert found.value == pytest.approx(((one - other) ** 2).mean(), rel=1e-9)
    assert found.others["ssim"] == pytest.approx(np.mean(structure), rel=1e-9)
    assert found.others["psnr_error"] == pytest.approx(np.std(noise, ddof=1) / math.sqrt(3), rel=1e-9)


def test_equal_pictures_and_small_ones_are_defined() -> None:
    images = torch.full((2, 1, 5, 5), 0.5)
    assert psnr(images, images).tolist() == [100, 100]
    with pytest.raises(UserError, match="windows of 7x7 pixels, images of 5x5 have none"):
        ssim(images, images)
    gathered = Fidelity()
    gathered.add(images, images)
    assert gathered.read().notes == ["no SSIM: the images are smaller than its window, 7x7"]


def test_the_match_with_the_prior_is_the_discrepancy_that_wae_is_trained_by() -> None:
    torch.manual_seed(0)
    codes, draws = 0.7 * torch.randn(1100, 3).double() + 0.2, torch.randn(900, 3).double()
    width = 2 * 3 * draws.var(0, correction=0).mean()
    values = []
    for a, b in ((codes, codes), (draws, draws), (codes, draws)):
        squares = (a.unsqueeze(1) - b).square().sum(2)
        values.append(sum(imq(squares, scale * width) for scale in SCALES["imq"]))
    found = prior_match(codes, draws)
    assert found.value == pytest.approx(float(mmd(*values)), rel=1e-9)
    assert found.per_latent == pytest.approx(codes.var(0).tolist(), rel=1e-9)
    assert found.others["latent1/mean"] == pytest.approx(float(codes[:, 1].mean()), rel=1e-9)


def test_codes_drawn_from_the_prior_match_it() -> None:
    random = np.random.default_rng(0)
    apart = [prior_match(random.normal(size=(500, 4)), random.normal(size=(500, 4))).value for _ in range(20)]
    assert abs(np.mean(apart)) < 4 * np.std(apart, ddof=1) / math.sqrt(20)
    assert prior_match(2 * random.normal(size=(500, 4)), random.normal(size=(500, 4))).value > 10 * np.std(apart)
