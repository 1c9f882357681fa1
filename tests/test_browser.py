"""Pages in a real browser: they fit into the window, can be read in the dark, ask for nothing, and are turned over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import opened, started
from test_sweep import make_picture, make_run

from vae_runner.report import write_report
from vae_runner.report.index import write_index
from vae_runner.report.sweep import write_sweep
from vae_runner.runs.read import find_runs

pytestmark = pytest.mark.slow  # a browser is started

SCORES = ("mig", "dci", "sap_continuous", "factor_vae", "modularity", "irs", "mig_sup", "total_correlation")
TERMS = ("beta", "beta_tc")


def make_sweep(folder: Path) -> Path:
    """Twelve runs of two settings and three seeds, with scores, pictures and codes; the page of them."""
    for number in range(12):
        name, beta, seed = TERMS[number // 6], (2.0, 6.0)[number // 3 % 2], number % 3
        config = {"seed": seed, "divergence": {"_target_": name, "beta": beta}}
        typed = [f"divergence={name}", f"divergence.beta={beta:g}", f"seed={seed}"]
        run = make_run(folder / f"{number}-ab", 70.0 - number, config=config, typed=typed, choices={"divergence": name})
        scored = {score: {"value": (number * 7 % 12) / 12, "part": "test"} for score in SCORES}
        (run / "evaluation.json").write_text(json.dumps(scored))
        make_picture(run)
        axes = [{"dim": 0, "follows": "posX 0.9"}, {"dim": 2}]
        codes = {"axes": axes, "codes": [[number + 0.1 * one, 0.1 * one] for one in range(9)]}
        (run / "grids" / "scatter.json").write_text(json.dumps(codes))
        write_report(run)
    return write_sweep(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sweep(tmp_path_factory.mktemp("sweep"))


def table(page: Any) -> Any:
    return page.locator("table.runs >> nth=0")


def rows(page: Any) -> list[str]:
    names = table(page).locator("tbody tr:visible > :first-child").all_inner_texts()
    return [name.strip() for name in names]


def heads(page: Any) -> list[str]:
    found = table(page).locator("thead th:visible").all_inner_texts()
    return [head.split("\n")[0].strip() for head in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", ["sweep.html", "3-ab/report.html"])
def test_a_page_fits_into_the_window_and_asks_for_nothing(
    browser: Any, sweep: Path, name: str, width: int, scheme: str
) -> None:
    with opened(browser, sweep.parent / name, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.requests == []
        assert page.errors == []
        ink, paper = (
            page.evaluate(f"getComputedStyle(document.body).{what}.match(/\\d+/g).slice(0, 3).map(Number)")
            for what in ("color", "backgroundColor")
        )
        bright, dark = (paper, ink) if scheme == "light" else (ink, paper)
        assert min(bright) > 200
        assert max(dark) < 60


def test_of_a_wide_table_as_many_columns_are_shown_as_there_is_room_for(browser: Any, sweep: Path) -> None:
    for width, most in {1400: 22, 400: 5}.items():
        with opened(browser, sweep, width) as page:
            box = table(page).bounding_box()
            assert box["x"] + box["width"] <= width
            shown = heads(page)
            assert shown[:2] == ["Run", "-ELBO"]
            assert len(shown) <= most
            assert "Folder" not in shown
            assert page.locator("details.choose >> nth=0").inner_text() == f"Columns: {len(shown)} of 22"
            last = table(page).locator("tbody tr >> nth=0").locator("td:visible").last.bounding_box()
            assert last["x"] + last["width"] <= width


def test_a_click_on_a_head_sorts_the_table_and_so_does_the_keyboard(browser: Any, sweep: Path) -> None:
    with opened(browser, sweep) as page:
        first = rows(page)
        assert first[0] == "divergence=beta beta=2 seed=0"
        elbo = table(page).get_by_role("button", name="-ELBO nats")
        elbo.click()
        head = table(page).locator("th[aria-sort]")
        assert rows(page) == first[::-1]
        assert head.get_attribute("aria-sort") == "ascending"
        elbo.focus()
        page.keyboard.press("Enter")
        assert rows(page) == first
        assert head.get_attribute("aria-sort") == "descending"
        table(page).get_by_role("button", name="mig test", exact=True).click()
        place = heads(page).index("mig")
        shown = [row.split("\t")[place] for row in table(page).locator("tbody tr").all_inner_texts()]
        assert shown == [f"{one / 12:.3f}" for one in range(12)]


def test_what_is_typed_filters_rows_and_their_curves(browser: Any, sweep: Path) -> None:
    with opened(browser, sweep) as page:
        curves = page.locator("svg[aria-label^='KL in training'] path.run:visible")
        assert curves.count() == 12
        page.locator("input[type=search] >> nth=0").fill("BETA_TC  seed=1")
        assert rows(page) == ["divergence=beta_tc beta=2 seed=1", "divergence=beta_tc beta=6 seed=1"]
        assert page.locator("output >> nth=0").inner_text() == "2 of 12"
        assert curves.count() == 2
        page.locator("input[type=search] >> nth=0").fill("")
        assert len(rows(page)) == curves.count() == 12


def test_a_column_is_hidden_and_shown_by_its_box(browser: Any, sweep: Path) -> None:
    with opened(browser, sweep) as page:
        page.locator("details.choose >> nth=0").locator("summary").click()
        page.get_by_label("Folder", exact=True).check()
        page.get_by_label("KL, nats", exact=True).first.uncheck()
        assert heads(page)[-1] == "Folder"
        assert heads(page)[1:4] == ["-ELBO", "Recon.", "mig"]
        assert page.evaluate("document.documentElement.scrollWidth") == 1400  # it is scrolled inside


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    for number in range(5):
        config = {"seed": number // 2, "divergence": {"_target_": "beta_kl", "beta": 4.0 + number % 2}}
        typed = [f"seed={number // 2}", f"divergence.beta={4 + number % 2}"]
        make_picture(make_run(folder / f"{number}", 70.0 - number, config=config, typed=typed))
    return write_index(folder, find_runs(folder))


def test_two_runs_that_are_chosen_are_compared_setting_by_setting(browser: Any, index: Path) -> None:
    with opened(browser, index) as page:
        difference = page.locator("#difference")
        page.get_by_label("Compare 0").check()
        assert difference.inner_text() == ""
        page.get_by_label("Compare 1").check()
        assert difference.locator("tr").all_inner_texts() == ["Setting\t0\t1", "divergence.beta\t4.0\t5.0"]
        page.get_by_label("Compare 4").check()  # in place of the first
        assert difference.locator("tr").all_inner_texts() == [
            "Setting\t1\t4", "seed\t0\t2", "divergence.beta\t5.0\t4.0",
        ]  # fmt: skip
        assert page.errors == page.requests == []


def test_runs_that_are_pinned_stand_on_top_and_are_still_so_when_the_page_is_opened_again(
    browser: Any, index: Path
) -> None:
    with opened(browser, index) as page:
        page.get_by_role("button", name="Pin 3").click()
        assert page.get_by_role("button", name="Pin 3").get_attribute("aria-pressed") == "true"
        for _ in range(2):
            table(page).get_by_role("button", name="-ELBO nats").click()  # upwards, downwards
            assert table(page).locator("tbody tr >> nth=0").get_attribute("data-run") == "3"
        page.reload()
        assert table(page).locator("tbody tr >> nth=0").get_attribute("data-run") == "3"
        page.get_by_role("button", name="Pin 3").click()
        assert page.get_by_role("button", name="Pin 3").get_attribute("aria-pressed") == "false"


def test_the_index_fits_into_the_window(browser: Any, index: Path) -> None:
    for width in (1400, 400):
        with opened(browser, index, width) as page:
            assert page.evaluate("document.documentElement.scrollWidth") == width
            last = table(page).locator("tbody tr >> nth=0").locator("td:visible").last.bounding_box()
            assert last["x"] + last["width"] <= width


def test_without_a_script_the_whole_table_is_there(browser: Any, sweep: Path) -> None:
    text = sweep.read_text()
    plain = sweep.with_name("plain.html")
    plain.write_text(text[: text.index("<script>")] + "</body></html>")
    with opened(browser, plain, 400) as page:
        assert len(heads(page)) == 22
        assert len(rows(page)) == 12
        assert page.locator("button, input").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 400
