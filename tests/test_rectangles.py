"""Photos of other sizes than squares: `dataset.image_size=[height,width]`, from the setting to the pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import write_photos
from PIL import Image

import vae_runner
from vae_runner.cli import data as data_command
from vae_runner.cli import run as vae_train
from vae_runner.cli.using import use
from vae_runner.datasets import SimpleImageFolder
from vae_runner.experiment.checking.check import check


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 12)


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ("[64]", ": expected int or [int, int], got [64]"),
        ("[64,96,3]", ": expected int or [int, int], got [64, 96, 3]"),
        ("[64,0]", " must be positive, got [64, 0]"),
        ("[64,5000]", " must be at most 4096, got [64, 5000]"),
        ("[64,a]", ": expected int or [int, int], got [64, 'a']"),
        ("64x96", ": expected int or [int, int], got '64x96'"),
        ("null", ": expected int or [int, int], got null"),
        ("0", " must be positive, got 0"),
    ],
)
@pytest.mark.parametrize("dataset", ["folder", "celeba", "celeba_hq"])
def test_a_size_that_is_none_gets_its_line(
    compose: Callable[..., Any], photos: Path, dataset: str, size: str, problem: str
) -> None:
    config = compose(f"dataset={dataset}", f"dataset.root={photos}", f"dataset.image_size={size}")
    assert check(config)[1] == [f"dataset.image_size{problem}"]


def test_a_square_written_as_two_sides_finds_the_store_of_one(photos: Path) -> None:
    one, two = (SimpleImageFolder(photos, image_size=size) for size in (16, [16, 16]))
    assert one._key() == two._key() != SimpleImageFolder(photos, image_size=[16, 24])._key()
    assert one.provenance == two.provenance
    assert SimpleImageFolder(photos, image_size=(16, 24)).provenance["image_size"] == [16, 24]


@pytest.mark.slow
def test_photos_that_are_no_squares_are_trained_on_drawn_and_reconstructed(
    photos: Path, inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["dataset=folder", f"dataset.root={photos}", "dataset.image_size=[16,24]", "dataset.validation=4"]
    quick = ["engine.steps=2", "engine.batch_size=4", "engine.progress=false", "engine.device=cpu"]
    shown = ["visualisation=[data,reconstruction,samples]", "hydra.run.dir=run"]
    assert vae_train([*settings, *quick, *shown]) == 0
    assert vae_train(["resume=run", "engine.steps=3"]) == 0
    run = vae_runner.load("run", device="cpu")
    assert run.image_shape == (3, 16, 24)
    files = sorted(photos.glob("*.jpg"))[:3]
    data = SimpleImageFolder(photos, image_size=(16, 24))
    codes = run.encode(data.gather(torch.arange(3)))
    torch.testing.assert_close(run.encode(files), codes)
    assert use.run(["reconstruct", "run", *map(str, files), "out=made", "engine.device=cpu"]) == 0
    out = capsys.readouterr().out
    assert "3 of 3 images had another size (40x30): the centre part resized to 24x16" in out
    with Image.open(sorted((inside / "made").rglob("*.png"))[0]) as image:
        assert image.width > image.height
    assert data_command.run(["show", *settings, "--out", "sheet.png"]) == 0
