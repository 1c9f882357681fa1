"""The factor contract: an index and its factors determine each other, and partners differ in as many as were asked."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_runner.datasets.factors import Factor, FactoredImages, FactorGrid
from vae_runner.errors import UserError

SHAPE = Factor("shape", (1, 2, 3), is_category=True, labels=("cube", "ball", "cone"))
GRID = FactorGrid(
    [
        Factor("colour", (1,)),
        SHAPE,
        Factor("size", (0.5, 0.75, 1.0, 2.0)),
        Factor("turn", tuple(np.linspace(0, 2 * math.pi, 5)), period=2 * math.pi),
        Factor("hue", (0, 0.25, 0.5, 0.75), is_category=True, period=1),
    ]
)
SIZES = (1, 3, 4, 5, 4)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def differing(one: Tensor, other: Tensor) -> Tensor:
    """(B, F) bool, by NumPy's own order of indices."""
    one, other = (np.stack(np.unravel_index(indices.numpy(), SIZES), -1) for indices in (one, other))
    return torch.from_numpy(one != other)


def test_indices_are_row_major_as_numpy_has_them() -> None:
    indices = np.arange(240)
    classes = np.stack(np.unravel_index(indices, SIZES), -1)
    assert len(GRID) == 240
    assert GRID.sizes == SIZES
    assert np.array_equal(GRID.classes_of(torch.from_numpy(indices)), classes)
    assert np.array_equal(GRID.index_of(torch.from_numpy(classes)), indices)
    assert GRID.index_of(torch.from_numpy(classes.reshape(2, 120, 5))).shape == (2, 120)
    assert GRID.strides == (240, 80, 20, 4, 1)


def test_values_are_those_of_the_classes() -> None:
    expected = [[1.0, 2.0, 1.0, math.pi / 2, 0.75]]
    index = GRID.index_of(torch.tensor([[0, 1, 2, 1, 3]]))
    assert GRID.values_of(index).tolist() == expected


def test_quantities_are_classes_values_or_places_on_a_circle() -> None:
    indices = GRID.index_of(torch.tensor([[0, 2, 3, 0, 1], [0, 1, 0, 4, 3], [0, 0, 0, 1, 0]]))
    found = GRID.quantities(indices)
    assert list(found) == ["shape", "size", "turn", "hue"]  # the colour is the same everywhere
    assert (found["shape"].tolist(), found["shape"].is_floating_point()) == ([2, 1, 0], False)
    assert found["size"].tolist() == [2.0, 0.5, 0.5]
    turn = torch.tensor([[1.0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    assert torch.allclose(found["turn"], turn)  # the end of a full turn is its beginning
    assert torch.allclose(found["hue"], torch.tensor([[0.0, 1], [0, -1], [1, 0]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("classes", "kind", "message"),
    [
        ([0, 3, 0, 0, 0], IndexError, "shape is 3, but has 3 values: 0 to 2"),
        ([0, 0, -1, 0, 0], IndexError, "size is -1, but has 4 values: 0 to 3"),
        ([0, 0, 0, 0], ValueError, r"a combination is 5 integers \(colour, shape, size, turn, hue\), got .*\(4,\)"),
        ([0.0, 0, 0, 0, 0], ValueError, "a combination is 5 integers"),
    ],
)
def test_what_is_no_combination_is_named(classes: list, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        GRID.index_of(torch.tensor(classes))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"values": ()}, "must be finite and rise"),
        ({"values": (1, 1)}, "must be finite and rise"),
        ({"values": (0, math.nan), "is_category": True}, "must be finite"),
        ({"values": (0, 1), "labels": ("a",)}, "has 2 values and 1 labels"),
        ({"values": (0, 1), "period": 0}, "the period of the factor f must be above 0"),
    ],
)
def test_a_factor_that_contradicts_itself_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Factor("f", **settings)


@pytest.mark.parametrize("given", [[], [SHAPE, SHAPE]])
def test_a_grid_needs_factors_of_different_names(given: list[Factor]) -> None:
    with pytest.raises(ValueError, match="names of their own"):
        FactorGrid(given)


@pytest.mark.parametrize("differ", [1, 2, 3, 4])
def test_partners_differ_in_exactly_so_many_factors(differ: int) -> None:
    indices = torch.arange(240).repeat(10)
    partners = GRID.partners(indices, differ, seeded(0))
    assert (differing(indices, partners).sum(1) == differ).all()
    assert ((partners >= 0) & (partners < 240)).all()


@pytest.mark.parametrize("among", [None, torch.ones(240, dtype=torch.bool)])
def test_each_partner_is_as_likely_as_the_draw_of_factors_and_classes_says(among: Tensor | None) -> None:
    start, count, differ = torch.tensor([137]), 60_000, 2
    found = GRID.partners(start.expand(count), differ, seeded(1), among)
    expected = torch.zeros(240, dtype=torch.float64)
    others = np.array(SIZES) - 1
    for index in range(240):
        changed = differing(start, torch.tensor([index]))[0].numpy()
        if changed.sum() == differ:
            expected[index] = 1 / (math.comb(4, differ) * math.prod(others[changed]))
    assert expected.sum().item() == pytest.approx(1)
    share = torch.bincount(found, minlength=240) / count
    assert (share - expected).abs().max() < 5 * math.sqrt(expected.max() / count)
    assert (share[expected == 0] == 0).all()


def test_without_a_number_it_is_drawn_from_one_to_one_less_than_all() -> None:
    indices = torch.arange(240).repeat(50)
    count = differing(indices, GRID.partners(indices, None, seeded(2))).sum(1)
    share = torch.bincount(count, minlength=6) / len(indices)
    assert share[[0, 4, 5]].sum() == 0
    assert (share[1:4] - 1 / 3).abs().max() < 0.03


def test_partners_are_a_function_of_the_generator_alone() -> None:
    indices = torch.arange(240)
    state = torch.random.get_rng_state()
    once, again, other = (GRID.partners(indices, None, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("differ", [None, 1, 3])
def test_partners_stay_among_the_images_that_are_allowed(differ: int | None) -> None:
    among = torch.rand(240, generator=seeded(5)) < 0.6
    indices = among.nonzero()[:, 0].repeat(20)
    partners = GRID.partners(indices, differ, seeded(6), among)
    assert among[partners].all()
    count = differing(indices, partners).sum(1)
    assert ((count >= 1) & (count <= 3)).all() if differ is None else (count == differ).all()


def test_a_partner_that_is_hardly_ever_drawn_is_found_with_its_chance() -> None:
    start = GRID.index_of(torch.tensor([0, 0, 0, 0, 0]))
    allowed = GRID.index_of(torch.tensor([[0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 1, 0, 0, 0]]))
    among = torch.zeros(240, dtype=torch.bool)
    among[allowed] = True
    found = torch.cat([GRID.partners(start[None], 2, seeded(seed), among) for seed in range(600)])
    first, second = ((found == index).float().mean().item() for index in allowed[:2])
    # two ways among shapes and sizes against three among turns and hues: 1 / (2 * 3) to 1 / (4 * 3)
    assert first == pytest.approx(2 / 3, abs=0.08)
    assert first + second == pytest.approx(1)


def test_where_no_partner_is_allowed_the_image_is_named() -> None:
    among = torch.zeros(240, dtype=torch.bool)
    among[0] = True
    for differ, words in {2: "exactly 2", None: "1 to 3"}.items():
        with pytest.raises(UserError, match=f"the image 0 of the grid has no partner that differs in {words} factors"):
            GRID.partners(torch.tensor([0]), differ, seeded(0), among)


@pytest.mark.parametrize("differ", [0, 5, -1])
def test_more_factors_than_vary_cannot_differ(differ: int) -> None:
    with pytest.raises(UserError, match=r"of 4 factors that vary \(shape, size, turn, hue\)"):
        GRID.partners(torch.arange(3), differ, seeded(0))
    with pytest.raises(UserError, match=r"of 0 factors that vary \(none\)"):
        FactorGrid([Factor("colour", (1,))]).partners(torch.arange(1), None, seeded(0))


class Grid(FactoredImages):
    """Image i is the number i."""

    grid = GRID

    def gather(self, indices: Tensor) -> Tensor:
        return indices.view(-1, 1, 1, 1).float()


class Backwards(Grid):
    """Of the complete grid, the images of odd indices, the last one first."""

    listed = torch.arange(239, 0, -2)

    def gather(self, indices: Tensor) -> Tensor:
        return super().gather(self.listed[indices])


@pytest.mark.parametrize("data", [Grid(), Backwards()])
def test_images_and_factors_of_a_set_agree(data: Grid) -> None:
    wanted = torch.tensor([5, 239, 77])
    assert torch.equal(data.images(wanted).flatten().long(), wanted)
    known = data.factors(data.positions(wanted))
    assert all(torch.equal(known[name], of_grid) for name, of_grid in GRID.quantities(wanted).items())
    assert data.factor_classes == {"shape": ("cube", "ball", "cone")}


def test_the_positions_of_a_list_are_those_of_its_images() -> None:
    data = Backwards()
    assert data.positions(torch.tensor([239, 1, 77])).tolist() == [0, 119, 81]
    assert data.grid_indices(torch.tensor([0, 119, 81])).tolist() == [239, 1, 77]
    with pytest.raises(IndexError, match="there is no image of colour 0, shape 0, size 0, turn 1, hue 2"):
        data.images(torch.tensor([1, 6]))


def test_every_pair_of_factors_can_be_the_one_that_changes() -> None:
    changed = differing(torch.zeros(2000, dtype=torch.int64), GRID.partners(torch.zeros(2000).long(), 2, seeded(7)))
    pairs = {tuple(row.nonzero()[:, 0].tolist()) for row in changed}
    assert pairs == set(itertools.combinations([1, 2, 3, 4], 2))
