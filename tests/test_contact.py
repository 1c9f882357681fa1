"""Contact sheets: which images of which run stand where, pixel by pixel."""

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_sweep import make_run

from vae_runner.report.sweep import read_sweep
from vae_runner.report.sweep.contact import MOST_RUNS, _latent, contact_sheet, shared_pictures

Pixels = NDArray[np.uint8]
LAYOUT = {"left": 31, "top": 17, "gap": 3, "columns": 8, "rows": 4, "scale": 3, "tile_width": 36, "tile_height": 30}


def image(*key: int, size: tuple[int, int] = (12, 10)) -> Pixels:
    """An image (height, width, 3) as a model makes it, which no other key has."""
    return np.random.default_rng(key).integers(0, 250, (size[1], size[0], 3), np.uint8)


def paint(run: Path, name: str, tiles: dict[tuple[int, int], Pixels], **changes: Any) -> None:
    """A picture whose images stand where its JSON file says."""
    at = LAYOUT | changes.get("layout", {})
    width, height = at["tile_width"] + at["gap"], at["tile_height"] + at["gap"]
    picture = np.full((at["top"] + at["rows"] * height + 20, at["left"] + at["columns"] * width + 9, 3), 255, np.uint8)
    picture[0, 0] = (255, 0, 255)  # what no image has: a whole picture is found by it
    for (row, column), tile in tiles.items():
        y, x = at["top"] + row * height, at["left"] + column * width
        scaled = tile.repeat(at["scale"], 0).repeat(at["scale"], 1)
        picture[y : y + scaled.shape[0], x : x + scaled.shape[1]] = scaled
    (run / "grids").mkdir(exist_ok=True)
    Image.fromarray(picture).save(run / "grids" / f"{name}.png")
    details = {"step": 100, "layout": at} | changes.get("details", {})
    (run / "grids" / f"{name}.json").write_text(json.dumps(details))


def grid(first: int, **layout: int) -> dict[tuple[int, int], Pixels]:
    at = LAYOUT | layout
    size = at["tile_width"] // at["scale"], at["tile_height"] // at["scale"]
    return {(r, c): image(first, r, c, size=size) for r in range(at["rows"]) for c in range(at["columns"])}


def runs(folder: Path, count: int = 3) -> list[Path]:
    return [make_run(folder / f"{seed}", 70.0 - seed, config={"seed": seed}) for seed in range(count)]


def sheet(folder: Path, name: str) -> Pixels:
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    data = contact_sheet(read_sweep(found, folder), name)
    return np.asarray(Image.open(io.BytesIO(data)))


def find(shown: Pixels, tile: Pixels, scale: int) -> list[tuple[int, int]]:
    """Where the image, so many times enlarged, stands on the sheet: (y, x) of its upper left corners."""
    enlarged = tile.repeat(scale, 0).repeat(scale, 1)
    height, width, _ = enlarged.shape
    corners = np.argwhere((shown == enlarged[0, 0]).all(-1))
    return [(y, x) for y, x in corners.tolist() if np.array_equal(shown[y : y + height, x : x + width], enlarged)]


def only(shown: Pixels, tile: Pixels, scale: int = 4) -> tuple[int, int]:
    ((y, x),) = find(shown, tile, scale)
    return y, x


def assert_in_rows(places: list[list[tuple[int, int]]], width: int) -> None:
    """Each row on one line, below the one before, its images so many pixels apart, all rows beginning alike."""
    assert all(len({y for y, _ in row}) == 1 for row in places)
    assert [row[0][0] for row in places] == sorted({row[0][0] for row in places})
    assert {tuple(x - row[0][1] for _, x in row) for row in places} == {tuple(range(0, width * len(places[0]), width))}
    assert len({row[0][1] for row in places}) == 1


def test_reconstructions_stand_below_the_images_that_all_runs_were_given(tmp_path: Path) -> None:
    grids = []
    for number, run in enumerate(runs(tmp_path)):
        tiles = grid(number) | {(0, column): image(99, 0, column) for column in range(8)}
        paint(run, "reconstruction", tiles)
        grids.append(tiles)
    shown = sheet(tmp_path, "reconstruction")
    places = [[only(shown, image(99, 0, column)) for column in range(8)]]
    places += [[only(shown, tiles[1, column]) for column in range(8)] for tiles in grids]
    assert_in_rows(places, width=4 * 12 + 2)
    assert not find(shown, grids[0][2, 0], 4)
    assert not find(shown, grids[0][3, 0], 4)


def test_each_run_has_its_own_inputs_where_they_are_not_the_same(tmp_path: Path) -> None:
    for number, run in enumerate(runs(tmp_path, 2)):
        paint(run, "reconstruction", grid(number))
    shown = sheet(tmp_path, "reconstruction")
    rows = [(number, row) for number in range(2) for row in range(2)]
    assert_in_rows([[only(shown, image(number, row, c)) for c in range(8)] for number, row in rows], width=50)


def test_of_a_traversal_the_first_three_latents_are_shown(tmp_path: Path) -> None:
    for number, run in enumerate(runs(tmp_path, 2)):
        values = np.linspace(-2, 2, 8).tolist()
        details = {
            "rows": [
                {"space": 0, "dim": dim, "kl_nats": kl, "values": values, "factor": factor}
                for dim, kl, factor in ((4, 2.5, "posX"), (2, 1.5, None), (0, 0.5, None), (1, 0.25, None))
            ]
        }
        paint(run, "traversal", grid(number), details=details)
    shown = sheet(tmp_path, "traversal")
    rows = [(number, row) for number in range(2) for row in range(3)]
    assert_in_rows([[only(shown, image(number, row, c)) for c in range(8)] for number, row in rows], width=50)
    assert not find(shown, image(0, 3, 0), 4)


@pytest.mark.parametrize("total", [11, 15, 21, 31])
def test_a_long_traversal_is_shown_in_even_steps_about_its_middle(tmp_path: Path, total: int) -> None:
    wide = {"columns": total, "tile_width": 128, "tile_height": 128, "scale": 2, "rows": 1}
    for number, run in enumerate(runs(tmp_path, 2)):
        paint(run, "traversal", grid(number, **wide), layout=wide)
    shown = sheet(tmp_path, "traversal")
    assert shown.shape[1] <= 1700
    columns = [c for c in range(total) if find(shown, image(0, 0, c, size=(64, 64)), 2)]
    assert 7 <= len(columns) <= 11
    assert len({after - before for before, after in pairwise(columns)}) == 1
    assert columns[0] + columns[-1] == total - 1
    assert columns[-1] - columns[0] >= 0.7 * (total - 1)
    assert [c for c in range(total) if find(shown, image(1, 0, c, size=(64, 64)), 2)] == columns


def test_samples_run_on_over_the_rows_of_their_picture(tmp_path: Path) -> None:
    for number, run in enumerate(runs(tmp_path)):
        paint(run, "samples", grid(number))
    shown = sheet(tmp_path, "samples")
    tiles = [(number, [divmod(index, 8) for index in range(16)]) for number in range(3)]
    assert_in_rows([[only(shown, image(n, r, c)) for r, c in places] for n, places in tiles], width=50)


def test_of_a_path_the_first_row_alone_is_shown(tmp_path: Path) -> None:
    for number, run in enumerate(runs(tmp_path)):
        paint(run, "path", grid(number))
    shown = sheet(tmp_path, "path")
    assert_in_rows([[only(shown, image(n, 0, c)) for c in range(8)] for n in range(3)], width=50)
    assert not find(shown, image(0, 1, 0), 4)


def test_what_is_the_same_in_all_runs_is_shown_once(tmp_path: Path) -> None:
    for run in runs(tmp_path):
        paint(run, "data", grid(5))
    shown = sheet(tmp_path, "data")
    assert_in_rows([[only(shown, image(5, *divmod(index, 8))) for index in range(16)]], width=50)


def test_images_that_were_shown_at_different_sizes_are_shown_at_one(tmp_path: Path) -> None:
    for number, run in enumerate(runs(tmp_path, 2)):
        layout = {"scale": number + 1, "tile_width": 12 * (number + 1), "tile_height": 10 * (number + 1)}
        paint(run, "samples", grid(number, **layout), layout=layout)
    shown = sheet(tmp_path, "samples")
    assert_in_rows([[only(shown, image(n, *divmod(i, 8))) for i in range(16)] for n in range(2)], width=50)


@pytest.mark.parametrize("size", [(64, 64), (178, 218), (256, 256), (700, 100), (2000, 40)])
def test_a_sheet_is_never_wide_unless_a_single_image_is(tmp_path: Path, size: tuple[int, int]) -> None:
    layout = {"scale": 1, "tile_width": size[0], "tile_height": size[1], "rows": 1, "columns": 3}
    for number, run in enumerate(runs(tmp_path, 2)):
        paint(run, "samples", grid(number, **layout), layout=layout)
    width = sheet(tmp_path, "samples").shape[1]
    assert width <= max(1700, size[0] + 200)


@pytest.mark.parametrize(
    "layout",
    [
        {"left": -1}, {"columns": 0}, {"rows": 99}, {"columns": 99}, {"tile_width": 1e300},
        {"tile_width": float("nan")},
        {"gap": None}, {"top": "17"}, {"tile_height": True},
    ],
)  # fmt: skip
def test_a_layout_that_cannot_be_is_passed_over_and_the_picture_shown_whole(
    tmp_path: Path, layout: dict[str, Any]
) -> None:
    for number, run in enumerate(runs(tmp_path, 2)):
        paint(run, "samples", grid(number))
        file = run / "grids" / "samples.json"
        file.write_text(json.dumps({"layout": LAYOUT | layout}))
    shown = sheet(tmp_path, "samples")
    for number in range(2):
        picture = np.asarray(Image.open(tmp_path / f"{number}" / "grids" / "samples.png"))
        assert find(shown, picture, 1)


def test_a_scale_that_does_not_fit_leaves_the_images_as_they_stand(tmp_path: Path) -> None:
    for number, run in enumerate(runs(tmp_path, 2)):
        paint(run, "path", grid(number))
        (run / "grids" / "path.json").write_text(json.dumps({"layout": LAYOUT | {"scale": 0.5}}))
    shown = sheet(tmp_path, "path")
    enlarged = image(1, 0, 7).repeat(3, 0).repeat(3, 1)
    assert len(find(shown, enlarged, 4)) == 1


def test_whole_pictures_have_one_width(tmp_path: Path) -> None:
    for run, size in zip(runs(tmp_path, 2), ((400, 300), (200, 150)), strict=True):
        (run / "grids").mkdir()
        Image.new("RGB", size, (10, 20, 200)).save(run / "grids" / "scatter.png")
    shown = sheet(tmp_path, "scatter")
    blue = (shown == (10, 20, 200)).all(-1)
    assert blue.sum() == 2 * 400 * 300
    assert blue.any(0).sum() == 800  # beside each other


def test_flat_pictures_stand_below_each_other(tmp_path: Path) -> None:
    for run in runs(tmp_path, 2):
        (run / "grids").mkdir()
        Image.new("RGB", (900, 100), (10, 20, 200)).save(run / "grids" / "kl.png")
    blue = (sheet(tmp_path, "kl") == (10, 20, 200)).all(-1)
    assert (blue.any(0).sum(), blue.any(1).sum()) == (900, 200)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"GIF89a" + bytes(100)])
def test_a_picture_that_cannot_be_read_leaves_its_run_out(tmp_path: Path, data: bytes) -> None:
    for number, run in enumerate(runs(tmp_path)):
        paint(run, "samples", grid(number))
    (tmp_path / "1" / "grids" / "samples.png").write_bytes(data)
    shown = sheet(tmp_path, "samples")
    assert_in_rows([[only(shown, image(n, *divmod(i, 8))) for i in range(16)] for n in (0, 2)], width=50)
    for run in tmp_path.iterdir():
        (run / "grids" / "samples.png").write_bytes(data)
    assert contact_sheet(read_sweep(sorted(tmp_path.iterdir()), tmp_path), "samples") is None


def test_a_picture_cut_off_leaves_its_run_out(tmp_path: Path) -> None:
    for number, run in enumerate(runs(tmp_path)):
        paint(run, "samples", grid(number))
    file = tmp_path / "1" / "grids" / "samples.png"
    file.write_bytes(file.read_bytes()[:3000])
    assert not find(sheet(tmp_path, "samples"), image(1, 0, 0), 4)


def test_pictures_that_two_runs_have_are_shared(tmp_path: Path) -> None:
    first, second, third = runs(tmp_path)
    paint(first, "samples", {})
    assert shared_pictures(read_sweep([first, second], tmp_path)) == ["samples"]  # the only run that has any
    paint(second, "data", {})
    paint(third, "data", {})
    assert shared_pictures(read_sweep([first, second, third], tmp_path)) == ["data"]


def test_of_very_many_runs_a_sheet_shows_some(tmp_path: Path) -> None:
    layout = {"rows": 1, "columns": 1, "scale": 1, "tile_width": 12, "tile_height": 10}
    for number, run in enumerate(runs(tmp_path, MOST_RUNS + 2)):
        paint(run, "samples", grid(number, **layout), layout=layout)
    found = [tmp_path / f"{number}" for number in range(MOST_RUNS + 2)]
    data = contact_sheet(read_sweep(found, tmp_path), "samples")
    shown = np.asarray(Image.open(io.BytesIO(data)))
    assert [n for n in range(MOST_RUNS + 2) if find(shown, image(n, 0, 0), 4)] == list(range(MOST_RUNS))


def test_a_label_in_any_script_and_of_any_length_is_drawn(tmp_path: Path) -> None:
    for number, value in enumerate(("β=4 ü \x00 \n", "x" * 900)):
        run = make_run(tmp_path / f"{number}", config={"name": value})
        paint(run, "samples", grid(number))
    shown = sheet(tmp_path, "samples")
    assert shown.shape[1] <= 1700
    assert only(shown, image(1, 0, 0))[1] > 400


def test_latents_are_named_by_what_stands_beside_the_picture() -> None:
    row = {"space": 0, "dim": 4, "kl_nats": 2.5, "values": [0.0], "factor": "posX"}
    assert _latent({"rows": [row]}, 0) == "z4   2.50 nats   posX"
    assert _latent({"rows": [row | {"factor": None}, row | {"space": 1}]}, 0) == "space0 z4   2.50 nats"
    for broken in ({}, {"rows": 3}, {"rows": [None]}, {"rows": [{"dim": "x"}]}):
        assert _latent(broken, 0) == ""
