"""Charts: the figures in them, SVG and PNG alike, and the moving pictures."""

import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import pictures_of
from copying import Space, make_state
from PIL import Image
from torch.distributions import Normal

from vae_runner.callbacks.pictures import picture_images
from vae_runner.drawing import layout
from vae_runner.drawing.chart.axes import ticks
from vae_runner.drawing.lettering import tick_labels
from vae_runner.drawing.marks.canvas import Canvas
from vae_runner.drawing.movie import Movie, encoded
from vae_runner.drawing.on_screen import heat_map, strips
from vae_runner.drawing.palette import COLOURS, DEAD, INK, VIRIDIS, rgb
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.report.run.gallery import PAGE_WIDTH
from vae_runner.state import FACTORS, MODEL, State, X
from vae_runner.visualisation import (
    Animation,
    KLBars,
    LatentScatter,
    LossCurves,
    Scene,
    ScheduleChart,
)

Make = Callable[..., Engine]
NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"


def scene(
    state: State | None = None, folder: Path = Path("none"), step: int = 7, total: int = 7, **schedules: Any
) -> Scene:
    return Scene(step, total, folder, lambda phase: state, lambda steps: {n: f(steps) for n, f in schedules.items()})


@torch.no_grad()
def drawn(picture: Any, of: Scene) -> tuple[ElementTree.Element, Any, np.ndarray]:
    """The SVG, the details, and the pixels of the PNG."""
    (drawing,) = picture.drawings(of)
    files, details = drawing.encode()
    assert drawing.encode().files == files  # the same bytes
    with Image.open(io.BytesIO(files[".png"])) as image:
        return ElementTree.fromstring(files[".svg"]), details, np.asarray(image)


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def test_bars_are_as_long_as_the_kl_the_largest_first_in_each_space() -> None:
    state = make_state(Space(3), Space(1))
    state[X] = torch.tensor([1.0, 0.0, 4.0, 2.0]).view(1, 1, 2, 2)  # KL 0.5, 0, 8 and 2
    svg, details, pixels = drawn(KLBars(), scene(state))
    assert [(row["space"], row["dim"]) for row in details["rows"]] == [(0, 2), (0, 0), (0, 1), (1, 3 - 3)]
    bars = [one for one in svg.iter(f"{SVG}rect") if one.get("x") and one.get("fill") != "#ffffff"]
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[0] / heights[1] == pytest.approx(16, rel=1e-3)
    assert heights[0] / heights[3] == pytest.approx(4, rel=1e-3)
    assert [bar.get("fill") for bar in bars] == [COLOURS[0], COLOURS[0], DEAD, COLOURS[1]]
    assert {"z2", "z0", "8.00", "2.00", "space0", "space1"} <= set(texts(svg))
    assert "KL per latent, step 7: 10.50 nats in 3 of 4 latents" in texts(svg)
    assert pixels.shape == (2 * int(svg.get("height")), 2 * int(svg.get("width")), 3)


def test_bars_of_64_latents_fit_a_page_and_are_named_by_their_numbers(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("distribution.dims=64", "visualisation=[kl]", folder=tmp_path)
    pictures_of(engine).write(engine)
    svg = ElementTree.parse(tmp_path / "grids/kl.svg").getroot()
    assert int(svg.get("width")) <= PAGE_WIDTH
    assert {str(dim) for dim in range(64)} <= set(texts(svg))
    assert not {"z0", "z63"} & set(texts(svg))


def test_a_kl_that_is_no_number_or_infinite_is_drawn_all_the_same() -> None:
    def posterior(raw: torch.Tensor) -> Normal:
        means = torch.tensor([1.0, torch.nan, 2.0, 1e30]).expand(len(raw), -1)
        return Normal(means, torch.ones_like(means), validate_args=False)

    svg, _, _ = drawn(KLBars(), scene(make_state(Space(4, posterior=posterior))))
    assert {"inf", "nan"} <= set(texts(svg))


def circles(svg: ElementTree.Element) -> list[tuple[float, float, str]]:
    return [(float(c.get("cx")), float(c.get("cy")), c.get("fill")) for c in svg.iter(f"{SVG}circle")]


def test_the_scatter_has_the_codes_in_one_unit_of_the_most_informative_latents() -> None:
    state = make_state(images=5)
    state[X] = torch.tensor([[0.0, 9, 0, 0], [0, 0, 0, 3], [0, 5, 0, 1], [0, 8, 0, -1], [0, -7, 0, 0]]).view(5, 1, 2, 2)
    svg, details, _ = drawn(LatentScatter(), scene(state))
    assert [axis["dim"] for axis in details["axes"]] == [1, 3]
    assert details["codes"] == [[9, 0], [0, 3], [5, 1], [8, -1], [-7, 0]]
    dots = circles(svg)
    unit = (dots[0][0] - dots[4][0]) / 16
    for (x, y, colour), (across, up) in zip(dots, details["codes"], strict=True):
        assert x - dots[0][0] == pytest.approx((across - 9) * unit, abs=0.02)
        assert dots[0][1] - y == pytest.approx(up * unit, abs=0.02)
        assert colour == COLOURS[0]
    chosen = drawn(LatentScatter(dims=[0, 1]), scene(state))[1]
    assert [axis["dim"] for axis in chosen["axes"]] == [0, 1]


def test_classes_and_values_have_their_colours_and_a_legend() -> None:
    state = make_state(images=6)
    shape = torch.tensor([0, 0, 1, 1, 2, 2])
    state[FACTORS] = {"shape": shape, "size": shape.double(), "turn": torch.rand(6, 2)}
    scatter = LatentScatter(colour="shape")
    scatter._classes = {"shape": ("square", "ellipse", "heart")}
    svg, _, _ = drawn(scatter, scene(state))
    assert [colour for *_, colour in circles(svg)] == [*COLOURS[:3], *(c for c in COLOURS[:3] for _ in range(2))]
    assert {"shape", "square", "ellipse", "heart"} <= set(texts(svg))
    svg, _, _ = drawn(LatentScatter(colour="size"), scene(state))
    assert [colour for *_, colour in circles(svg)] == [c for c in ("#440154", "#21918c", "#fde725") for _ in range(2)]
    assert len({colour for *_, colour in circles(drawn(LatentScatter(colour="turn"), scene(state))[0])}) == 6


def test_dots_are_coloured_by_the_factor_that_is_followed_most() -> None:
    state = make_state(images=40)
    place = state[X].flatten(1)
    state[FACTORS] = {"noise": torch.rand(40, generator=torch.Generator().manual_seed(8)), "posY": -place[:, 1]}
    details = drawn(LatentScatter(dims=[1, 2]), scene(state))[1]
    assert details["colour"] == "posY"


@pytest.mark.parametrize(
    ("scatter", "line"),
    [
        (LatentScatter(dims=[0, 9]), "dims: 9 is not one of the 4 latent dimensions, 0 to 3"),
        (LatentScatter(colour="posZ"), "colour: the data set has no factor called 'posZ'; of this data set none are"),
        (LatentScatter(space_id=1), "space_id: there is no latent space 1, the model has 1"),
    ],
)
def test_a_scatter_that_does_not_fit_is_refused(scatter: LatentScatter, line: str, experiment: Make) -> None:
    with pytest.raises(UserError, match=line):
        scatter.prepare(make_state()[MODEL], experiment().train.data)


def test_one_latent_is_enough_for_a_scatter() -> None:
    state = make_state(Space(4))
    drawn(LatentScatter(dims=[0, 0]), scene(state))
    state[X] = torch.zeros(2, 1, 2, 2)
    drawn(LatentScatter(), scene(state))


def test_the_schedule_has_each_kind_in_a_panel() -> None:
    half = {"space0/beta": lambda t: t / 2, "space1/beta": lambda t: t * 0 + 3.0, "lr": lambda t: 1e-3 * (1 - t / 100)}
    svg, details, _ = drawn(ScheduleChart(points=11), scene(total=101, **half))
    assert details["steps"] == list(range(0, 101, 10))
    assert details["schedules"]["space0/beta"] == [step / 2 for step in range(0, 101, 10)]
    assert {"beta, weight of the KL", "learning rate", "space0", "space1"} <= set(texts(svg))
    assert "capacity C, nats" not in texts(svg)


def heights(svg: ElementTree.Element, colour: str = COLOURS[0]) -> list[float]:
    """Where the curves of that colour are, in values by the labels 0 and another one of a single linear panel."""
    labels = {one.text: float(one.get("y")) - 4 for one in svg.iter(f"{SVG}text") if one.get("text-anchor") == "end"}
    top = max(labels, key=lambda label: float(label.replace(",", "")))
    unit = float(top.replace(",", "")) / (labels["0"] - labels[top])
    line = next(one for one in svg.iter(f"{SVG}polyline") if one.get("stroke") == colour and one.get("points"))
    return [(labels["0"] - float(point.split(",")[1])) * unit for point in line.get("points").split()]


@pytest.mark.parametrize(
    ("kind", "start", "end"), [("beta", 29.7, 29.2), ("beta", 4, 4), ("capacity", 20, 25), ("lr", 5e-4, 4e-4)]
)
def test_a_schedule_is_drawn_from_0(kind: str, start: float, end: float) -> None:
    line = {kind: lambda t: start + (end - start) * t / 100}
    svg, _, _ = drawn(ScheduleChart(points=2), scene(total=101, **line))
    assert heights(svg) == pytest.approx([start, end], rel=0.01)


def test_schedules_below_0_and_of_nothing_but_0_are_drawn_as_they_are() -> None:
    svg, _, _ = drawn(ScheduleChart(points=2), scene(total=101, beta=lambda t: t - 20.0))
    assert heights(svg) == pytest.approx([-20, 80], abs=1)
    svg, _, _ = drawn(ScheduleChart(points=2), scene(total=101, capacity=lambda t: t * 0.0))
    assert heights(svg) == pytest.approx([0, 0], abs=0.01)


@pytest.mark.parametrize(
    ("first", "second", "is_log"),
    [((4, 4), (1000, 1000), True), ((4, 4), (100, 100), False), ((120, 4), (150, 150), True),
     ((0, 4), (1000, 1000), False), ((1000, 4), None, False)],
)  # fmt: skip
def test_schedules_that_are_far_apart_are_on_a_logarithmic_scale(
    first: tuple[float, float], second: tuple[float, float] | None, is_log: bool
) -> None:
    ends = {"space0/beta": first} | ({"space1/beta": second} if second else {})
    lines = {name: lambda t, a=a, b=b: a + (b - a) * t / 100 for name, (a, b) in ends.items()}
    svg, _, _ = drawn(ScheduleChart(), scene(total=101, **lines))
    assert ("beta, weight of the KL, log scale" in texts(svg)) == is_log
    assert ("0" in [one.text for one in svg.iter(f"{SVG}text") if one.get("text-anchor") == "end"]) != is_log


def test_the_beta_of_the_curves_is_drawn_from_0(tmp_path: Path) -> None:
    records = [{"step": step, "split": "train", "beta": 29.7 - step / 100} for step in (0, 50)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    svg, _, _ = drawn(LossCurves(), scene(folder=tmp_path, step=50))
    assert heights(svg, COLOURS[2]) == pytest.approx([29.7, 29.2], rel=0.01)


def test_curves_have_what_the_log_has_up_to_the_step(tmp_path: Path) -> None:
    records = [
        {
            "step": step,
            "split": split,
            "loss": 100.0 - step,
            "recon": 90.0,
            "kl": float(step),
            "beta": 4.0,
            "capacity": 1.0,
        }
        for step in range(10, 60, 10)
        for split in ("train", "validation")
    ]
    records[2]["kl"] = float("nan")
    log = tmp_path / "metrics.jsonl"
    log.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"step": 3, "spl')
    svg, _, _ = drawn(LossCurves(), scene(folder=tmp_path, step=40))
    assert len(circles(svg)) == 3 * 4 + 3 + 1  # 4 validations in 3 panels, 3 legends, the kl before the gap
    assert {"loss, nats", "KL, nats", "C", "beta, weight of the KL", "training, step 40"} <= set(texts(svg))
    assert LossCurves().drawings(scene(folder=tmp_path / "none")) == []


def upright(svg: ElementTree.Element) -> list[float]:
    """Where upright lines stand, from the left."""
    points = [[part.split(",") for part in line.get("points").split()] for line in svg.iter(f"{SVG}polyline")]
    return [float(line[0][0]) for line in points if len(line) == 2 and line[0][0] == line[1][0]]


def test_each_curve_is_marked_where_latents_were_turned_and_the_json_says_which(tmp_path: Path) -> None:
    records = [{"step": step, "split": "train", "loss": 9.0 - step, "kl": float(step)} for step in (1, 2, 3, 4)]
    turned = {"split": "turn", "latents": [1, 3, 4], "degrees": [46.6, 3.0, 12.0]}
    records += [{"step": 1, **turned}, {"step": 2, "split": "turn", "latents": [], "degrees": [], "why": "none"}]
    records += [{"step": 3, "split": "turn", "space0/latents": [0, 2], "space0/degrees": [5.0, 7.4]}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    svg, details, _ = drawn(LossCurves(), scene(folder=tmp_path, step=4))
    first, second, *others = upright(svg)
    assert len(others) == 2  # the same in the other panel
    assert second - first == pytest.approx(340 * 2 / 4)  # steps 1 and 3 of 4 in a panel 340 wide
    words = [
        "step 1: latents 1, 3, 4 turned by up to 47 degrees",
        "step 3: space0: latents 0, 2 turned by up to 7 degrees",
    ]
    assert details == {"turns": words}
    svg, details, _ = drawn(LossCurves(), scene(folder=tmp_path, step=2))
    assert (len(upright(svg)), details) == (2, {"turns": words[:1]})


def test_terms_with_names_are_drawn_as_they_are_weighted(tmp_path: Path) -> None:
    own = {"kl/beta": 1.0, "tc/beta": 6.0, "kl/divergence": 9.0, "tc/divergence": 30.0, "tc/mi": 3.0}
    records = [{"step": step, "split": "train", "kl": 9.0, **own} for step in (10, 20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    svg, _, _ = drawn(LossCurves(), scene(folder=tmp_path, step=20))
    assert {"KL, nats", "beta of each term", "terms as weighted, nats"} <= set(texts(svg))
    assert sorted(text for text in texts(svg) if text in ("kl", "tc")) == ["kl", "kl", "tc", "tc"]
    svg, _, _ = drawn(ScheduleChart(points=2), scene(total=101, **{name: lambda t: t * 0.0 + 3 for name in own}))
    assert {"beta of each term", "mi"} <= set(texts(svg))


def test_terms_of_spaces_alone_have_no_names(tmp_path: Path) -> None:
    record = {"step": 10, "split": "train", "space0/beta": 1.0, "space1/beta": 6.0, "space0/divergence": 9.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    svg, _, _ = drawn(LossCurves(), scene(folder=tmp_path, step=10))
    assert "beta, weight of the KL" in texts(svg)
    assert "terms as weighted, nats" not in texts(svg)


def test_a_curve_has_so_many_points_at_most_and_the_last_one(tmp_path: Path) -> None:
    records = [{"step": step, "split": "train", "loss": float(1000 - step)} for step in range(1, 1000)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))

    def curve(points: int) -> list[str]:
        svg, _, _ = drawn(LossCurves(points), scene(folder=tmp_path, step=999))
        return max((line.get("points").split() for line in svg.iter(f"{SVG}polyline")), key=len)

    few, whole = curve(50), curve(5000)
    assert len(whole) == 999
    assert 40 < len(few) <= 51
    assert (few[0], few[-1]) == (whole[0], whole[-1])


def cells(svg: ElementTree.Element) -> dict[str, str]:
    """The colour of each box by the figure in it, for figures that are all different."""
    boxes = [one for one in svg.iter(f"{SVG}rect") if one.get("x")]
    inside = {}
    for text in svg.iter(f"{SVG}text"):
        x, y = float(text.get("x")), float(text.get("y")) - 4
        for box in boxes:
            across, down = x - float(box.get("x")), y - float(box.get("y"))
            if 0 <= across <= float(box.get("width")) and 0 <= down <= float(box.get("height")):
                inside[text.text] = box.get("fill")
    return inside


def test_the_cells_of_a_heat_map_are_coloured_by_their_values_in_the_range_that_is_given() -> None:
    values = np.array([[0.0, 0.5], [1.0, np.nan], [7.0, -7.0]])
    canvas = heat_map(values, ["z0", "z1", "z2"], ["posX", "a long name of a factor"], "title", "about", 0, 1)
    svg = ElementTree.fromstring(canvas.svg())
    found = cells(svg)
    first, middle, last = VIRIDIS[0], VIRIDIS[len(VIRIDIS) // 2], VIRIDIS[-1]
    assert found == {"0.00": first, "0.50": middle, "1.00": last, "nan": DEAD, "7.00": last, "-7.00": first}
    assert {"z0", "z1", "z2", "posX", "title", "about; colours from 0 to 1"} <= set(texts(svg))
    with Image.open(io.BytesIO(canvas.png())) as picture:
        painted = {picture.convert("RGB").getpixel((x, y)) for x in range(picture.width) for y in (175, 235)}
    assert {rgb(first), rgb(middle), rgb(last), rgb(DEAD)} <= painted
    inks = {one.text: one.get("fill") for one in svg.iter(f"{SVG}text")}
    for figure, background in found.items():
        assert contrast(inks[figure], background) >= 3, figure


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.1, 1 to 21; 3 and more is what it asks of large text and graphics."""

    def luminance(colour: str) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.array(rgb(colour)) / 255]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("names", [(["z0"], ["a", "b"]), (["z0", "z1"], ["a"]), (["z0", "z1"], ["a", "b", "c"])])
def test_a_heat_map_has_a_name_for_each_row_and_column(names: tuple[list[str], list[str]]) -> None:
    with pytest.raises(ValueError, match="zip"):
        heat_map(np.zeros((2, 2)), *names, "title", "about", 0, 1)


def test_strips_have_each_value_and_the_mean_between_its_standard_deviations() -> None:
    groups = {"beta=1": [10.0, 14.0, 18.0], "beta=4": [30.0, NAN], "none": [float("inf")]}
    svg = ElementTree.fromstring(strips(groups, "title", "nats").svg())
    labels = {one.text: float(one.get("y")) - 4 for one in svg.iter(f"{SVG}text") if one.get("text-anchor") == "end"}
    unit = 10 / (labels["10"] - labels["20"])
    value = lambda y: 20 - (float(y) - labels["20"]) * unit  # noqa: E731
    dots = circles(svg)
    assert [value(y) for _, y, _ in dots] == pytest.approx([10, 14, 18, 30], abs=0.05)
    assert [colour for *_, colour in dots] == [COLOURS[0]] * 3 + [COLOURS[1]]
    lines = [one.get("points").split() for one in svg.iter(f"{SVG}polyline") if one.get("stroke") == INK]
    flat = [value(start.split(",")[1]) for start, end in lines if start.split(",")[1] == end.split(",")[1]]
    mean, spread = np.mean(groups["beta=1"]), np.std(groups["beta=1"], ddof=1)
    assert sorted(flat) == pytest.approx([mean - spread, mean, mean + spread, 30], abs=0.05)  # one value: a mean alone
    assert texts(svg).count("1 not finite") == 2


@pytest.mark.parametrize("values", [[], [NAN], [3.0], [2.0, 2.0], [0.0, 0.0], [-5.0, 1e9]])
def test_strips_of_hardly_anything_are_drawn_all_the_same(values: list[float]) -> None:
    canvas = strips({"a": values}, "title", "nats")
    dots = circles(ElementTree.fromstring(canvas.svg()))
    assert len(dots) == sum(value == value for value in values)
    assert all(0 < y < canvas.height for _, y, _ in dots)
    assert canvas.png() == strips({"a": values}, "title", "nats").png()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3, 12, [0, 5, 10]),
        (0, 2500, [0, 500, 1000, 1500, 2000, 2500]),
        (0.1, 0.3, [0.1, 0.15, 0.2, 0.25, 0.3]),  # 0.3 / 0.05 is 5.999...
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 5) == pytest.approx(expected)


def test_ticks_are_labelled_whole_or_all_with_a_power_of_ten() -> None:
    assert tick_labels([0, 0.1 + 0.2, 1234.5]) == ["0", "0.3", "1,234.5"]
    assert tick_labels([0, 1_250_000]) == ["0", "1,250,000"]
    assert tick_labels([0, 2e7, 4e7]) == ["0", "2e+07", "4e+07"]
    assert tick_labels([0.0002, 0.0004]) == ["0.0002", "0.0004"]


def test_texts_are_escaped_and_svg_is_ascii() -> None:
    canvas = Canvas(100, 50)
    canvas.text(1, 2, "a < b & \u00e9", "#000000")
    assert texts(ElementTree.fromstring(canvas.svg())) == ["a < b & \u00e9"]
    assert canvas.svg().isascii()


def frames(data: bytes) -> tuple[list[np.ndarray], Image.Image]:
    image = Image.open(io.BytesIO(data))
    shown = []
    for number in range(image.n_frames):
        image.seek(number)
        shown.append(np.asarray(image.convert("RGB")))
    return shown, image


@pytest.mark.parametrize("format", ["gif", "webp", "apng"])
def test_moving_pictures_go_on_for_ever_and_are_the_same_bytes_again(format: str) -> None:
    pictures = [Image.new("RGB", (12, 10), (value, value, value)) for value in (0, 128, 252)]
    data = encoded(pictures, [80, 80, 320], format)
    assert data == encoded(pictures, [80, 80, 320], format)
    shown, image = frames(data)
    assert [int(frame[5, 5, 0]) for frame in shown] == pytest.approx([0, 128, 252], abs=4)
    assert image.info["loop"] == 0


@torch.no_grad()
def test_the_traversal_goes_forth_and_back_over_all_live_latents() -> None:
    state = make_state()
    state[X] = torch.tensor([0.9, 0.5, 0.0, 0.4]).view(1, 1, 2, 2)  # the third is dead
    (movie,) = Animation(lin_start=0, lin_end=1, steps=4, of=None).drawings(scene(state))
    assert (movie.name, movie.is_moving, movie.format) == ("traversal", True, "gif")
    assert [row["dim"] for row in movie.details["rows"]] == [0, 1, 3]
    values = [[int(tiles[n].reshape(4, -1)[dim, 0]) for n, dim in enumerate((0, 1, 3))] for tiles in movie.frames]
    assert values == [[round(255 * v)] * 3 for v in (0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3)]
    shown, image = frames(movie.encode().files[".gif"])
    assert len(shown) == 6
    assert image.info["duration"] == 80


@pytest.mark.slow
def test_colour_makes_webp_and_none_makes_nothing(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("dataset.channels=3", "visualisation=[samples,animation]", folder=tmp_path)
    engine.run()
    assert {path.name for path in (tmp_path / "animations").iterdir()} == {
        "traversal.webp", "traversal.json", "training.webp", "training.json",
    }  # fmt: skip
    experiment("visualisation=[animation]", "visualisation.animation.format=none", folder=tmp_path / "b").run()
    assert not (tmp_path / "b/animations").exists()


@pytest.mark.slow
def test_the_training_is_the_history_of_a_picture_up_to_the_step(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("engine.picture_every=3", "visualisation=[samples,animation]", folder=tmp_path)
    engine.run()
    details = json.loads((tmp_path / "animations/training.json").read_text())
    assert (details["of"], details["steps"], details["step"]) == ("samples", [3, 6, 9, 12], 12)
    shown, image = frames((tmp_path / "animations/training.gif").read_bytes())
    assert len(shown) == 4
    assert image.info["loop"] == 0
    layout = json.loads((tmp_path / "grids/samples.json").read_text())["layout"]
    with Image.open(tmp_path / "grids/samples.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    tile = pixels[layout["top"] : layout["top"] + layout["tile_height"], layout["left"] :][:, :64]
    size = layout["tile_width"]
    margin = 20
    last = shown[-1][margin : margin + size, margin : margin + size].astype(int)
    assert np.abs(last - tile[:, :size].astype(int)).max() <= 4  # 64 grays
    (tmp_path / "grids/history/samples-0000099.png").write_bytes(b"")  # of a run that was killed: not of this one
    pictures_of(engine).write(engine)
    assert json.loads((tmp_path / "animations/training.json").read_text())["steps"] == [3, 6, 9, 12]


@pytest.mark.slow
def test_large_pictures_make_fewer_frames_of_the_training(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = experiment("engine.picture_every=1", "visualisation=[samples,animation]", folder=tmp_path)
    engine.run()
    shown = json.loads((tmp_path / "animations/training.json").read_text())["steps"]
    assert shown == list(range(1, 13))
    with Image.open(tmp_path / "animations/training.gif") as movie:
        monkeypatch.setattr(layout, "MOST", 4 * movie.width * movie.height)
    pictures_of(engine).write(engine)
    shown = json.loads((tmp_path / "animations/training.json").read_text())["steps"]
    assert shown == [1, 4, 7, 10, 12]  # every third, and the newest


def test_one_frame_in_colour_leaves_the_gray_ones_as_they_are() -> None:
    gray = np.arange(0, 256, 4, dtype=np.uint8).reshape(1, 8, 8, 1)
    colour = gray.repeat(3, -1)
    magenta = colour.copy()
    magenta[0, 0, 0] = (255, 0, 255)
    mixed, whole = (Movie("m", "apng", 80, [first, magenta], ["a", "b"], 1) for first in (gray, colour))
    assert mixed.encode().files == whole.encode().files
    shown, _ = frames(mixed.encode().files[".png"])
    inside = slice(20, 20 + 8 * 4, 4)  # behind the margin, enlarged four times
    assert (shown[0][inside, inside] == colour[0]).all()
    assert (shown[1][inside, inside] == magenta[0]).all()


def test_the_label_of_a_moving_tile_keeps_away_from_the_tile_above() -> None:
    black = np.zeros((2, 30, 30, 1), np.uint8)
    shown, _ = frames(
        Movie("m", "apng", 80, [black], ["text"], 1, scale=2, labels=["z0 posY", "z1"]).encode().files[".png"]
    )
    ink = (shown[0].min((1, 2)) < 200).tolist()  # of each row of pixels
    start = ink.index(True)
    first_tile = 20 + 23
    assert start < first_tile
    below = first_tile + 60
    assert ink[first_tile:below] == [True] * 60
    assert not any(ink[below : below + 8])
    assert ink[below + 8 + 23 : below + 8 + 23 + 60] == [True] * 60


def test_reconstructions_come_with_the_nats_of_each_image(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("visualisation=[reconstruction]", folder=tmp_path)
    pictures_of(engine).write(engine)
    shown = json.loads((tmp_path / "grids/reconstruction.json").read_text())["nats"]
    model = engine.objective.model.eval()
    with torch.no_grad():
        x = picture_images(engine.validation, 3)
        p = model.decode(model.posteriors(x)[0].mean)
        expected = -torch.distributions.Bernoulli(p).log_prob(x).sum((1, 2, 3))
    assert shown[:3] == pytest.approx(expected.tolist(), rel=1e-4)
