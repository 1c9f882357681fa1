"""FID, precision and recall: closed forms, brute force, and networks of features in files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from test_kept_codes import Trained, scores_of, subject_of
from torch import Tensor, nn

from vae_runner.auto_encoder import evaluating
from vae_runner.errors import UserError
from vae_runner.evaluation import FeatureNet, frechet_distance, precision, recall
from vae_runner.experiment.scoring.catalogue import DEFAULT, OF_FEATURES
from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate, known_scores
from vae_runner.randomness import isolated


def gaussian(count: int, mean: np.ndarray, covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draws whose own mean and covariance are just these."""
    raw = np.random.default_rng(seed).normal(size=(count, len(mean)))
    centred = raw - raw.mean(0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_the_distance_of_gaussians_is_the_closed_form() -> None:
    a, b = np.array([4.0, 1.0, 0.25]), np.array([1.0, 9.0, 0.25])
    one, other = gaussian(50, np.zeros(3), np.diag(a)), gaussian(70, np.array([1.0, 2.0, 0.0]), np.diag(b), seed=1)
    found = frechet_distance(one, other)
    assert found.others["means"] == pytest.approx(5, rel=1e-9)
    assert found.value == pytest.approx(5 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)
    assert found.notes == []


def test_the_distance_is_that_of_the_matrix_root_where_covariances_do_not_commute() -> None:
    random = np.random.default_rng(0)
    factors = [random.normal(size=(5, 5)) for _ in range(2)]
    first, second = (one @ one.T + 0.1 * np.eye(5) for one in factors)
    mean = random.normal(size=5)
    one, other = gaussian(60, np.zeros(5), first), gaussian(60, mean, second, seed=1)
    root = sqrtm(first @ second)
    expected = (mean**2).sum() + np.trace(first + second - 2 * root.real)
    assert frechet_distance(one, other).value == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(other, one).value == pytest.approx(expected, rel=1e-8)


def test_equal_features_are_at_distance_nought_and_few_of_them_are_said() -> None:
    features = np.random.default_rng(0).normal(size=(8, 20))  # whose covariance is singular
    found = frechet_distance(features, features[::-1])
    assert found.value == pytest.approx(0, abs=1e-6)
    assert found.notes == ["8 images for 20 features are few: it is too large"]
    assert frechet_distance(np.ones((4, 1)), np.zeros((3, 1))).value == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("score", [frechet_distance, precision, recall])
def test_features_of_other_networks_or_too_few_are_refused(score: Any) -> None:
    for one, other in ((np.zeros((9, 3)), np.zeros((9, 4))), (np.zeros((1, 3)), np.zeros((1, 3)))):
        with pytest.raises(ValueError, match="images, of one network, got"):
            score(one, other)
    with pytest.raises(ValueError, match="codes must be finite"):
        score(np.full((9, 2), np.nan), np.zeros((9, 2)))


def brute_force(balls: np.ndarray, points: np.ndarray, neighbours: int) -> float:
    """The definition, one distance after the other."""
    radii = [sorted(float(np.linalg.norm(a - b)) for b in balls)[neighbours] for a in balls]
    inside = [any(np.linalg.norm(p - a) <= r for a, r in zip(balls, radii, strict=True)) for p in points]
    return float(np.mean(inside))


@pytest.mark.parametrize("width", [2, 100])
@pytest.mark.parametrize("neighbours", [1, 3])
def test_precision_and_recall_are_those_of_their_definition(width: int, neighbours: int) -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(60, width)) + 1000
    samples = 1.3 * random.normal(size=(40, width)) + 1000.2
    shares = precision(images, samples, neighbours).value, recall(images, samples, neighbours).value
    expected = brute_force(images, samples, neighbours), brute_force(samples, images, neighbours)
    assert shares == pytest.approx(expected, abs=1e-12)
    assert 0 < shares[0] < 1


def test_samples_of_one_image_are_precise_and_recall_little() -> None:
    images = np.random.default_rng(0).normal(size=(200, 2))
    samples = images[:1] + 1e-6 * np.random.default_rng(1).normal(size=(100, 2))
    assert precision(images, samples).value == 1
    assert recall(images, samples).value <= 0.01
    assert precision(images, images + 100).value == recall(images, images + 100).value == 0
    assert precision(images, images).value == recall(images, images).value == 1


class Means(nn.Module):
    """The mean of each quarter of the image, and of each channel."""

    def forward(self, images: Tensor) -> Tensor:
        quarters = nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 2).flatten(1)
        return torch.cat([quarters, images.mean((2, 3))], 1)


class Bytes(nn.Module):
    """As the network of StyleGAN's FID is called."""

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        assert images.dtype == torch.uint8
        assert return_features
        return images.float().mean((2, 3))


class Odd(nn.Module):
    """Gives one number for all images."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean()


class NotFinite(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) / 0


def saved(module: nn.Module, file: Path) -> Path:
    torch.jit.script(module).save(str(file))
    return file


pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")


def test_a_module_in_a_file_gives_features_of_gray_images_and_of_bytes(tmp_path: Path) -> None:
    images = torch.rand(5, 1, 8, 8)
    found = FeatureNet.load(saved(Means(), tmp_path / "means.pt"))(images)
    torch.testing.assert_close(found, Means()(images.expand(-1, 3, -1, -1)).double())
    colours = torch.rand(5, 3, 8, 8)
    found = FeatureNet.load(saved(Bytes(), tmp_path / "bytes.pt"))(colours)
    torch.testing.assert_close(found, (colours * 255).round().mean((2, 3)).double())


@pytest.mark.parametrize(
    ("module", "line"),
    [(Odd(), r"gives no features \(B, F\)"), (NotFinite(), "gives features that are not finite"),
     (nn.Conv2d(5, 1, 1), r"takes no images \(1, 8, 8\)")],
)  # fmt: skip
def test_what_gives_no_features_is_told(tmp_path: Path, module: nn.Module, line: str) -> None:
    net = FeatureNet.load(saved(module, tmp_path / "net.pt"))
    with pytest.raises(UserError, match=line) as told:
        net(torch.rand(4, 1, 8, 8))
    assert "\n" not in str(told.value)


def test_a_file_that_holds_no_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        FeatureNet.load(tmp_path / "none.pt")
    for content in (b"", b"PK\x03\x04", b"weights"):
        (tmp_path / "x.pt").write_bytes(content)
        with pytest.raises(UserError, match="is neither a TorchScript module nor weights by name"):
            FeatureNet.load(tmp_path / "x.pt")
    torch.save([1, 2], tmp_path / "x.pt")
    with pytest.raises(UserError, match="is neither a TorchScript module nor weights by name"):
        FeatureNet.load(tmp_path / "x.pt")
    torch.save({"a": torch.zeros(2)}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="the weights are not those of torchvision's inception_v3"):
        FeatureNet.load(tmp_path / "x.pt")


@pytest.mark.slow
def test_weights_of_torchvisions_inception_give_its_features(tmp_path: Path) -> None:
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    published = inception_v3(weights=None, aux_logits=True, transform_input=True, init_weights=False).eval()
    torch.save(published.state_dict(), tmp_path / "inception_v3.pth")
    images = torch.rand(2, 3, 299, 299)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    published.fc = nn.Identity()
    with torch.no_grad():
        expected = published((images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))
    found = FeatureNet.load(tmp_path / "inception_v3.pth")(images)
    assert found.shape == (2, 2048)
    torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-5)


def test_a_runs_samples_are_compared_with_its_images(tmp_path: Path) -> None:
    run, file = Trained(tmp_path), saved(Means(), tmp_path / "means.pt")
    subject = subject_of(run, part="all", inception=str(file))
    found = scores_of(subject, list(OF_FEATURES))
    assert list(found) == ["fid", "precision", "recall"]
    rows, net = subject.some("features", 60), Means()
    images = torch.cat([*subject.images(rows)])
    with isolated(subject.seed("features")), evaluating(run.model):
        draws = torch.cat([prior.sample((len(rows),)) for prior in run.model.priors()], 1)
        samples = run.model.likelihood.mean(run.model.raw(draws))
    one, other = (net(part.expand(-1, 3, -1, -1)) for part in (images, samples))
    for name, score in {"fid": frechet_distance, "precision": precision, "recall": recall}.items():
        assert found[name]["value"] == pytest.approx(score(one, other).value, rel=1e-5)
        assert found[name]["settings"]["inception"] == str(file)
        assert found[name]["images"] == 48


def test_without_a_network_a_line_says_what_is_needed_and_they_are_not_among_the_default_scores(
    tmp_path: Path,
) -> None:
    (left_out,) = evaluate(subject_of(Trained(tmp_path)), ["fid"])
    assert isinstance(left_out, LeftOut)
    assert left_out.reason.startswith("needs a network of features: evaluation.inception=FILE")
    assert not set(DEFAULT) & set(OF_FEATURES)
    assert set(known_scores(None, has_features=True)) == {*DEFAULT, *OF_FEATURES}
