"""The index of all runs in a folder, and what people write beside a run to find it again: tags and a note."""

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from test_cli import Run, toy, vae_train
from test_cli_report import Report, vae_report
from test_report import EVIL, Page
from test_sweep import make_picture, make_run

from vae_runner.experiment.checking.check import check
from vae_runner.report import write_report
from vae_runner.report.index import write_index
from vae_runner.report.sweep import write_sweep
from vae_runner.runs.read import find_runs
from vae_runner.runs.settings import marks_of, read_settings

__all__ = ["vae_report", "vae_train"]  # fixtures

MARKED = {"tags": ["paper", 2024], "note": "twice as many latents"}


def index(folder: Path) -> Page:
    return Page(write_index(folder, find_runs(folder)).read_text())


def begun(run: Path, started: str) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"started": started}))


def heads(page: Page) -> list[str]:
    return [head.text for head in page.all("tr")[0].children]


def cells(page: Page, row: int) -> dict[str, str]:
    return dict(zip(heads(page), [cell.text for cell in page.all("tr")[row + 1].children], strict=True))


def test_the_index_has_all_runs_the_newest_first_with_what_was_said_of_them(tmp_path: Path) -> None:
    old = make_run(tmp_path / "day/one", typed=["seed=0", "engine.steps=100"])
    new = make_run(tmp_path / "day/two", 60.0, config=MARKED | {"seed": 1}, typed=["seed=1", "engine.steps=100"])
    begun(old, "2026-11-22T07:17:33+00:00"), begun(new, "2026-11-23T07:17:33+00:00")
    (new / "report.html").touch()
    shown = index(tmp_path)
    assert [row.children[0].text for row in shown.all("tr")[1:]] == ["day/two", "day/one"]
    first = cells(shown, 0)
    assert (first["Status"], first["-ELBOnats"], first["Settings"]) == ("done", "60.0", "seed=1")
    assert (first["Tags"], first["Note"]) == ("paper2024", "twice as many latents")
    assert [link.attributes["href"] for link in shown.all("a")] == ["sweep.html", "day/two/report.html"]


def test_what_differs_between_any_two_runs_is_in_the_index(tmp_path: Path) -> None:
    make_run(tmp_path / "0"), make_run(tmp_path / "1", config={"seed": 1, "mine": {"a": "<b>"}})
    (data,) = (one for one in index(tmp_path).all("script") if one.attributes.get("type") == "application/json")
    found = json.loads(data.text)
    assert found == {"runs": ["0", "1"], "settings": {"seed": ["0", "1"], "mine.a": [None, "<b>"]}}


def test_a_run_looks_as_its_traversal_does(tmp_path: Path) -> None:
    run = make_run(tmp_path / "0")
    make_run(tmp_path / "1"), make_picture(run, "samples", (9, 9, 9)), make_picture(run, "traversal", (200, 10, 10))
    (image,) = index(tmp_path).all("img")
    assert image.attributes["alt"] == "traversal"
    data = base64.b64decode(image.attributes["src"].partition(",")[2])
    assert Image.open(io.BytesIO(data)).convert("RGB").getpixel((3, 3)) == (200, 10, 10)


def test_no_text_becomes_markup_in_the_index(tmp_path: Path) -> None:
    make_run(tmp_path / "0")
    plain = {element.name for element in index(tmp_path).root}
    config = {"tags": [EVIL[:70]], "note": EVIL, "seed": EVIL, f"key {EVIL}": 1}
    make_run(tmp_path / "1", config=config, typed=[f"seed={EVIL}"])
    shown = index(tmp_path)
    assert {element.name for element in shown.root} <= plain | {"p", "span"}
    assert (cells(shown, 1)["Note"], cells(shown, 1)["Tags"]) == (EVIL, EVIL[:70])


@pytest.mark.parametrize("config", ["tags: {a: 1}\nnote: [3]\n", "tags: [[1]]\nnote: 7\n", "tags", ""])
def test_odd_tags_break_no_page(tmp_path: Path, config: str) -> None:
    run = make_run(tmp_path / "0")
    make_run(tmp_path / "1")
    (run / "config.yaml").write_text(config)
    assert len(index(tmp_path).all("tr")) == 3
    write_report(run), write_sweep(tmp_path)


def test_tags_and_note_stand_on_the_page_of_the_run_and_in_the_table_of_a_sweep(tmp_path: Path) -> None:
    run = make_run(tmp_path / "0", config=MARKED)
    make_run(tmp_path / "1", config={"seed": 1})
    (header,) = Page(write_report(run).read_text()).all("header")
    assert [tag.text for tag in header.all("span", **{"class": "tag"})] == ["paper", "2024"]
    assert header.all("p")[-1].text == "twice as many latents"
    shown = Page(write_sweep(tmp_path).read_text())
    assert heads(shown).index("Tags") == heads(shown).index("Note") - 1 == heads(shown).index("seed") + 1
    assert (cells(shown, 0)["Tags"], cells(shown, 1)["Tags"]) == ("paper2024", "")
    with (tmp_path / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["tags"], row["note"]) for row in rows] == [("paper 2024", "twice as many latents"), ("", "")]
    assert cells(shown, 0)["Run"] == "seed=0"  # they do not tell runs apart


def test_a_folder_of_runs_has_an_index_and_a_sweep_has_none(vae_report: Report, inside: Path) -> None:
    for name in ("all/a", "all/b", "sweep/0", "sweep/1"):
        make_run(inside / name)
    (inside / "sweep/multirun.yaml").touch()
    assert vae_report("all") == (0, "report all/index.html\nreport all/sweep.html\n", "")
    assert vae_report("sweep") == (0, "report sweep/sweep.html\n", "")
    assert not (inside / "sweep/index.html").exists()
    assert vae_report("all", "--out", "there")[1] == "report there/index.html\nreport there/sweep.html\n"


@pytest.mark.slow
def test_tags_and_a_note_are_settings_of_a_run_and_may_be_given_anew_on_resume(vae_train: Run, inside: Path) -> None:
    assert vae_train(*toy("tags=[paper,2024]", "note=don't stop, go on", "engine.steps=1"))[0] == 0
    run = (inside / "outputs/latest").resolve()
    settings = read_settings(run)
    assert (settings.tags, settings.note) == (("paper", "2024"), "don't stop, go on")
    assert "don&#x27;t stop" in (run / "report.html").read_text() or "don't stop" in (run / "report.html").read_text()
    code, _, errors = vae_train("resume=outputs/latest", "engine.steps=2", "tags=[other]", "note=a, b", "trust=true")
    assert (code, errors) == (0, "")
    settings = read_settings(run)
    assert (settings.tags, settings.note) == (("other",), "a, b")


@pytest.mark.parametrize(
    ("typed", "tags"),
    [("tags=paper", ["paper"]), ("tags=2024", [2024]), ("tags=null", []), ("tags=[paper,2024]", ["paper", 2024])],
)
def test_one_tag_alone_is_a_list_of_one(compose: Callable[..., Any], typed: str, tags: list[object]) -> None:
    config, problems = check(compose(typed, "logger=null", "note=null", "engine.device=cpu"))
    assert problems == []
    assert (config["tags"], config["note"], config["logger"]) == (tags, None, [])
    assert marks_of({"tags": "paper"}) == (("paper",), "")  # as it is noted before the run begins


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("tags=[[1]]", "tags: expected str or int or list of str or int or null, got [[1]]"),
        ("tags=true", "tags: expected str or int or list of str or int or null, got true"),
        ("note=7", "note: expected str or null, got 7"),
    ],
)
def test_tags_are_words_and_a_note_is_a_text_or_none(compose: Callable[..., Any], typed: str, told: str) -> None:
    assert check(compose(typed, "engine.device=cpu"))[1] == [told]
