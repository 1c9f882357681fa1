"""A run whose images have moved since, or that is looked at from another working folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from photos import write_photos
from PIL import Image

import vae_runner
from vae_runner import cli
from vae_runner.cli import redraw
from vae_runner.errors import UserError
from vae_runner.visualisation import RandomWalker

SMALL = ["architecture=mlp", "dataset.image_size=16", "dataset.validation=4", "engine.steps=3", "engine.batch_size=4"]
SMALL += [
    "engine.device=cpu",
    "engine.precision=fp32",
    "engine.progress=false",
    "visualisation=[data,samples,schedule]",
]
Redraw = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with `photos` and `run`, whose root was typed as a relative one."""
    base = tmp_path_factory.mktemp("trained")
    write_photos(base / "photos", 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        arguments = ["dataset=folder", "dataset.root=photos", "dataset.cache_dir=cache", *SMALL, "hydra.run.dir=run"]
        assert cli.run(arguments) == 0
    return base


@pytest.fixture
def moved(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own copy of the run, as if it had been trained there; the working folder is another one."""
    base = tmp_path / "base"
    shutil.copytree(trained, base)
    noted = json.loads((base / "run/environment.json").read_text())
    assert noted["root"] == str(trained / "photos")
    (base / "run/environment.json").write_text(json.dumps({**noted, "root": str(base / "photos")}))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return base


@pytest.fixture
def vae_redraw(capfd: pytest.CaptureFixture[str]) -> Redraw:
    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return (redraw.run([*arguments, "--out", "out"]), *capfd.readouterr())

    return call


def test_a_relative_root_is_found_from_another_folder(moved: Path, vae_redraw: Redraw) -> None:
    run = vae_runner.load(moved / "run", device="cpu")
    assert run.images().shape == (4, 3, 16, 16)
    assert vae_redraw(str(moved / "run"))[0] == 0
    assert (Path("out") / "data.png").read_bytes() == (moved / "run/grids/data.png").read_bytes()
    assert cli.run([f"resume={moved / 'run'}", "engine.steps=4", "dataset.cache_dir=cache"]) == 0


def test_the_root_as_typed_is_found_where_all_has_moved_along(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = moved.rename(moved.parent / "renamed")
    monkeypatch.chdir(there)
    assert vae_runner.load("run", device="cpu").images().shape == (4, 3, 16, 16)
    assert cli.run(["resume=run", "engine.steps=4"]) == 0
    assert json.loads(Path("run/environment.json").read_text())["root"] == str(there / "photos")


def test_images_that_are_elsewhere_are_found_by_a_root(moved: Path, vae_redraw: Redraw) -> None:
    before = vae_runner.load(moved / "run", device="cpu").images()
    there = (moved / "photos").rename(moved / "pictures")
    code, _, errors = vae_redraw(str(moved / "run"), "visualisation=[data]")
    assert (code, errors.count("\n")) == (2, 1)
    assert "dataset.root=photos does not exist; set dataset.root=DIR" in errors
    code, output, errors = vae_redraw(str(moved / "run"), f"dataset.root={there}")
    assert (code, errors) == (0, "")
    assert output.splitlines() == ["out/data.png", "out/samples.png", "out/schedule.png", "out/schedule.svg"]
    assert Path("out/data.png").read_bytes() == (moved / "run/grids/data.png").read_bytes()
    with pytest.raises(UserError, match=r"in Python: load\(RUN, root=DIR\)"):
        vae_runner.load(moved / "run").images()
    assert torch.equal(vae_runner.load(moved / "run", device="cpu", root=there).images(), before)


def test_what_shows_no_images_needs_none(moved: Path, vae_redraw: Redraw) -> None:
    shutil.rmtree(moved / "photos")
    shutil.rmtree(moved / "cache")
    wishes = ["visualisation=[samples,random,codes,schedule,curves]", "visualisation.codes.num_steps=3"]
    code, output, errors = vae_redraw(str(moved / "run"), *wishes)
    assert (code, errors) == (0, "")
    assert {Path(line).stem for line in output.splitlines()} == {"samples", "random", "codes", "schedule", "curves"}
    assert Path("out/samples.png").read_bytes() == (moved / "run/grids/samples.png").read_bytes()
    run = vae_runner.load(moved / "run", device="cpu")
    assert run.sample(2).shape == (2, 3, 16, 16)
    assert run.draw(RandomWalker(num_images=4)).images.shape == (4, 3, 16, 16)
    photo = Image.new("RGB", (40, 30), (255, 0, 0))
    assert run.reconstruct(photo).shape == (1, 3, 16, 16)


def test_other_images_in_the_place_of_the_trained_ones_are_told(
    moved: Path, vae_redraw: Redraw, caplog: pytest.LogCaptureFixture
) -> None:
    others = write_photos(moved / "others", 12, (30, 40))
    code, _, errors = vae_redraw(str(moved / "run"), "visualisation=[data]", f"dataset.root={others}")
    assert code == 0
    assert errors.startswith(f"warning: the images in {others} are not those that the run was trained on, from ")
    vae_runner.load(moved / "run", device="cpu", root=others).images()
    assert "are not those that the run was trained on" in caplog.text


def test_pictures_are_drawn_from_the_last_checkpoint_where_there_is_no_best(moved: Path, vae_redraw: Redraw) -> None:
    (moved / "run/checkpoints/best.pt").unlink()
    code, output, errors = vae_redraw(str(moved / "run"), "visualisation=[samples]")
    assert (code, output) == (0, "out/samples.png\n")
    assert errors.startswith("warning: ")
    assert errors.endswith("/best.pt does not exist; taking last.pt, step 3\n")
    (moved / "run/checkpoints/last.pt").write_bytes(b"")
    assert vae_redraw(str(moved / "run"), "visualisation=[samples]", "checkpoint=last")[0] == 2


def test_a_run_without_its_environment_is_resumed_whatever_hydra_has_noted(moved: Path) -> None:
    there = moved.rename(moved.parent / "renamed")
    (there / "run/environment.json").unlink()
    (there / "run/.hydra/hydra.yaml").write_bytes(b"hydra: \x9d\xff")
    arguments = [f"resume={there / 'run'}", "engine.steps=4", f"dataset.root={there / 'photos'}"]
    assert cli.run(arguments) == 0
