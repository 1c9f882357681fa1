"""Runs that differ in the seed alone, taken together."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report import Element, Page
from test_sweep import make_run, page

from vae_runner.errors import UserError
from vae_runner.report.sweep import write_sweep
from vae_runner.runs.names import EVALUATION, METRICS

ELBOS = {"2.0": [70.0, 65.5, 80.25], "8.0": [66.0, 71.0, 72.0]}


def make_sweep(folder: Path, elbos: dict[str, list[float]] = ELBOS, **changes: Any) -> None:
    number = 0
    for beta, values in elbos.items():
        for seed, elbo in enumerate(values):
            config = {"seed": seed, "divergence": {"_target_": "beta_kl", "beta": float(beta)}}
            typed = [f"divergence.beta={beta}", f"seed={seed}"]
            make_run(folder / f"{number}-ab", elbo, **{"config": config, "typed": typed, **changes})
            number += 1


def rows(folder: Path) -> list[dict[str, str]]:
    write_sweep(folder)
    return list(csv.DictReader(io.StringIO((folder / "sweep-seeds.csv").read_text())))


def test_mean_and_spread_of_each_setting_are_those_of_numpy(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    table = rows(tmp_path)
    assert [row["divergence.beta"] for row in table] == list(ELBOS)
    for row, values in zip(table, ELBOS.values(), strict=True):
        assert row["runs"] == "3"
        assert float(row["neg_elbo_mean"]) == pytest.approx(np.mean(values), rel=1e-5)
        assert float(row["neg_elbo_sd"]) == pytest.approx(np.std(values, ddof=1), rel=1e-5)
        assert float(row["recon_mean"]) == pytest.approx(np.mean(values) - 9, rel=1e-5)
        assert (float(row["kl_mean"]), float(row["kl_sd"])) == (9, 0)
        assert (float(row["bits_per_dim_mean"]), float(row["active_latents_mean"])) == (0.025, 3)
    assert [row["best"] for row in table] == ["", "best"]  # 69.7 on average; the best single run is the other's


def test_the_page_has_a_table_of_them_behind_that_of_the_runs(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    shown = page(tmp_path)
    table = shown.all("table")[1]
    assert [head.text for head in table.all("tr")[0].children] == [
        "Settings", "Runs", "-ELBOnats", "Bitsper dim", "Recon.nats", "KLnats", "Activelatents", "beta",
    ]  # fmt: skip
    assert [[cell.text for cell in row.children] for row in table.all("tr")[1:]] == [
        ["beta=2", "3", "71.9 ± 7.6", "0.025 ± 0.000", "62.9 ± 7.6", "9.00 ± 0.00", "3.0 ± 0.0", "2"],
        ["beta=8", "3", "best69.7 ± 3.2", "0.025 ± 0.000", "60.7 ± 3.2", "9.00 ± 0.00", "3.0 ± 0.0", "8"],
    ]
    assert "Best: the lowest mean -ELBO" in shown.root.text


def test_only_runs_that_are_done_count_and_one_alone_has_no_spread(tmp_path: Path) -> None:
    make_sweep(tmp_path, {"2.0": [70.0, 65.0], "8.0": [60.0]})
    make_run(
        tmp_path / "3-ab", 1.0, state="failed", typed=["divergence.beta=8.0", "seed=1"],
        config={"seed": 1, "divergence": {"_target_": "beta_kl", "beta": 8.0}},
    )  # fmt: skip
    two, eight = rows(tmp_path)
    assert (two["runs"], two["best"]) == ("2", "best")
    assert (eight["runs"], eight["neg_elbo_mean"], eight["neg_elbo_sd"], eight["best"]) == ("1", "60", "", "")


@pytest.mark.parametrize("elbo", [math.nan, math.inf])
def test_a_run_that_is_lost_makes_the_mean_unknown(tmp_path: Path, elbo: float) -> None:
    make_sweep(tmp_path, {"2.0": [60.0, elbo], "8.0": [66.0, 71.0]})
    two, eight = rows(tmp_path)
    assert (two["neg_elbo_mean"], two["neg_elbo_sd"], two["kl_mean"]) == ("", "", "9")
    assert eight["best"] == "best"


def test_seeds_alone_are_one_group_without_a_best(tmp_path: Path) -> None:
    make_sweep(tmp_path, {"2.0": [70.0, 65.0]})
    (row,) = rows(tmp_path)
    assert next(iter(row)) == "runs"
    assert (row["neg_elbo_mean"], row["best"]) == ("67.5", "")


def test_where_elbos_cannot_be_compared_no_setting_is_the_best(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    make_run(tmp_path / "6-ab", 1.0, config={"seed": 9}, data={"fingerprint": "cd"})
    assert {row["best"] for row in rows(tmp_path)} == {""}


def test_without_seeds_there_is_no_such_table_and_an_old_one_goes(tmp_path: Path) -> None:
    make_sweep(tmp_path, {"2.0": [70.0], "8.0": [60.0]})
    (tmp_path / "sweep-seeds.csv").write_text("of before")
    write_sweep(tmp_path)
    assert not (tmp_path / "sweep-seeds.csv").exists()
    assert "Over the seeds" not in page(tmp_path).root.text


def column(table: Element, name: str) -> list[str]:
    """What stands below the head of that name."""
    heads, *rows = table.all("tr")
    place = [head.text for head in heads.children].index(name)
    return [row.children[place].text for row in rows]


def test_scores_of_the_runs_are_columns_with_the_part_in_their_names(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    values = {"0-ab": 0.25, "1-ab": 0.5, "2-ab": 0.125}
    for name, value in values.items():
        record = {"mig": {"value": value, "part": "validation"}, "odd": {"value": "much"}, "older": 3}
        (tmp_path / name / EVALUATION).write_text(json.dumps(record))
    (tmp_path / "3-ab" / EVALUATION).write_text("{")
    table = rows(tmp_path)
    runs = list(csv.DictReader(io.StringIO((tmp_path / "sweep.csv").read_text())))
    assert [row["mig_validation"] for row in runs] == ["0.25", "0.5", "0.125", "", "", ""]
    assert not [name for name in runs[0] if "odd" in name or "older" in name]
    assert float(table[0]["mig_validation_mean"]) == pytest.approx(np.mean([*values.values()]), rel=1e-5)
    assert float(table[0]["mig_validation_sd"]) == pytest.approx(np.std([*values.values()], ddof=1), rel=1e-5)
    assert table[1]["mig_validation_mean"] == ""
    first, second = page(tmp_path).all("table")[:2]
    assert column(first, "migvalidation") == ["0.250", "0.500", "0.125", "", "", ""]
    assert column(second, "migvalidation") == ["0.292 ± 0.191", ""]


def test_test_figures_are_headed_and_written_as_those_of_validation(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    figures = {"neg_elbo": 70.51, "bits_per_dim": 0.02519, "recon": 61.26, "kl": 9.254}
    for run in tmp_path.glob("*-ab"):
        with (run / METRICS).open("a") as file:
            file.write(json.dumps({"split": "test", "step": 100, **figures}) + "\n")
    for table in page(tmp_path).all("table")[:2]:
        heads = ("-ELBOtest", "Bits/dimtest", "Recon.test", "KLtest")
        written = [column(table, head)[0].partition(" ±")[0] for head in heads]
        assert written == ["70.5", "0.025", "61.3", "9.25"]


def scored(folder: Path, name: str, values: dict[str, float], part: str = "test") -> None:
    for run, value in values.items():
        (folder / run / EVALUATION).write_text(json.dumps({name: {"value": value, "part": part}}))


MIG = {"0-ab": 0.1, "1-ab": 0.2, "2-ab": 0.3, "3-ab": 0.05, "4-ab": 0.25}


def table_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "sweep.csv").read_text())))


def test_runs_ranked_by_a_score_stand_in_its_order_and_not_in_that_of_elbo(tmp_path: Path) -> None:
    make_sweep(tmp_path)  # of which 1-ab has the lowest -ELBO, and beta=8 the lowest mean
    scored(tmp_path, "mig", MIG)
    shown = Page(write_sweep(tmp_path, rank="mig").read_text())
    runs = table_of(tmp_path)
    assert [(row["name"], row["rank"], row["best"]) for row in runs] == [
        ("2-ab", "1", "best"), ("4-ab", "2", ""), ("1-ab", "3", ""),
        ("0-ab", "4", ""), ("3-ab", "5", ""), ("5-ab", "", ""),
    ]  # fmt: skip
    first, second = shown.all("table")[:2]
    assert column(first, "Folder") == [row["name"] for row in runs]
    assert [one.all("tr")[0].children[at].text for one, at in ((first, 1), (second, 2))] == ["migtest", "migtest"]
    assert [badge.parent.text for badge in badges(first)] == ["best0.300"]
    assert "Best: the highest mig (test) of the runs that are done. The runs stand in that order." in shown.root.text
    assert [row.children[0].text for row in second.all("tr")[1:]] == [
        "beta=2",
        "beta=8",
    ]  # the second's mean is unknown
    assert [badge.parent.text for badge in badges(second)] == ["best0.200 ± 0.100"]
    assert "Best: the highest mean mig (test) of several runs." in shown.root.text
    write_sweep(tmp_path)
    assert [row["name"] for row in table_of(tmp_path) if row["best"]] == ["1-ab"]
    assert "rank" not in table_of(tmp_path)[0]


def badges(element: Element) -> list[Element]:
    return [one for one in element.all("span") if one.attributes.get("class") == "badge"]


@pytest.mark.parametrize("name", ["total_correlation", "total_correlation@shapes3d"])
def test_of_scores_that_are_good_when_small_the_smallest_comes_first(tmp_path: Path, name: str) -> None:
    make_sweep(tmp_path)
    scored(tmp_path, name, {**MIG, "5-ab": float("inf")})
    write_sweep(tmp_path, rank=name)
    assert [row["name"][0] for row in table_of(tmp_path)] == ["3", "0", "1", "4", "2", "5"]
    assert [row["name"] for row in table_of(tmp_path) if row["best"]] == ["3-ab"]


def test_a_score_that_does_not_depend_on_the_likelihood_ranks_runs_of_several(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    make_run(tmp_path / "6-ab", 60.0, config={"likelihood": {"_target_": "Laplace"}})
    for name, best in {"mig": ["2-ab"], "log_px": []}.items():
        scored(tmp_path, name, MIG | {"6-ab": -9.0})
        write_sweep(tmp_path, rank=name)
        assert [row["name"] for row in table_of(tmp_path) if row["best"]] == best


def test_runs_that_cannot_be_ranked_are_told_in_one_line_and_the_page_stays(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    before = write_sweep(tmp_path).read_text()
    with pytest.raises(UserError, match=r"^rank=mig: no run has that score, they have none; vae-evaluate FOLDER"):
        write_sweep(tmp_path, rank="mig")
    scored(tmp_path, "sap", MIG)
    with pytest.raises(UserError, match=r"^rank=mig: no run has that score, they have sap; vae-evaluate FOLDER"):
        write_sweep(tmp_path, rank="mig")
    scored(tmp_path, "sap", {"0-ab": 0.5}, part="validation")
    with pytest.raises(UserError, match=r"rank=sap: .* several parts of the data \(validation, test\); score all"):
        write_sweep(tmp_path, rank="sap")
    assert (tmp_path / "sweep.html").read_text() == before
