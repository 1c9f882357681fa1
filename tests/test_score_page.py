"""The scores on a run's page: tables, and heat maps of latents and factors."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_report import EVIL, Element, Folder, Page, changed, paths

from vae_runner.drawing.palette import PAGE_DARK, PAGE_LIGHT, rgb
from vae_runner.report.scored.heat_map import heat_map
from vae_runner.report.scored.score_kinds import MAPS, PER_FACTOR, PER_LATENT
from vae_runner.report.scored.score_sections import scores
from vae_runner.runs.names import EVALUATION
from vae_runner.runs.read import read_run

HOW = {"part": "validation", "images": 1730, "seed": 0, "checkpoint": "best", "step": 400, "seconds": 6.1}
HOW |= {"settings": {"codes": "mean", "samples": 10_000}, "factors": ["shape", "posX"]}
NATS = [[0.5, 0.25], [0.0, None], [1.0, 0.001]]
NOTES = ["left out: latent 1"]
OTHERS = {"rate": 3.3, "active": 3.0, "latent0/mean": 1.0, "error": 0.2, "mse_error": 0.1}
RECORDS: dict[str, Any] = {
    "mig": {"value": 0.31234, "per_factor": {"shape": 0.5, "posX": None}, "matrix": NATS, **HOW},
    "rmig": {"value": 0.6, "per_factor": {"shape": 0.7, "posX": None}, "matrix": NATS, **HOW},
    "modularity": {
        "value": 0.9,
        "per_latent": [0.75, None, 1.0],
        "matrix": NATS,
        "notes": ["left out: latent 1"],
        **HOW,
    },
    "rate_distortion": {"value": 99.0, "per_latent": [0.2, 0.1, 3.0], "others": OTHERS, **HOW, "images": 900},
    "total_correlation": {"value": 1.5, "matrix": [[1, -0.5, 0], [-0.5, 1, 0.25], [0, 0.25, 1]], **HOW},
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def page_of(folder: Folder, records: object = RECORDS) -> Page:
    (folder.path / EVALUATION).write_text(json.dumps(records))
    return folder.page()


def heat_maps(page: Page) -> list[Element]:
    return [e for e in page.all("figure") if e.attributes.get("class") == "heat"]


def map_of(page: Page, title: str) -> list[list[str]]:
    """The cells of the heat map of that title."""
    (figure,) = (
        e for e in page.all("figure") if "heat" in e.attributes.get("class", "") and e.all("h3")[0].text == title
    )
    return [[cell.text for cell in row.children] for row in figure.all("tr")]


def titles(page: Page) -> list[str]:
    return [e.all("h3")[0].text for e in heat_maps(page)]


def test_scores_stand_behind_the_latents_each_with_its_value_and_how_it_was_made(folder: Folder) -> None:
    page = page_of(folder)
    assert page.headings() == ["Pictures", "Curves", "KL per latent", "Scores", "Config", "Environment"]
    (table,) = (e for e in page.all("table") if "scores" in e.attributes.get("class", ""))
    rows = [[cell.text for cell in row.children] for row in table.all("tr")[1:]]
    assert rows[0] == ["mig", "0.3123", "", "", "1,730 images"]
    assert rows[2][3] == "left out: latent 1"
    assert rows[3] == ["rate_distortion", "99.0000", "nats", "rate 3.3000, active 3, error 0.2000", "900 images"]
    assert "Of all: validation; best checkpoint, step 400; codes=mean samples=10,000; seed=0; 6.1 s" in page.root.text


def test_heat_maps_have_their_latents_in_the_order_of_their_kl_and_each_matrix_once(folder: Folder) -> None:
    page = page_of(folder)
    assert titles(page) == ["By factor", "By latent", "Mutual information", "Correlation of latents"]
    assert map_of(page, "Mutual information") == [
        ["", "shape", "posX"],
        ["z2", "1.00", "<0.01"],
        ["z0", "0.50", "0.25"],
        ["z1", "0.00", "-"],
    ]
    assert map_of(page, "By factor") == [["", "shape", "posX"], ["MIG", "0.50", "-"], ["RMIG, nats", "0.70", "-"]]
    assert map_of(page, "By latent") == [
        ["", "z2", "z0", "z1"], ["modularity", "1.00", "0.75", "-"], ["KL, nats", "3.00", "0.20", "0.10"],
    ]  # fmt: skip
    assert map_of(page, "Correlation of latents")[1:] == [
        ["z2", "1.00", "0.00", "0.25"], ["z0", "0.00", "1.00", "-0.50"], ["z1", "0.25", "-0.50", "1.00"],
    ]  # fmt: skip


def test_without_the_kl_of_what_was_scored_that_of_the_last_validation_orders_the_latents(folder: Folder) -> None:
    records = {name: one for name, one in RECORDS.items() if name != "rate_distortion"}
    kl_dims = [1.75, 0.2, 0.8]  # of the folder's log
    order = [f"z{place}" for place in sorted(range(3), key=lambda place: -kl_dims[place])]
    assert [row[0] for row in map_of(page_of(folder, records), "Mutual information")[1:]] == order


def cells(title: str, values: list[list[float | None]], **options: Any) -> list[Element]:
    rows = [f"z{place}" for place in range(len(values))]
    return Page(heat_map(title, "", rows, ["a", "b"], values, **options)).all("td")[1:]


def test_the_ground_of_a_cell_is_its_share_of_the_largest() -> None:
    values = [[0.5, -1.0], [2.0, None]]
    shares = [cell.attributes.get("style") for cell in cells("x", values)]
    assert shares == ["--share: 25%", "--share: 50%", "--share: 100%", None]
    assert [cell.attributes.get("style") for cell in cells("x", values, each=True)][:2] == [
        "--share: 50%",
        "--share: 100%",
    ]
    assert cells("x", values, most=4.0)[2].attributes["style"] == "--share: 50%"
    assert [cell.text for cell in cells("x", [[math.nan, math.inf], [0.0, 1234.0]])] == ["nan", "inf", "0", "1,234"]


def test_what_is_counted_has_no_digits_behind_the_point() -> None:
    assert [cell.text for cell in cells("Votes", [[0.0, 1.0], [None, 12.0]])] == ["0", "1", "-", "12"]
    assert [cell.text for cell in cells("x", [[0.0, 1.0], [0.001, 12.0]])] == ["0.00", "1.00", "<0.01", "12"]
    assert [cell.text for cell in cells("Accuracy", [[0.0, 1.0], [1.0, 1.0]])] == ["0.00", "1.00", "1.00", "1.00"]


def luminance(colour: tuple[float, ...]) -> float:
    """Of sRGB, as WCAG 2.1 has it."""
    parts = [one / 255 for one in colour]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colours", [PAGE_LIGHT, PAGE_DARK], ids=["light", "dark"])
def test_numbers_can_be_read_on_every_ground(colours: dict[str, str]) -> None:
    ink, low, high = (rgb(colours[name]) for name in ("ink", "card", "heat"))
    for part in range(101):
        ground = tuple(a + (b - a) * part / 100 for a, b in zip(low, high, strict=True))
        dark, light = sorted((luminance(ink), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) > 4.5  # WCAG 2.1, 1.4.3
    style = (Path(__file__).parent.parent / "vae_runner/report/style.css").read_text()
    assert re.search(r"\.heat tbody td \{[^}]*var\(--heat\) var\(--share, 0%\), var\(--card\)", style)


def test_every_score_with_parts_has_a_name_for_them() -> None:
    from vae_runner.experiment.scoring.catalogue import CATALOGUE

    named = [name for kind in MAPS for name in kind.scores] + [*PER_FACTOR, *PER_LATENT]
    assert set(named) <= set(CATALOGUE)


def test_texts_in_a_score_are_text(folder: Folder) -> None:
    known = {element.name for element in page_of(folder).root}
    evil = {"part": EVIL, "factors": [EVIL, EVIL], "checkpoint": EVIL, "settings": {EVIL: EVIL}, "notes": [EVIL]}
    record = {**RECORDS["mig"], **evil, "others": {EVIL: 1.0}, "per_factor": {EVIL: 1.0, "b": None}}
    page = page_of(folder, {EVIL: record, "mig": record})
    assert {element.name for element in page.root} <= known
    assert not [name for element in page.root for name in element.attributes if name.startswith("on")]


@pytest.mark.parametrize("value", [None, "text", [], [None], {}, {"a": [1]}, True, -1, 0, 1e300, math.nan, math.inf])
def test_scores_of_another_kind_never_stop_the_report(folder: Folder, value: Any) -> None:
    known, few = read_run(folder.path), {name: RECORDS[name] for name in ("modularity", "rate_distortion")}
    for path in paths(few):
        content = changed(few, path, value)
        Page(scores(replace(known, evaluation=content if isinstance(content, dict) else {})))


def test_of_very_many_latents_and_factors_the_first_are_shown(folder: Folder) -> None:
    many = {"value": 0.5, **HOW, "matrix": [[0.1] * 60] * 50, "per_latent": [0.1] * 50, "factors": []}
    page = page_of(folder, {"mig": many, "modularity": many})
    shown = map_of(page, "Mutual information")
    assert (len(shown), len(shown[0])) == (41, 41)
    assert "10 more latents of less KL" in page.root.text


def test_scores_on_another_data_set_have_a_section_of_their_own(folder: Folder) -> None:
    page = page_of(folder, {"mig@shapes3d": {**RECORDS["mig"], "value": 0.75}, **RECORDS})
    assert [one for one in page.headings() if "Scores" in one] == ["Scores", "Scores on shapes3d"]
    assert titles(page).count("Mutual information") == 2
    tables = [e for e in page.all("table") if "scores" in e.attributes.get("class", "")]
    assert [table.all("tr")[1].children[1].text for table in tables] == ["0.3123", "0.7500"]
