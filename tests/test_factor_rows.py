"""The picture of what the data varies."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import Factor, FactoredImages, FactorGrid
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.state import DEVICE, State
from vae_runner.visualisation import FactorRows, Grid, Scene

GRID = FactorGrid(
    [
        Factor("shape", (0, 1, 2), is_category=True, labels=("cube", "ball", "cone")),
        Factor("colour", (1,)),
        Factor("size", tuple(step / 8 for step in range(9))),
    ]
)


class Numbers(FactoredImages, ImageData):
    """Image i of the grid is i / 100 everywhere."""

    grid = GRID
    image_shape = (1, 8, 8)
    provenance: ClassVar[dict[str, str]] = {"source": "made"}

    def __init__(self, listed: Tensor | None = None) -> None:
        self.listed = listed

    def __len__(self) -> int:
        return len(GRID) if self.listed is None else len(self.listed)

    def gather(self, indices: Tensor) -> Tensor:
        return (self.grid_indices(indices) / 100.0).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)

    def to(self, device: torch.device | str) -> "Numbers":
        return self

    def fingerprint(self) -> str:
        return "numbers"

    def showcase(self) -> list[int]:
        return [12]


def rows(picture: FactorRows, data: Numbers) -> Grid:
    def state(phase: str) -> State:
        return {DEVICE: torch.device("cpu")}

    picture.prepare(None, data)
    (grid,) = picture.drawings(Scene(0, 1, Path(), state, lambda steps: {}))
    return grid


def shown(grid: Grid) -> list[list[int]]:
    """Which image of the grid each tile is, row by row; 100 for a white one."""
    return (100 * grid.images[:, 0, 0, 0]).round().int().view(-1, grid.row_size).tolist()


def test_each_row_moves_one_factor_and_keeps_the_others() -> None:
    grid = rows(FactorRows(), Numbers())  # image 12 is a ball, class 1, of size 3
    assert shown(grid) == [[3, 12, 21, *[100] * 6], [9, 10, 11, 12, 13, 14, 15, 16, 17]]
    assert grid.row_labels == ["shape", "size"]
    assert grid.tile_captions[:4] == ["cube", "ball", "cone", ""]
    assert grid.tile_captions[9:12] == ["0", "0.125", "0.25"]
    assert grid.details == {"image": 12, "classes": {"shape": [0, 1, 2], "size": [*range(9)]}}
    assert grid.encode().files[".png"].startswith(b"\x89PNG")


def test_of_many_classes_some_are_shown_from_the_first_to_the_last() -> None:
    grid = rows(FactorRows(image=0, columns=3), Numbers())
    assert shown(grid) == [[0, 9, 18], [0, 4, 8]]
    with pytest.raises(ValueError, match="columns must be from 2 to 1,000,000, got 1"):
        FactorRows(columns=1)


def test_what_the_set_has_no_image_of_is_white() -> None:
    grid = rows(FactorRows(image=0, columns=3), Numbers(torch.tensor([9, 0, 8])))  # starts from image 9 of the grid
    assert shown(grid) == [[0, 9, 100], [9, 100, 100]]


@pytest.mark.parametrize(
    ("picture", "line"),
    [
        (FactorRows(image=27), "image: there is no image 27, the data set has 27: 0 to 26"),
        (FactorRows(scale=5000), "scale=5000: "),
    ],
)
def test_what_does_not_fit_the_data_is_refused(picture: FactorRows, line: str) -> None:
    with pytest.raises(UserError) as caught:
        picture.prepare(None, Numbers())
    assert str(caught.value).startswith(line)


def test_factors_of_one_class_each_cannot_be_moved() -> None:
    class Same(Numbers):
        grid = FactorGrid([Factor("colour", (1,))])

    with pytest.raises(UserError, match="the data set states no factors that could be moved"):
        FactorRows().prepare(None, Same())


def test_data_without_factors_is_told_of_by_the_name_of_the_picture(
    experiment: Callable[..., Engine], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        experiment("visualisation=[factors]", folder=tmp_path)
    assert str(caught.value) == (
        "visualisation.factors.image: the data set states no factors that could be moved; leave factors out of "
        "visualisation"
    )
