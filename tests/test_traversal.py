"""The labelled traversal, and which factor a latent follows."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import pictures_of
from copying import Space, codes, make_state, run
from torch import Tensor
from torch.distributions import Distribution, Exponential, Gamma, Normal

from vae_runner.datasets import dSprites
from vae_runner.drawing.grid import FADED
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.state import FACTORS, MODEL, X
from vae_runner.visualisation import Grid, Traversal, draw
from vae_runner.visualisation.association import association, followed
from vae_runner.visualisation.walking.walker import AT_ONCE


def sharp(raw: Tensor) -> Distribution:
    return Normal(raw, 1e-6, validate_args=False)


def walked(grid: Any, panels: int, rows: int, steps: int, lead: int = 2) -> Tensor:
    """The codes of the walked tiles, (panels, rows, steps, 4)."""
    return codes(grid, panels, rows, lead + steps)[:, :, lead:]


def test_of_many_latents_those_that_carry_most_are_shown() -> None:
    state = make_state()
    every, first = run(Traversal(-1, 1, 3, most=None), state), run(Traversal(-1, 1, 3, most=2), state)
    assert first.details["rows"] == every.details["rows"][:2]
    torch.testing.assert_close(first.images, every.images[:10])
    assert first.caption == every.caption + "; 2 more latents carry less"
    assert Traversal(-1, 1, 3, most=2).grid_size(state[MODEL], 6)[1:] == (2, 5)
    asked_for = run(Traversal(-1, 1, 3, dims_to_walk=[3, 0, 1], most=2), state)
    assert [row["dim"] for row in asked_for.details["rows"]] == [3, 0, 1]


def test_each_row_starts_with_the_image_and_its_reconstruction_set_apart() -> None:
    state = make_state()
    grid = run(Traversal(-1, 1, 3, images=[4, 1]), state)
    tiles = codes(grid, 2, 4, 5)
    for panel, image in enumerate([4, 1]):
        for column in range(2):  # the copying model reconstructs exactly
            torch.testing.assert_close(tiles[panel, :, column], state[X][image].flatten().expand(4, 4))
    assert (grid.lead, list(grid.column_labels)) == (2, ["input", "recon", "-1.00", "+0.00", "+1.00"])
    assert grid.headings == {0: "from image 4", 4: "from image 1"}
    for row, record in enumerate(grid.details["rows"]):
        others = [dim for dim in range(4) if dim != record["dim"]]
        for panel, image in enumerate([4, 1]):
            shown = walked(grid, 2, 4, 3)[panel, row]
            assert shown[:, record["dim"]].tolist() == [-1, 0, 1]
            torch.testing.assert_close(shown[:, others], state[X][image].flatten()[others].expand(3, 3))


def test_a_number_of_images_is_the_first_ones_and_one_panel_needs_no_heading() -> None:
    assert list(run(Traversal(images=2), make_state()).headings.values()) == ["from image 0", "from image 1"]
    assert run(Traversal(), make_state()).headings == {}
    fewer = run(Traversal(images=3), make_state(images=2))  # all where there are fewer
    assert list(fewer.headings.values()) == ["from image 0", "from image 1"]
    assert len(fewer.images) == 2 * 4 * 13
    again = run(Traversal(images=[0, 1, 2]), make_state(images=2))  # a place is one of the first again
    assert torch.equal(*codes(again, 3, 4, 13)[[0, 2]])


def test_codes_are_decoded_in_parts_that_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    state = make_state(images=60)
    decode, sizes = state[MODEL].decode, []
    monkeypatch.setattr(state[MODEL], "decode", lambda codes: sizes.append(len(codes)) or decode(codes))
    grid = run(Traversal(-1, 1, 5, images=60), state)
    assert max(sizes) == AT_ONCE < 60 * 4 * 5
    start = state[X][59].flatten()
    shown = walked(grid, 60, 4, 5)[59]
    for row, record in enumerate(grid.details["rows"]):
        expected = start.repeat(5, 1)
        expected[:, record["dim"]] = torch.tensor(record["values"])
        torch.testing.assert_close(shown[row], expected)


def test_from_the_prior_the_walk_starts_at_its_mean() -> None:
    grid = run(Traversal(0.5, 1, 2, start="prior"), make_state(Space(4, Exponential(4.0))))
    tiles = codes(grid, 4, 3)
    assert tiles[:, 0].unique().tolist() == [0.25]
    assert grid.column_labels[0] == "start"
    for row, record in enumerate(grid.details["rows"]):
        others = [dim for dim in range(4) if dim != record["dim"]]
        assert tiles[row, 1:, others].unique().tolist() == [0.25]


def test_a_posterior_walk_goes_evenly_between_quantiles_of_the_codes() -> None:
    state = make_state(Space(4, posterior=sharp), images=201)
    state[X] = (torch.linspace(0, 1, 201)[:, None] * torch.tensor([1.0, 2, 4, -8])).view(-1, 1, 2, 2)
    grid = run(Traversal(-1, 1, 3, dims_to_walk=[0, 1, 2, 3], walk="posterior"), state)
    low, high = (1 + math.erf(-1 / math.sqrt(2))) / 2, (1 + math.erf(1 / math.sqrt(2))) / 2
    for row, size in enumerate([1, 2, 4, -8]):
        first, last = sorted([size * low, size * high])
        values = walked(grid, 1, 4, 3)[0, row, :, row].tolist()
        assert values == pytest.approx([first, (first + last) / 2, last], abs=0.01 * abs(size))
    assert list(grid.column_labels) == ["input", "recon", "", "", ""]
    assert grid.tile_captions[:5] == ["", "", "+0.16", "+0.50", "+0.84"]


def test_a_posterior_walk_takes_the_spread_of_each_posterior_in() -> None:
    state = make_state(images=400)  # q(z|x) = N(x, 1), x in [0, 1]
    values = run(Traversal(-2, 2, 2, walk="posterior"), state).details["rows"][0]["values"]
    assert values[0] == pytest.approx(0.5 - 2 * math.sqrt(1 + 1 / 12), abs=0.15)


def test_a_posterior_walk_needs_no_quantiles_of_the_prior(experiment: Callable[..., Engine]) -> None:
    state = make_state(Space(4, Gamma(2.0, 1.0), lambda raw: Gamma(2 + raw, 1.0)))
    Traversal(walk="posterior").prepare(state[MODEL], experiment().train.data)
    assert (torch.tensor(run(Traversal(walk="posterior"), state).details["codes"]) > 0).all()


def with_kl(*means: float) -> Any:
    """A state whose posteriors are N(mean, 1): KL = mean^2 / 2."""
    state = make_state()
    state[X] = torch.tensor(means).view(1, 1, 2, 2)
    return state


@pytest.mark.parametrize(
    ("dead", "dims", "dimmed"), [("dim", [1, 3, 0, 2], [2, 3]), ("show", [1, 3, 0, 2], []), ("hide", [1, 3], [])]
)
def test_dead_dimensions_are_dimmed_shown_or_hidden(dead: Any, dims: list[int], dimmed: list[int]) -> None:
    grid = run(Traversal(dead=dead), with_kl(0.3, 3.0, 0.0, 0.5))  # 0.045, 4.5, 0, 0.125 nats
    assert [record["dim"] for record in grid.details["rows"]] == dims
    assert list(grid.dimmed) == dimmed
    assert [record["dead"] for record in grid.details["rows"]] == [False, False, True, True][: len(dims)]


def test_where_all_are_dead_the_first_is_still_shown() -> None:
    grid = run(Traversal(dead="hide", dead_below=9), with_kl(0.1, 3.0, 0.0, 0.2))
    assert [record["dim"] for record in grid.details["rows"]] == [1]


@pytest.mark.parametrize("ground", [0.0, 1.0, 0.5])
def test_dimmed_rows_lose_their_contrast_and_keep_their_ground_but_for_the_image(ground: float) -> None:
    images = torch.full((4, 1, 5, 5), ground)
    images[:, :, 2, 2] = 0.25
    grid = Grid(images, 2, lead=1, dimmed=[1])
    picture, layout = np.asarray(draw(grid)), grid.encode().details["layout"]

    def pixel(row: int, column: int, place: int) -> int:
        y, x, scale = layout["tops"][row], layout["lefts"][column], layout["scale"]
        return int(picture[y + place * scale, x + place * scale, 0])

    assert [pixel(row, column, 0) for row in (0, 1) for column in (0, 1)] == [round(255 * ground)] * 4
    assert [pixel(0, 0, 2), pixel(0, 1, 2), pixel(1, 0, 2)] == [64, 64, 64]
    assert pixel(1, 1, 2) == pytest.approx(255 * ground + FADED * (64 - 255 * ground), abs=1)


def test_layout_says_where_the_tiles_are() -> None:
    state = make_state()
    grid = run(Traversal(0, 1, 4, images=2), state)
    encoded = grid.encode()
    picture, layout = np.asarray(draw(grid)), encoded.details["layout"]
    assert layout["columns"] == 4
    assert layout["rows"] == 4  # up to the second panel's heading
    pixels = grid.images.reshape(8, 6, 2, 2)
    for row in range(4):
        for column in range(4):
            y = layout["top"] + row * (layout["tile_height"] + layout["gap"])
            x = layout["left"] + column * (layout["tile_width"] + layout["gap"])
            shown = picture[y : y + layout["tile_height"] : layout["scale"], x : x + layout["tile_width"] :, 0]
            expected = (pixels[row, column + 2] * 255).round().byte().numpy()
            if row not in grid.dimmed:
                assert np.array_equal(shown[:, :: layout["scale"]], expected)
    assert layout["lefts"][2] - layout["lefts"][1] > layout["lefts"][1] - layout["lefts"][0]
    assert len(layout["tops"]) == 8


def test_labels_say_index_kl_and_the_factor_followed_from_0_3_up() -> None:
    state = make_state(images=50)
    place = state[X].flatten(1)[:, 2]
    state[FACTORS] = {"noise": torch.rand(50, generator=torch.Generator().manual_seed(9)), "posX": place.square()}
    grid = run(Traversal(dims_to_walk=[2, 3]), state)
    assert grid.row_labels[0][0::2] == ("z2", "posX 1.00")
    assert grid.row_labels[0][1].endswith(" nats")
    assert grid.row_labels[1][2] == ""
    assert grid.details["rows"][0]["factor"] == "posX"
    assert "factor" in grid.caption
    assert "factor" not in run(Traversal(), make_state()).caption


def test_dead_dimensions_follow_nothing() -> None:
    state = make_state(images=50)
    state[FACTORS] = {"a": state[X].flatten(1)[:, 0]}
    assert run(Traversal(dead_below=1e3), state).row_labels[0][2] == ""


def test_spaces_are_named_where_there_are_several() -> None:
    grid = run(Traversal(), make_state(Space(2), Space(2)))
    assert {label[0] for label in grid.row_labels} == {"space0 z0", "space0 z1", "space1 z0", "space1 z1"}


def test_spearman_of_known_figures() -> None:
    # ranks differ by 1, 1, 1, 1, 2: 1 - 6 (1 + 1 + 1 + 1 + 4) / (5 (25 - 1)) = 0.6
    assert association(torch.tensor([1.0, 2, 3, 4, 5]), torch.tensor([20.0, 10, 30, 60, 28])) == pytest.approx(0.6)
    assert association(torch.tensor([1.0, 2, 3, 4]), torch.tensor([-1.0, -8, -27, -64])) == pytest.approx(1)
    # ties have their mean rank: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4 give 4.5 / sqrt(4.5 * 5)
    ties = association(torch.tensor([1.0, 2, 3, 4]), torch.tensor([0.0, 5, 5, 9]))
    assert ties == pytest.approx(4.5 / math.sqrt(22.5))


def test_the_correlation_ratio_of_the_textbook() -> None:
    # Fisher's ratio in the common example: algebra, geometry, statistics; sums of squares 9640 and 6780
    scores = {0: [45, 70, 29, 15, 21], 1: [40, 20, 30, 42], 2: [65, 95, 80, 70, 85, 73]}
    code = torch.tensor([float(score) for part in scores.values() for score in part])
    classes = torch.tensor([name for name, part in scores.items() for _ in part])
    assert association(code, classes) == pytest.approx(math.sqrt(6780 / 9640), abs=1e-9)


def test_a_latent_that_is_a_mixture_of_cosine_and_sine_follows_the_angle() -> None:
    angle = torch.linspace(0, 2 * math.pi, 41)[:-1].double()
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    assert association((angle + 1).cos(), circle) == pytest.approx(1)
    assert association((2 * angle).cos(), circle) == pytest.approx(0, abs=1e-6)


def test_what_does_not_vary_or_is_not_finite_follows_nothing() -> None:
    code = torch.tensor([1.0, 2, 3])
    assert math.isnan(association(code, torch.tensor([4, 4, 4])))
    assert math.isnan(association(torch.tensor([1.0, math.nan, 3]), code))
    assert followed(torch.stack([code, torch.ones(3)], 1), {"a": code})[1] is None


def test_the_best_factor_is_taken_and_only_from_the_threshold_up() -> None:
    generator = random.Random(0)
    noise = torch.tensor([generator.gauss(0, 1) for _ in range(400)])
    factor = torch.tensor([generator.gauss(0, 1) for _ in range(400)])
    weak, strong = followed(torch.stack([factor + 8 * noise, factor + 0.3 * noise], 1), {"f": factor, "g": noise.abs()})
    assert weak is None
    assert (strong.factor, strong.strength > 0.9) == ("f", True)


def test_dsprites_knows_its_factors(cache: Path) -> None:
    data = dSprites(None, source="render", cache_dir=cache)
    indices = torch.from_numpy(data.index_of([(0, 0, 1, 3, 5, 7), (0, 1, 5, 3, 31, 0), (0, 2, 0, 13, 0, 31)]))
    factors = data.factors(indices)
    assert list(factors) == ["shape", "scale", "orientation", "posX", "posY"]  # the color is the same everywhere
    assert factors["shape"].tolist() == [0, 1, 2]
    assert factors["scale"].tolist() == pytest.approx([0.6, 1.0, 0.5])
    assert factors["posX"].tolist() == pytest.approx([5 / 31, 1, 0])
    assert factors["posY"].tolist() == pytest.approx([7 / 31, 0, 1])
    turns = [4 * 3 / 39, 2 * 3 / 39, 13 / 39]
    expected = [[math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)] for turn in turns]
    assert torch.allclose(factors["orientation"], torch.tensor(expected, dtype=torch.float64))
    # a square after a quarter of a turn looks the same: the classes are a full turn of 39 steps
    assert not factors["shape"].is_floating_point()


def test_an_unknown_place_of_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="images must name images of the batch"):
        Traversal(images=[])
    with pytest.raises(ValueError, match="images must"):
        Traversal(images=[-1])


def test_from_yaml(experiment: Callable[..., Engine], tmp_path: Path) -> None:
    engine = experiment(
        "visualisation.traversal.images=[2,0]", "visualisation.traversal.walk=posterior", folder=tmp_path
    )
    picture = pictures_of(engine).walkers["traversal"]
    assert (picture.images, picture.walk, picture.dead, picture.lin_steps) == ([2, 0], "posterior", "dim", 11)
    with pytest.raises(UserError, match=r"visualisation\.traversal\.dims_to_walk: 12 is not one of"):
        experiment("visualisation.traversal.dims_to_walk=[12]", folder=tmp_path)
    large = ["visualisation.traversal.images=1000", "visualisation.traversal.lin_steps=4000"]
    with pytest.raises(UserError, match=r"^visualisation\.traversal\.images=1000: 2,000 x 4,002 images"):
        experiment(*large, folder=tmp_path)
