"""Combinations that are held out of the training, and factors that are correlated in it."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from toy import Bars, Blobs

from vae_runner.datasets import SplitConfig, split
from vae_runner.datasets.factors import Factor, FactoredImages, FactorGrid
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.scoring.curve import parts_of
from vae_runner.experiment.scoring.subject import Settings, Subject


class Grid(FactoredImages):
    """33 x 33 x 10 images of two places and a shape."""

    grid = FactorGrid(
        [
            Factor("x", tuple(range(33))),
            Factor("y", tuple(range(33))),
            Factor("shape", tuple(range(10)), is_category=True, labels=tuple("abcdefghij")),
        ]
    )

    def __len__(self) -> int:
        return len(self.grid)

    def gather(self, indices: torch.Tensor) -> torch.Tensor:
        return (indices / len(self)).float().view(-1, 1, 1, 1)


GRID = Grid.grid


def parts(data: Any = None, validation: float = 100, **settings: Any) -> list[torch.Tensor]:
    """The classes (N, F) of each part."""
    data = Grid() if data is None else data
    found = split(data, SplitConfig(validation=validation, **settings))
    return [part.data.grid.classes_of(part.data.grid_indices(part.indices)) for part in found[:2]]


def is_in_corner(classes: torch.Tensor) -> torch.Tensor:
    return (classes[:, 0] >= 30) & (classes[:, 2] == 1)


def test_a_corner_is_left_to_be_measured_and_never_trained_on() -> None:
    train, held = parts(held_out={"x": "30-32", "shape": "b"}, validation=60)
    assert not is_in_corner(train).any()
    assert is_in_corner(held).all()
    assert len(held) == 60  # of 99
    assert 0 <= len(GRID) - 99 - len(train) <= 60  # and those of the others that had been drawn to be measured
    assert len(parts(held_out={"x": "30-32", "shape": "b"}, validation=500)[1]) == 99
    again = parts(held_out={"x": [30, 31, 32], "shape": 1}, validation=60)
    assert torch.equal(again[1], held)


@pytest.mark.parametrize("width", [0.1, 0.3])
def test_correlated_factors_lie_along_a_line_as_densely_as_it_says(width: float) -> None:
    train, held = parts(correlated=["x", "y", width])
    kept = torch.zeros(33, 33)
    kept.index_put_((train[:, 0], train[:, 1]), torch.ones(len(train)), accumulate=True)
    for gap in (0, 4, 8, 16):
        near = torch.tensor([float(kept[x, x + gap]) for x in range(33 - gap)])
        expected = math.exp(-((gap / 32) ** 2) / (2 * width**2)) * (1 - 100 / len(GRID))
        error = math.sqrt(max(expected * (1 - expected), 1e-3) / (10 * len(near)))
        assert float(near.mean()) / 10 == pytest.approx(expected, abs=4 * error)
    together = torch.corrcoef(held.double().T)[0, 1]
    assert abs(float(together)) < 4 / math.sqrt(len(held))


def test_what_is_kept_follows_from_the_seed_of_the_split_alone() -> None:
    settings: dict[str, Any] = {"correlated": ["x", "y", 0.2], "held_out": {"shape": "0-1"}}
    first, again, other = (parts(split_seed=seed, **settings)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first[:100], other[:100])


def test_lists_of_combinations_are_constrained_too() -> None:
    train, held = parts(Bars(count=200), validation=10, held_out={"height": 3})
    assert (held[:, 1] == 3).all()
    assert not (train[:, 1] == 3).any()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"held_out": {"z": 1}}, "dataset.held_out: there is no factor z, there are x, y, shape"),
        ({"held_out": {"shape": "k"}}, r"dataset.held_out.shape: expected one of a, .*, a number or a range .*got 'k'"),
        ({"held_out": {"x": 33}}, "dataset.held_out.x: 33 is not among its classes, 0 to 32"),
        ({"held_out": {"x": "5-2"}}, "dataset.held_out.x: 5-2 is not among its classes, 0 to 32"),
        ({"held_out": {"x": []}}, "dataset.held_out.x names no class"),
        ({"held_out": {"x": "0-32"}}, "dataset.held_out holds all images out, and leaves nothing to train on"),
        ({"correlated": ["x", "y"]}, r"dataset.correlated must name two factors .*got \['x', 'y'\]"),
        ({"correlated": ["x", "x", 0.2]}, r"dataset.correlated must name two factors .*got \['x', 'x', 0.2\]"),
        ({"correlated": ["x", "y", 0.0]}, "dataset.correlated must name two factors that vary and the width"),
        ({"correlated": ["x", "z", 0.2]}, "dataset.correlated: there is no factor z, there are x, y, shape"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(settings: dict, line: str) -> None:
    with pytest.raises(UserError, match=line) as told:
        parts(**settings)
    assert "\n" not in str(told.value)


def test_sets_without_factors_are_refused() -> None:
    for settings in ({"held_out": {"x": 1}}, {"correlated": ["x", "y", 0.2]}):
        with pytest.raises(UserError, match="is of data sets that know their factors, and this dataset knows none"):
            split(Blobs(), SplitConfig(validation=40, **settings))


@pytest.mark.slow
def test_settings_of_a_run_reach_the_split(experiment: Callable[..., Engine]) -> None:
    engine = experiment("dataset=bars", "dataset.held_out={height: 3}", "dataset.correlated=[width,place,0.3]")
    data = engine.train.data
    classes = [data.grid.classes_of(data.grid_indices(part.indices)) for part in (engine.train, engine.validation)]
    assert not (classes[0][:, 1] == 3).any()
    assert (classes[1][:, 1] == 3).all()
    assert float(torch.corrcoef(classes[0][:, 2:4].double().T)[0, 1]) > 0.4
    engine.train_step()


def test_with_a_test_part_the_corner_is_its_and_no_others() -> None:
    found = split(Grid(), SplitConfig(validation=60, test=50, held_out={"x": "30-32", "shape": "b"}))
    corners = [is_in_corner(GRID.classes_of(part.indices)) for part in found]
    assert [bool(corner.any()) for corner in corners] == [False, False, True]
    assert corners[2].all()
    assert len(found.test) == 50


def test_constraints_are_part_of_the_mark_and_those_on_training_alone_change_nothing_that_is_measured() -> None:
    def marks(**settings: Any) -> tuple[str, str]:
        found = split(Grid(), SplitConfig(validation=60, test=50, **settings))
        return found.mark(), found.measured()

    free, again, along = marks(), marks(), marks(correlated=["x", "y", 0.2])
    corner, spelled = marks(held_out={"x": "30-32", "shape": "b"}), marks(held_out={"x": [30, 31, 32], "shape": 1})
    assert free == again
    assert corner == spelled
    assert len({free[0], along[0], corner[0]}) == 3
    assert free[1] == along[1] != corner[1]


def test_codes_of_other_combinations_are_kept_apart(experiment: Callable[..., Engine], tmp_path: Path) -> None:
    def subject(*overrides: str) -> Subject:
        engine = experiment("dataset=bars", *overrides)
        run = SimpleNamespace(
            folder=tmp_path, config={}, model=engine.objective.model, step=0, checkpoint="best",
            device=torch.device("cpu"), data=parts_of(engine),
        )  # fmt: skip
        return Subject(cast(Any, run), Settings(part="validation"))

    free, corner = subject(), subject("dataset.held_out={height: 3}")
    assert free.about_data()["fingerprint"] == corner.about_data()["fingerprint"]
    assert free.about_data()["of_part"] != corner.about_data()["of_part"]
    assert free._file != corner._file
