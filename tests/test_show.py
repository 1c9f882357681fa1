"""`vae-data show`: images of a data set and how many there are of each class, in one picture."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from arrays import FACTOR_COUNTS, write_arrays
from photos import write_photos
from PIL import Image
from test_doctor import Told, vae_data

from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.visualisation.factor_counts import count_chart, counts

__all__ = ["vae_data"]  # a fixture

GRID = FactorGrid([Factor("shape", (0, 1), is_category=True, labels=("dot", "box")), Factor("size", (1, 2, 3))])
SOME = torch.tensor([0, 0, 0, 1, 5])  # three small dots, a dot of size 2, a large box


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def test_counts_are_those_of_the_classes() -> None:
    assert [each.tolist() for each in counts(GRID, SOME)] == [[4, 1], [3, 1, 1]]


def test_bars_are_as_high_as_there_are_images() -> None:
    svg = count_chart(GRID, SOME, "some").svg().decode()
    heights = [float(found) for found in re.findall(r'<rect x=.* height="([\d.]+)" fill="#0072b2"', svg)]
    assert heights == pytest.approx([90, 90 / 4, 90, 90 / 3, 90 / 3], abs=0.01)
    assert ">box<" in svg


def test_a_pair_of_factors_is_a_patch_for_each_two_classes() -> None:
    svg = count_chart(GRID, SOME, "some", pair=("shape", "size")).svg().decode()
    patches = svg.partition(">size over shape<")[2]
    colours = re.findall(r'<rect x=.* fill="(#\w+)"', patches)
    assert len(colours) == 6
    assert [colour == colours[1] for colour in colours] == [False, True, False, True, True, False]  # no images there
    assert colours[0] == "#fde725"


def test_a_sheet_shows_images_above_the_counts(tmp_path: Path, inside: Path, vae_data: Told) -> None:
    write_arrays(tmp_path)
    chosen = ["dataset=arrays", "dataset.images=bars.npz", f"dataset.root={tmp_path}", f"dataset.cache_dir={tmp_path}"]
    code, out, _ = vae_data("show", *chosen)
    assert (code, out.split()[0]) == (0, "data.png")
    alone = pixels(inside / "data.png")
    assert alone.std() > 10
    code, _, _ = vae_data("show", *chosen, "dataset.factors=bars.npz", "--out", inside / "known.png")
    assert len(pixels(inside / "known.png")) > len(alone) + 300
    assert sum(FACTOR_COUNTS) == 13


def test_of_a_folder_no_store_is_made(tmp_path: Path, inside: Path, vae_data: Told) -> None:
    photos = write_photos(tmp_path / "photos", 5)
    (photos / "labels.csv").write_text(
        "file,kind\n" + "".join(f"{path.name},{path.stem}\n" for path in photos.iterdir())
    )
    code, _, _ = vae_data("show", "dataset=folder", f"dataset.root={photos}", f"dataset.cache_dir={tmp_path / 'cache'}")
    assert code == 0
    assert not list((tmp_path / "cache").glob("images-*"))
    assert len(pixels(inside / "data.png")) > 300


@pytest.mark.parametrize("out", ["x.jpg", "nowhere/x.png", ""])
def test_where_nothing_can_be_written_is_told_before_anything_is_read(inside: Path, vae_data: Told, out: str) -> None:
    code, _, errors = vae_data("show", "dataset=nowhere", "--out", out)
    assert (code, errors.count("\n")) == (2, 1)
    assert f"--out {out}: give a file that ends in .png, in a folder that is there" in errors
