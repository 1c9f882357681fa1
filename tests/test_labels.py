"""What the images of a folder show: a table beside them, or the folders that they are in."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from vae_runner.datasets import SimpleImageFolder, SplitConfig, split
from vae_runner.engine import Engine
from vae_runner.errors import UserError

NAMES = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/old/3.png"]
LINES = ["file,kind,size,weight", "cat/1.png,tabby,3,0.5", "cat/2.png,black,1,2", "dog/1,pug,3,1e1", "3.png,pug,2,2.0"]
TABLE = "\n".join(LINES)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for place, name in enumerate(NAMES):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 50 * place).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def folder(root: Path, **settings: Any) -> SimpleImageFolder:
    return SimpleImageFolder(root, image_size=16, channels=1, cache_dir=root.parent / "cache", **settings)


def check_table(data: SimpleImageFolder) -> None:
    known = data.factors(torch.arange(4))
    assert known["kind"].tolist() == [2, 0, 1, 1]
    assert known["size"].tolist() == [3, 1, 3, 2]
    assert known["weight"].tolist() == [0.5, 2, 10, 2]
    assert data.factor_classes == {"kind": ("black", "pug", "tabby")}
    assert data.grid is not None
    assert [factor.is_category for factor in data.grid.factors] == [True, False, False]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_in_the_folder_names_the_factors_of_each_image(photos: Path, delimiter: str) -> None:
    text = TABLE.replace(",", delimiter)
    (photos / "labels.csv").write_text("\ufeff" + text + "\n", encoding="utf-8")
    check_table(folder(photos, labels="auto"))
    check_table(folder(photos, labels="labels.csv"))
    assert folder(photos).factors(torch.arange(4)) == {}


def test_a_table_elsewhere_is_found_by_its_path(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    check_table(folder(photos, labels=tmp_path / "table.csv"))


def test_a_table_in_a_zip_is_read(photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        for name in NAMES:
            packed.write(photos / name, name)
        packed.writestr("labels.csv", TABLE)
    check_table(folder(tmp_path / "photos.zip", labels="auto"))


def test_folders_are_classes(photos: Path) -> None:
    data = folder(photos, labels="folders")
    assert data.factors(torch.arange(4))["class"].tolist() == [0, 0, 1, 1]
    assert data.factor_classes == {"class": ("cat", "dog")}


def test_labels_go_with_their_images_where_some_are_left_out(photos: Path) -> None:
    (photos / "labels.csv").write_text(TABLE)
    (photos / "cat/2.png").write_bytes(b"no image")
    data = folder(photos, labels="auto", skip_bad=True)
    assert len(data) == 3
    assert data.factors(torch.arange(3))["size"].tolist() == [3, 3, 2]
    few = folder(photos, labels="auto").limited(2, seed=0)
    chosen = [NAMES.index(entry.name) for entry in few.entries]
    assert few.factors(torch.arange(2))["size"].tolist() == [[3, 1, 3, 2][place] for place in chosen]


def test_other_labels_are_another_set(photos: Path) -> None:
    (photos / "labels.csv").write_text(TABLE)
    marks = [folder(photos, labels=which).fingerprint() for which in (None, "auto", "folders")]
    (photos / "labels.csv").write_text(TABLE.replace("pug,2", "pug,1"))
    assert len({*marks, folder(photos, labels="auto").fingerprint()}) == 4
    assert folder(photos).fingerprint() == marks[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", r"expected a first line such as 'file,shape,size', got ''"),
        ("file\ncat/1.png\n", r"expected a first line such as 'file,shape,size', got 'file'"),
        ("file,a,a\n", r"expected a first line such as 'file,shape,size', got 'file,a,a'"),
        (TABLE.replace(",1,2", ",1"), r"labels.csv, line 3: expected 4 values, got 'cat/2.png,black,1'"),
        (TABLE.replace("pug,3", "pug,"), r"labels.csv, line 4: expected 4 values, got 'dog/1,pug,,1e1'"),
        ("\n".join(LINES[:3]), r"labels.csv has no line for 2 of 4 images \(first: dog/1.png\)"),
        (TABLE.replace("cat/1", "cat/7"), r"labels.csv has no line for 1 of 4 images \(first: cat/1.png\)"),
    ],
)
def test_what_is_no_table_of_the_images_is_told_in_a_line(photos: Path, text: str, line: str) -> None:
    (photos / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=line) as told:
        folder(photos, labels="auto")
    assert str(told.value).startswith("dataset.labels=")
    assert "\n" not in str(told.value)


def test_a_table_that_is_not_there_is_told(photos: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.labels=nope.csv: no such file, nor in dataset.root="):
        folder(photos, labels="nope.csv")
    Image.new("L", (16, 16)).save(photos / "alone.png")
    with pytest.raises(UserError, match=r"dataset.labels=folders: alone.png is in no folder below dataset.root"):
        folder(photos, labels="folders")


@pytest.mark.slow
def test_a_scatter_is_coloured_by_a_label_and_pairs_know_them(
    experiment: Callable[..., Engine], photos: Path, tmp_path: Path
) -> None:
    chosen = ["dataset=folder", f"dataset.root={photos}", "dataset.image_size=16", "dataset.labels=folders"]
    chosen += ["dataset.validation=1", "dataset.test=0", "engine.batch_size=2", f"dataset.cache_dir={tmp_path}"]
    engine = experiment(*chosen, "visualisation=[scatter]", "visualisation.scatter.colour=class", folder=tmp_path)
    engine.run()
    assert (tmp_path / "grids/scatter.png").is_file()
    train, *_ = split(engine.train.data, SplitConfig(validation=1))
    with pytest.raises(UserError, match="pairs share all but some of the factors that vary, and here vary class"):
        experiment(*chosen, "divergence=ada_gvae")
    assert len(train) == 3
