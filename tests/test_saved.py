"""`vae_runner.load`: a trained run in Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

import vae_runner
from vae_runner.cli import run as vae_train
from vae_runner.errors import UserError
from vae_runner.experiment.saved import SavedRun
from vae_runner.visualisation import RandomWalker

TESTS = Path(__file__).parent
SMALL = [f"--config-dir={TESTS / 'conf'}", "dataset=toy", "divergence=beta", "engine.steps=8", "engine.batch_size=16"]
SMALL += ["engine.precision=fp32", "engine.progress=false", "visualisation=[data]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with two latent spaces, on data of the tests' own."""
    path = tmp_path_factory.mktemp("run") / "first"
    assert vae_train([*SMALL, "distribution=mixed", f"hydra.run.dir={path}"]) == 0
    return path


@pytest.fixture
def run(folder: Path) -> SavedRun:
    return vae_runner.load(folder, device="cpu", trust=True)  # the data set is the tests' own


def test_a_loaded_run_is_the_trained_model(run: SavedRun, folder: Path) -> None:
    assert (run.step, run.image_shape, run.model.latent_dims) == (8, (1, 16, 16), [6, 4])
    assert run.config["divergence"]["beta"] == 4.0
    assert not run.model.training
    assert not any(parameter.requires_grad for parameter in run.model.parameters())
    saved = torch.load(folder / "checkpoints/best.pt", weights_only=True)["objective"]
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, saved[f"model.{name}"]), name
    assert "step 8, images 1x16x16, 6 normal + 4 exponential latents" in repr(run)


def test_images_are_so_many_of_the_validation_s(run: SavedRun) -> None:
    assert [len(run.images(count)) for count in (1, 2, 7)] == [1, 2, 7]
    held = run.data[1]
    everything = run.images(10**6)
    assert len(everything.flatten(1).unique(dim=0)) == len(everything) == len(held)
    for count in (0, -1):
        with pytest.raises(ValueError, match=f"count must be 1 or more, got {count}"):
            run.images(count)


def test_encode_gives_the_posterior_means_and_draws(run: SavedRun) -> None:
    images = run.images(5)
    expected = [posterior.mean for posterior in run.model.posteriors(images)]
    for part, mean in zip(run.encode(images), expected, strict=True):
        assert torch.equal(part, mean)
    torch.manual_seed(0)
    first = run.encode(images, sample=True)
    assert not torch.equal(first[0], run.encode(images, sample=True)[0])
    assert [part.shape for part in run.encode(images[0])] == [(1, 6), (1, 4)]  # one image is a batch of one


def test_decode_takes_what_encode_gives(run: SavedRun) -> None:
    images = run.images(5)
    decoded = run.decode(run.encode(images))
    assert decoded.shape == images.shape
    assert torch.equal(decoded, run.reconstruct(images))
    with pytest.raises(ValueError, match=r"codes are \(B, 6\) and \(B, 4\), got \(2, 10\)"):
        run.decode(torch.zeros(2, 10))
    with pytest.raises(ValueError, match=r"the model knows images \(B, 1, 16, 16\)"):
        run.encode(torch.zeros(2, 1, 8, 8))


def test_samples_are_a_function_of_the_seed_and_leave_the_generator_alone(run: SavedRun) -> None:
    before = torch.random.get_rng_state()
    first = run.sample(3, seed=1)
    assert first.shape == (3, 1, 16, 16)
    assert torch.equal(first, run.sample(3, seed=1))
    assert not torch.equal(first, run.sample(3, seed=2))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_traverse_walks_all_dimensions_or_the_given_ones(run: SavedRun, tmp_path: Path) -> None:
    assert run.traverse().images.shape == (10 * 11, 1, 16, 16)
    image: Tensor = run.images(1)[0]
    grid = run.traverse(image, lin_start=-1, lin_end=1, lin_steps=3, dims_to_walk=[2], space_id=0)
    codes = [part.clone() for part in run.encode(image)]
    for picture, value in zip(grid.images, (-1, 0, 1), strict=True):
        codes[0][0, 2] = value
        torch.testing.assert_close(picture, run.decode(tuple(codes))[0])
    grid.save(tmp_path / "walk.png")
    with Image.open(tmp_path / "walk.png") as picture:
        assert picture.width > 3 * 16
    assert run.draw(RandomWalker(num_images=4)).images.shape[0] == 4


def test_a_config_from_elsewhere_is_built_only_when_trusted(folder: Path) -> None:
    with pytest.raises(UserError, match=r"names the target 'toy\.Blobs', outside vae_runner and torch; trust"):
        vae_runner.load(folder)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "vae_runner.datasets.cache.os.system",  # reached through a module of ours
        "torch.nn.modules.module.warnings.warn",
        "vae_runner.files.write_atomically",
        "vae_runner.datasets.download.fetch",  # ours, but no part of a model
        "vae_runner.cli.main",
    ],
)
def test_a_hostile_config_builds_nothing(target: str, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["dataset"] = {"_target_": "vae_runner.datasets.dSprites", "root": None}
    config["likelihood"] = {"_target_": target}
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=f"names the target '{target}'"):
        vae_runner.load(copy)


def test_what_is_not_there_or_not_whole_gets_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"^~/nowhere: no run there \(no config.yaml\); give"):
        vae_runner.load("~/nowhere")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert vae_runner.load("~/copy", trust=True).step == 8
    (copy / "checkpoints/best.pt").write_bytes((copy / "checkpoints/best.pt").read_bytes()[:-10])
    with pytest.raises(UserError, match=r"best\.pt is not a complete checkpoint"):
        vae_runner.load(copy, trust=True)
    assert vae_runner.load(copy, checkpoint="last", trust=True).step == 8
    (copy / "checkpoints/last.pt").unlink()
    with pytest.raises(UserError, match=r"last\.pt does not exist"):
        vae_runner.load(copy, checkpoint="last", trust=True)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, vae_runner; assert vae_runner.load.__doc__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
