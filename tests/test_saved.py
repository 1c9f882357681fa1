"""`vae_runner.load`: a trained run in Python."""

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

import vae_runner
from vae_runner.cli import run as vae_train
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.saved import SavedRun
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


@pytest.mark.slow
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
        "vae_runner.paths.os.system",  # reached through a module of ours
        "torch.nn.modules.module.warnings.warn",
        "vae_runner.files.write_atomically",
        "vae_runner.datasets.reading.download.fetch",  # ours, but no part of a model
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
    with pytest.raises(UserError, match=r"best\.pt is not a complete checkpoint; there is checkpoint=last"):
        vae_runner.load(copy, checkpoint="best", trust=True)
    assert vae_runner.load(copy, checkpoint="last", trust=True).step == 8
    (copy / "checkpoints/last.pt").unlink()
    with pytest.raises(UserError, match=r"last\.pt does not exist"):
        vae_runner.load(copy, checkpoint="last", trust=True)
    with pytest.raises(UserError, match=r"checkpoint: expected one of best, last, previous, got 'first'"):
        vae_runner.load(copy, checkpoint="first", trust=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("have", "taken"),
    [
        ({"last": "whole", "previous": "whole"}, "last"),  # stopped before the first validation
        ({"best": "broken", "last": "whole"}, "last"),
        ({"previous": "whole"}, "previous"),
        ({"best": "broken", "last": "broken", "previous": "whole"}, "previous"),
        ({"best": "whole", "last": "broken"}, "best"),
        ({"best": "broken", "last": "broken"}, None),
        ({}, None),
    ],
)
def test_without_a_best_checkpoint_the_next_one_is_taken_with_a_line(
    have: dict[str, str], taken: str | None, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    whole = (copy / "checkpoints/best.pt").read_bytes()
    shutil.rmtree(copy / "checkpoints")
    (copy / "checkpoints").mkdir()
    for name, state in have.items():
        (copy / f"checkpoints/{name}.pt").write_bytes(whole if state == "whole" else whole[:-10])
    if taken is None:
        with pytest.raises(UserError, match=r"best\.pt .*, and there is no other checkpoint that is whole") as caught:
            vae_runner.load(copy, trust=True)
        assert "\n" not in str(caught.value)
    else:
        assert vae_runner.load(copy, trust=True).step == 8
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(lines) == (taken != "best")
        assert all(line.endswith(f"; taking {taken}.pt, step 8") for line in lines)
    assert {path.stem for path in (copy / "checkpoints").iterdir()} == set(have)


def test_images_are_taken_in_every_form_that_users_have(run: SavedRun, tmp_path: Path) -> None:
    pixels = (run.images(3) * 200).round().to(torch.uint8)  # (3, 1, 16, 16)
    expected = run.encode(pixels.float() / 255)
    array = pixels.numpy()
    files = [tmp_path / f"{number}.png" for number in range(3)]
    pictures = [Image.fromarray(one[0]) for one in array]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file)
    np.save(tmp_path / "first.npy", array[0])
    forms: list[Any] = [
        pixels, array, array.transpose(0, 2, 3, 1), array[:, 0], array.astype(np.float64) / 255, pixels.double() / 255,
        (array / 255).astype(">f4"), array[::-1].copy()[::-1], list(pixels), tuple(array), pictures, files,
        [*map(str, files)], [pixels[0], array[1], files[2]], [pixels[:2], pictures[2]],
        [tmp_path / "first.npy", *files[1:]], (pixels.float() / 255).requires_grad_(),
        [picture.convert("RGB") for picture in pictures],
    ]  # fmt: skip
    for form in forms:
        for codes, wanted in zip(run.encode(form), expected, strict=True):
            torch.testing.assert_close(codes, wanted, atol=1e-5, rtol=1e-5)
    first = run.reconstruct(pixels[:1])
    for one in (pixels[0], array[0], array[0, 0], array[0].transpose(1, 2, 0), pictures[0], files[0], str(files[0])):
        torch.testing.assert_close(run.reconstruct(one), first, atol=1e-5, rtol=1e-5)
        assert torch.equal(run.traverse(one, lin_steps=2).images, run.traverse(pixels[0], lin_steps=2).images)
    large = Image.new("RGB", (40, 30), (255, 0, 0))
    large.save(tmp_path / "large.png")
    torch.testing.assert_close(run.reconstruct(tmp_path / "large.png"), run.reconstruct(large))
    bits = array > 100
    assert torch.equal(run.reconstruct(bits)[0], run.reconstruct(torch.from_numpy(bits).float())[0])


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (torch.full((2, 1, 16, 16), 175.0), r"floats in \[0, 1\], but these go from 175 to 175; divide them by 255"),
        (torch.full((1, 16, 16), -0.5), r"floats in \[0, 1\], but these go from -0\.5 to -0\.5"),
        (torch.full((1, 16, 16), math.nan), r"but these go from nan to nan"),
        (np.full((1, 16, 16), 1.5), r"but these go from 1\.5 to 1\.5"),
        (torch.zeros(1, 16, 16, dtype=torch.int64), r"floats in \[0, 1\], not int64; .* images\.to\(torch\.uint8\)"),
        (np.zeros((1, 16, 16), np.uint16), r"not uint16"),
        (np.zeros((1, 16, 16), complex), r"not complex128"),
        (np.array([["a"]]), r"not <U1"),
        (np.array([None]), r"not object"),
        (torch.zeros(0, 1, 16, 16), r"there are no images in \(0, 1, 16, 16\)"),
        (torch.zeros(2, 1, 8, 8), r"the model knows images \(B, 1, 16, 16\), got \(2, 1, 8, 8\)"),
        (torch.zeros(()), r"got \(\)"),
        (np.zeros((16, 16, 3)), r"got \(16, 16, 3\)"),
        ([], r"there are no images in the list"),
        ([[0.5]], r"a PIL image, the path of a file, or a list of these, not float"),
        (None, r"not NoneType"),
        ({"x": 1}, r"not dict"),
        (b"raw", r"not bytes"),
        ("nowhere.png", r"cannot read nowhere\.png: No such file"),
        ("\x00", r"cannot read \\x00"),
        (Path("."), r"is a folder; give the paths of its images"),
        (__file__, r"not an image"),
    ],
)
def test_what_is_no_image_gets_one_clear_line(run: SavedRun, images: Any, line: str) -> None:
    for use in (run.encode, run.reconstruct):
        with pytest.raises((ValueError, UserError), match=line) as caught:
            use(images)
        assert "\n" not in str(caught.value)
    if images is not None:  # which is the default of these
        for use in (run.traverse, lambda given: run.draw(RandomWalker(), given)):
            with pytest.raises((ValueError, UserError), match=line):
                use(images)


def test_codes_may_be_arrays_and_have_to_be_finite(run: SavedRun) -> None:
    codes = run.encode(run.images(2))
    expected = run.decode(codes)
    assert torch.equal(run.decode(tuple(part.numpy() for part in codes)), expected)
    assert torch.equal(run.decode([part.tolist() for part in codes]), expected)
    for wrong in ("ab", 3, None, (codes[0],), (codes[0], codes[1][:1]), (codes[0] * math.nan, codes[1]), ["a", "b"]):
        with pytest.raises(ValueError, match=r"^codes are \(B, 6\) and \(B, 4\)"):
            run.decode(wrong)  # type: ignore[arg-type]
    for count in (0, -1):
        with pytest.raises(ValueError, match="n must be 1 or more"):
            run.sample(count)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, vae_runner; assert vae_runner.load.__doc__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
