"""What is wrong with the images of a sweep is told before its folder is made, as it is of a single run."""

from pathlib import Path
from typing import Any

import pytest
from photos import write_photos
from test_cli import Run, vae_train

from vae_runner.errors import UserError
from vae_runner.experiment import sweep_data
from vae_runner.experiment.sweep_data import look_at_data

__all__ = ["vae_train"]  # a fixture


def node(root: Path | str, **settings: Any) -> dict[str, Any]:
    own = {"_target_": "vae_runner.datasets.SimpleImageFolder", "root": str(root), "image_size": 16, "store": False}
    return {**own, "validation": 4, "split_seed": 0, "limit": None, "flip": False, **settings}


def test_sound_images_pass(tmp_path: Path) -> None:
    look_at_data([node(write_photos(tmp_path / "photos", 12, (16, 16), ".png"))])


def test_each_problem_is_told_once(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 12, (16, 16), ".png")
    empty = tmp_path / "empty"
    empty.mkdir()
    nodes = [node(photos), node("nowhere"), node(empty), node("nowhere", split_seed=1), node(photos, validation=12)]
    with pytest.raises(UserError) as told:
        look_at_data(nodes)
    lines = str(told.value).splitlines()
    assert len(lines) == 3
    whole = "dataset.validation=12 of 12 images leaves nothing to train on"
    assert lines[0] == f"{whole}; dataset.validation=0.1 leaves some of each"
    assert lines[1].startswith("dataset.root=nowhere does not exist")
    assert f"under {empty}" in lines[2]


def test_a_set_is_built_once_however_its_images_are_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, built = write_photos(tmp_path / "photos", 12, (16, 16), ".png"), []
    whole = sweep_data.build_set
    monkeypatch.setattr(sweep_data, "build_set", lambda settings: built.append(settings) or whole(settings))
    look_at_data([node(photos, split_seed=seed, limit=limit) for seed in (0, 1) for limit in (None, 10)])
    assert len(built) == 1


@pytest.mark.slow
def test_a_sweep_over_missing_images_makes_no_folder(vae_train: Run, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 12, (16, 16), ".png")
    code, output, errors = vae_train(
        *("--multirun", "dataset=folder", f"dataset.root={photos},nowhere", "dataset.image_size=16", "seed=0,1")
    )
    assert (code, output) == (2, "")
    assert errors.splitlines() == ["vae-train: error: dataset.root=nowhere does not exist; set dataset.root=DIR"]
    assert not (tmp_path / "multirun").exists()
    assert not Path("multirun").exists()
