"""Runs side by side: what tells them apart, the table, the page, and who writes it when."""

import csv
import io
import json
import math
import multiprocessing
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from test_report import EVIL, Axes, Page, assert_points, train_record, validation_record

from vae_runner.report.sweep import read_sweep, write_sweep
from vae_runner.runs.read import find_runs
from vae_runner.runs.settings import differences, read_settings

NAN = math.nan


def make_run(folder: Path, neg_elbo: float = 70.0, state: str | None = "done", **changes: Any) -> Path:
    """A run's folder. `choices` and `config` are merged into a plain beta-VAE's, `typed` is the command line's."""
    (folder / ".hydra").mkdir(parents=True)
    config = {"seed": 0, "engine": {"steps": 100}, "divergence": {"_target_": "beta_kl", "beta": 4.0}}
    config |= {"likelihood": {"_target_": "Bernoulli"}} | changes.get("config", {})
    config["engine"] = {"seed": config["seed"]} | config["engine"]  # as conf/train.yaml has it
    choices = {"experiment": None, "divergence": "beta", "dataset": "dsprites"} | changes.get("choices", {})
    data = {"fingerprint": "ab", "validation": 200} | changes.get("data", {})
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(changes.get("typed", [])))
    environment = {"name": folder.name, "choices": choices, "data": data, "commands": ["vae-train -m seed=0,1"]}
    (folder / "environment.json").write_text(json.dumps(environment))
    if state is not None:
        status = {"state": state, "step": 100, "total_steps": 100, "seconds": 12.0, "reason": changes.get("reason")}
        (folder / "status.json").write_text(json.dumps(status))
    records = [validation_record(0, neg_elbo=900.0)]
    records += [train_record(step, kl=neg_elbo / step) for step in (50, 100)]
    records += [validation_record(100, neg_elbo=neg_elbo, recon=neg_elbo - 9, kl=9.0, bits_per_dim=0.025)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def make_picture(folder: Path, name: str = "samples", colour: tuple[int, int, int] = (9, 9, 9)) -> None:
    (folder / "grids").mkdir(exist_ok=True)
    Image.new("RGB", (60, 30), colour).save(folder / "grids" / f"{name}.png")


def seeds(folder: Path, elbos: list[float], **changes: Any) -> None:
    for seed, elbo in enumerate(elbos):
        config = {"seed": seed}
        make_run(folder / f"{seed}-ab-beta", elbo, config=config, typed=[f"seed={seed}"], **changes)


def rows(folder: Path) -> list[dict[str, str]]:
    write_sweep(folder)
    return list(csv.DictReader(io.StringIO((folder / "sweep.csv").read_text())))


def page(folder: Path) -> Page:
    return Page(write_sweep(folder).read_text(encoding="utf-8"))


def labels(*folders: Path) -> list[str]:
    return [job.label for job in read_sweep(folders, folders[0].parent).jobs]


def test_a_run_is_named_by_what_tells_it_apart(tmp_path: Path) -> None:
    kl = {"choices": {"divergence": "kl"}, "config": {"divergence": {"_target_": "plain_kl"}}}
    one = make_run(tmp_path / "0", typed=["divergence=kl", "seed=0"], **kl)
    two = make_run(tmp_path / "1", typed=["divergence=beta", "seed=0"])
    assert labels(one, two) == ["divergence=kl", "divergence=beta"]  # beta and _target_ follow from it
    three = make_run(tmp_path / "2", config={"seed": 1})
    assert labels(one, two, three) == ["divergence=kl seed=0", "divergence=beta seed=0", "divergence=beta seed=1"]
    four = make_run(tmp_path / "3", config={"divergence": {"_target_": "beta_kl", "beta": 8.0}})
    assert labels(two, four) == ["beta=4", "beta=8"]
    assert labels(one, two, four) == ["divergence=kl", "divergence=beta beta=4", "divergence=beta beta=8"]
    assert labels(two) == ["1"]
    assert differences([read_settings(folder) for folder in (one, two)]) == [
        "divergence", "divergence._target_", "divergence.beta",
    ]  # fmt: skip


def test_of_settings_that_end_alike_each_is_named_by_as_much_as_tells_it_from_the_other(tmp_path: Path) -> None:
    def made(name: str, encoder: list[int], decoder: str, lr: float) -> Path:
        architecture = {"encoder": {"hidden": encoder}, "decoder": {"hidden": decoder}}
        return make_run(tmp_path / name, config={"architecture": architecture, "optimizer": {"lr": lr}})

    runs = [made("0", [9, 8], "x", 0.1), made("1", [9], "y", 0.01), made("2", [9], "y", 0.01)]
    assert labels(*runs) == [
        "encoder.hidden=[9,8] decoder.hidden=x lr=0.1",
        "encoder.hidden=[9] decoder.hidden=y lr=0.01 (1)",
        "encoder.hidden=[9] decoder.hidden=y lr=0.01 (2)",
    ]


def test_choices_of_groups_stand_before_settings_and_the_seed_last(tmp_path: Path) -> None:
    runs = []
    for seed, (name, encoder) in enumerate([("kl", "mlp"), ("kl", "conv"), ("beta", "mlp")]):
        choices = {"divergence": name, "architecture/encoder": encoder}
        config = {"seed": seed, "optimizer": {"lr": 0.1 * seed + 0.1}}
        runs.append(make_run(tmp_path / name / encoder, choices=choices, config=config, typed=["optimizer.lr=1"]))
    assert labels(*runs)[0] == "divergence=kl encoder=mlp lr=0.1 seed=0"


def test_what_was_typed_is_named_though_it_follows_from_the_option(tmp_path: Path) -> None:
    kl = {"choices": {"divergence": "kl"}, "config": {"divergence": {"_target_": "plain_kl"}}}
    one = make_run(tmp_path / "0", **kl)
    two = make_run(tmp_path / "1", typed=["divergence=beta", "divergence.beta=4"])
    assert labels(one, two) == ["divergence=kl", "divergence=beta beta=4"]


def test_a_preset_stands_for_all_that_it_sets(tmp_path: Path) -> None:
    paper = {"choices": {"experiment": "paper", "divergence": "kl"}, "config": {"optimizer": {"lr": 3.0}}}
    one, two = make_run(tmp_path / "0", **paper), make_run(tmp_path / "1")
    assert labels(one, two) == ["experiment=paper", "experiment=null"]


def test_how_a_run_is_followed_is_no_difference_unless_it_was_typed(tmp_path: Path) -> None:
    quick = {"config": {"engine": {"steps": 100, "log_every": 5}}}
    one, two = make_run(tmp_path / "0"), make_run(tmp_path / "1", **quick)
    assert labels(one, two) == ["0", "1"]
    three = make_run(tmp_path / "2", typed=["engine.log_every=5"], **quick)
    assert labels(one, three) == ["0", "log_every=5"]
    four = make_run(tmp_path / "3", typed=["engine.log_every=5", "seed=1"], config=quick["config"] | {"seed": 1})
    assert labels(one, four) == ["seed=0", "seed=1"]
    scored = {"engine": {"steps": 100}, "evaluation": {"scores": "none", "every": 5}}
    five = make_run(tmp_path / "4", typed=["evaluation=none", "seed=1"], config=scored | {"seed": 1})
    assert labels(one, five) == ["seed=0", "seed=1"]


def test_the_length_of_the_learning_rate_tells_runs_apart_where_it_is_typed(tmp_path: Path) -> None:
    def made(name: str, steps: int, cosine: int, *typed: str) -> Path:
        config = {"engine": {"steps": steps}, "lr_schedule": {"_target_": "Cosine", "steps": cosine}}
        return make_run(tmp_path / name, typed=[f"engine.steps={steps}", *typed], config=config)

    ten, twenty = made("0", 10, 10), made("1", 20, 20)
    assert labels(ten, twenty) == ["steps=10", "steps=20"]
    early = made("2", 20, 15, "lr_schedule.steps=15")
    assert labels(twenty, early) == ["steps=20", "steps=15"]


def test_an_override_that_the_config_does_not_hold_is_a_difference_too(tmp_path: Path) -> None:
    one = make_run(tmp_path / "0", typed=["visualisation=[data]"], config={"visualisation": {"data": {"n": 1}}})
    two = make_run(tmp_path / "1", typed=["visualisation=[samples]"], config={"visualisation": {"samples": {"n": 2}}})
    assert labels(one, two) == ["visualisation=[data]", "visualisation=[samples]"]


def test_runs_are_found_at_any_depth_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10-x", "9-x", "a/b/1-x", ".hidden/2-x", "9-x/inner"):
        make_run(tmp_path / name)
    (tmp_path / "latest").symlink_to(tmp_path / "9-x")
    (tmp_path / "empty").mkdir()
    assert [run.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)] == ["9-x", "10-x", "a/b/1-x"]
    assert find_runs(tmp_path / "9-x") == [tmp_path / "9-x"]


def test_the_table_has_a_row_for_each_run(tmp_path: Path) -> None:
    seeds(tmp_path, [70.0, 65.5, 80.0])
    make_run(tmp_path / "3-ab-beta", 60.0, state="failed", reason="loss is\nnan", typed=["seed=3"])
    table = rows(tmp_path)
    assert list(table[0]) == [
        "name", "seed", "status", "reason", "step", "neg_elbo", "bits_per_dim", "recon", "kl", "active_latents",
        "latents", "seconds", "images_per_second", "best",
    ]  # fmt: skip
    assert table[1] == {
        "name": "1-ab-beta", "seed": "1", "status": "done", "reason": "", "step": "100", "neg_elbo": "65.5",
        "bits_per_dim": "0.025", "recon": "56.5", "kl": "9", "active_latents": "3", "latents": "3", "seconds": "12",
        "images_per_second": "6400", "best": "best",
    }  # fmt: skip
    assert [row["best"] for row in table] == ["", "best", "", ""]  # the failed one is out of the race
    assert (table[3]["status"], table[3]["reason"], table[3]["neg_elbo"]) == ("failed", "loss is nan", "60")


@pytest.mark.parametrize("other", [{"data": {"fingerprint": "cd"}}, {"data": {"validation": 99}}])
def test_no_run_is_the_best_where_elbos_cannot_be_compared(tmp_path: Path, other: dict[str, Any]) -> None:
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", 60.0)
    assert [row["best"] for row in rows(tmp_path)] == ["", "best"]
    make_run(tmp_path / "2", 50.0, **other)
    assert [row["best"] for row in rows(tmp_path)] == ["", "", ""]
    assert "-ELBO cannot be compared" in page(tmp_path).root.text
    shutil.rmtree(tmp_path / "2")
    make_run(tmp_path / "2", 50.0, config={"likelihood": {"_target_": "Gaussian"}})
    assert [row["best"] for row in rows(tmp_path)] == ["", "", ""]


def test_no_run_is_the_best_where_one_is_measured_on_other_images_of_the_set(tmp_path: Path) -> None:
    make_run(tmp_path / "0", data={"measured": "a"})
    make_run(tmp_path / "1", 60.0, data={"measured": "a"})
    assert [row["best"] for row in rows(tmp_path)] == ["", "best"]
    make_run(tmp_path / "2", 50.0, data={"measured": "b"})
    assert [row["best"] for row in rows(tmp_path)] == ["", "", ""]
    shutil.rmtree(tmp_path / "2")
    make_run(tmp_path / "2", 50.0)  # of a program that did not note it
    assert [row["best"] for row in rows(tmp_path)] == ["", "", "best"]


@pytest.mark.parametrize("elbo", [NAN, math.inf, -math.inf, None, "text"])
def test_a_run_without_a_figure_is_never_the_best(tmp_path: Path, elbo: Any) -> None:
    make_run(tmp_path / "0", 90.0)
    make_run(tmp_path / "1")
    (tmp_path / "1" / "metrics.jsonl").write_text(json.dumps(validation_record(100, neg_elbo=elbo)) + "\n")
    assert [row["best"] for row in rows(tmp_path)] == ["best", ""]


def test_the_page_shows_the_runs_and_links_to_their_reports(tmp_path: Path) -> None:
    seeds(tmp_path, [70.0, 65.5])
    (tmp_path / "1-ab-beta" / "report.html").touch()
    shown = page(tmp_path)
    assert shown.all("h1")[0].text == tmp_path.name
    assert "2 runs: 2 done" in shown.root.text
    assert shown.all("code")[0].text == "vae-train -m seed=0,1"
    table, _, settings = shown.all("table")
    assert [head.text for head in table.all("tr")[0].children] == [
        "Run", "-ELBOnats", "Bitsper dim", "Recon.nats", "KLnats", "Activelatents", "seed", "Status", "Step", "Time",
        "Images/s", "Folder",
    ]  # fmt: skip
    bodies = [[cell.text for cell in row.children] for row in table.all("tr")[1:]]
    assert bodies == [
        ["seed=0", "70.0", "0.025", "61.0", "9.00", "3", "0", "done", "100", "12 s", "6,400", "0-ab-beta"],
        ["seed=1", "best65.5", "0.025", "56.5", "9.00", "3", "1", "done", "100", "12 s", "6,400", "1-ab-beta"],
    ]
    assert [link.attributes["href"] for link in table.all("a")] == ["1-ab-beta/report.html"]
    assert [row.attributes.get("class") for row in table.all("tr")[1:]] == [None, "best"]
    assert [[cell.text for cell in row.children] for row in settings.all("tr")] == [
        ["", "seed=0", "seed=1"], ["seed", "0", "1"],
    ]  # fmt: skip


def test_the_curves_of_all_runs_are_drawn_on_common_axes(tmp_path: Path) -> None:
    seeds(tmp_path, [70.0, 65.5, 90.0])
    shown = page(tmp_path)
    assert shown.charts() == [
        "-ELBO in validation, mean", "Reconstruction in training, mean", "KL in training, mean",
        "-ELBO in validation", "Reconstruction in training", "KL in training",
        "Reconstruction over KL, last validation",
    ]  # fmt: skip
    axes = Axes(shown.chart("KL in training"))
    paths = axes.svg.all("path")
    assert [path.all("title")[0].text for path in paths] == ["seed=0", "seed=1", "seed=2"]
    assert [path.attributes["class"] for path in paths] == ["run c0 d0", "run c1 d0", "run c2 d0"]
    for path, elbo in zip(paths, (70.0, 65.5, 90.0), strict=True):
        assert_points(axes.lines(path.attributes["class"])[0], [(50, elbo / 50), (100, elbo / 100)], axes)
    plane = shown.chart("Reconstruction over KL, last validation")
    assert [mark.text for mark in plane.all("text", **{"class": "mark"})] == ["0", "1", "2"]


def test_the_bars_and_the_codes_of_all_runs_have_one_scale(tmp_path: Path) -> None:
    codes = {"0": [[-4.0, 0.0], [0.0, 1.0]], "1": [[0.0, 0.0], [8.0, 2.0]]}
    for seed, (name, kl) in enumerate({"0": [1.0, 0.5], "1": [4.0, 2.0]}.items()):
        run = make_run(tmp_path / name, config={"seed": seed})
        (run / "metrics.jsonl").write_text(json.dumps(validation_record(100, kl_dims=kl)) + "\n")
        make_picture(run, "kl"), make_picture(run, "scatter"), make_picture(run, "samples")
        details = {"codes": codes[name], "axes": [{"dim": 3, "follows": "posX 0.9"}, {"dim": 1}]}
        (run / "grids" / "scatter.json").write_text(json.dumps(details))
    (tmp_path / "contact-kl.png").touch()  # of an older version
    shown = page(tmp_path)
    bars = [bar.children[0].attributes["style"] for bar in shown.all("span", **{"class": "bar"})]
    assert bars == ["width: 25.0%", "width: 12.5%", "width: 100.0%", "width: 50.0%"]
    one, other = (Axes(shown.chart(f"seed={seed}")) for seed in (0, 1))
    for points, axes in ((codes["0"], one), (codes["1"], other)):
        assert_points(axes.dots(), [tuple(point) for point in points], axes)
    assert (one.steps, one.values) == (other.steps, other.values)
    assert {"z3, posX 0.9", "z1"} <= {text.text for text in one.svg.all("text")}
    assert {file.name for file in tmp_path.glob("*.png")} == {"contact-samples.png"}


def test_a_schedule_is_drawn_where_it_is_not_the_same_in_all_runs(tmp_path: Path) -> None:
    for seed in (0, 1):
        run = make_run(tmp_path / str(seed), config={"seed": seed})
        records = [train_record(step, beta=step * (1 + seed), lr=1 / step) for step in (50, 100)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [name for name in page(tmp_path).charts() if "Weight" in name or "rate" in name] == ["Weight beta"]


def test_a_run_by_itself_has_no_number_of_a_job(tmp_path: Path) -> None:
    for number, name in enumerate(("02-26-53-26ba-dsprites", "02-40-09-6b24-folder", "7-26ba-dsprites")):
        make_run(tmp_path / name, 70.0, config={"seed": number})
    plane = page(tmp_path).chart("Reconstruction over KL, last validation")
    assert [mark.text for mark in plane.all("text", **{"class": "mark"})] == ["7"]


def test_runs_that_differ_by_their_seed_alone_share_a_colour(tmp_path: Path) -> None:
    for number, (beta, seed) in enumerate([(1.0, 0), (1.0, 1), (8.0, 0), (8.0, 1)]):
        config = {"seed": seed, "divergence": {"_target_": "beta_kl", "beta": beta}}
        make_run(tmp_path / f"{number}", 70.0 + number, config=config)
    paths = page(tmp_path).chart("KL in training").all("path")
    assert [path.attributes["class"] for path in paths] == ["run c0 d0", "run c0 d1", "run c1 d0", "run c1 d1"]


def test_of_very_many_runs_the_best_one_stands_out(tmp_path: Path) -> None:
    seeds(tmp_path, [70.0 - seed for seed in range(9)])
    paths = page(tmp_path).chart("KL in training").all("path")
    assert [path.attributes["class"] for path in paths] == ["run many"] * 8 + ["run best"]


def test_the_page_loads_nothing_and_allows_its_own_script_alone(tmp_path: Path) -> None:
    seeds(tmp_path, [70.0, 65.5])
    for folder in tmp_path.glob("[01]*"):
        make_picture(folder)
    shown = page(tmp_path)
    (script,) = shown.all("script")
    assert script.attributes == {}
    (policy,) = (e for e in shown.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy")
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary"], input=script.text.encode(), capture_output=True, check=True
    )
    encoded = subprocess.run(["base64"], input=digest.stdout, capture_output=True, check=True).stdout.decode().strip()
    assert policy.attributes["content"].endswith(f"; script-src 'sha256-{encoded}'")
    assert all(image.attributes["src"].startswith("data:") for image in shown.all("img"))
    links = [link.attributes["href"] for link in shown.all("a")]
    assert links == ["contact-samples.png"]
    assert not [name for element in shown.root for name in element.attributes if name.startswith("on")]


def test_every_value_is_text_and_never_markup(tmp_path: Path) -> None:
    seeds(tmp_path, [70.0, 65.5])
    plain = {element.name for element in page(tmp_path).root}
    evil = make_run(
        tmp_path / "7", state=f"state {EVIL}", reason=f"reason {EVIL}", typed=[f"seed={EVIL}"],
        config={"seed": f"seed {EVIL}", f"key {EVIL}": 1},
    )  # fmt: skip
    (evil / "report.html").touch()
    named = tmp_path / "8<b onclick='x'>&%41"
    make_run(named)
    (named / "report.html").touch()
    shown = page(tmp_path)
    assert {element.name for element in shown.root} <= plain | {"a", "ul", "li"}
    assert not [name for element in shown.root for name in element.attributes if name.startswith("on")]
    for what in ("state", "reason", "seed", "key"):
        assert f"{what} {EVIL}" in shown.root.text
    assert "8%3Cb%20onclick%3D%27x%27%3E%26%2541/report.html" in {e.attributes["href"] for e in shown.all("a")}


def halve(run: Path) -> None:
    for file in (file for file in run.rglob("*.*") if file.is_file()):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


BREAKS: dict[str, Callable[[Path], Any]] = {
    "empty": lambda run: [file.write_text("") for file in run.rglob("*") if file.is_file()],
    "bytes": lambda run: [file.write_bytes(b"\xff\xfe\0{") for file in run.rglob("*") if file.is_file()],
    "lists": lambda run: [file.write_text("[1, {}]") for file in run.rglob("*") if file.is_file()],
    "yaml objects": lambda run: (run / "config.yaml").write_text("!!python/object/apply:os.system ['touch ran']"),
    "deep": lambda run: (run / "config.yaml").write_text("[" * 5000),
    "half": halve,
    "no status": lambda run: (run / "status.json").unlink(),
    "only hydra": lambda run: [(run / name).unlink() for name in ("status.json", "config.yaml", "metrics.jsonl")],
    "no environment": lambda run: (run / "environment.json").unlink(),
    "odd choices": lambda run: (run / "environment.json").write_text('{"choices": [1], "commands": 3, "data": 4}'),
    "folders": lambda run: [(run / "status.json").unlink(), (run / "status.json").mkdir()],
    "odd overrides": lambda run: (run / ".hydra" / "overrides.yaml").write_text("{a: 1}"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_run_never_breaks_the_page(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seeds(tmp_path, [70.0, 65.5, 80.0])
    for folder in tmp_path.glob("[012]*"):
        make_picture(folder)
    BREAKS[what](tmp_path / "1-ab-beta")
    table = rows(tmp_path)
    assert [row["name"] for row in table] == ["0-ab-beta", "1-ab-beta", "2-ab-beta"]
    assert [row["status"] for row in table][::2] == ["done", "done"]
    assert len(page(tmp_path).all("table")[0].all("tr")) == 4
    assert not (tmp_path / "ran").exists()


def test_an_early_end_is_told_with_its_reason(tmp_path: Path) -> None:
    make_run(tmp_path / "0", typed=["seed=0"])
    make_run(tmp_path / "1", state="failed", reason="loss is nan", config={"seed": 1})
    make_run(tmp_path / "2", state="interrupted", config={"seed": 2})
    make_run(tmp_path / "3", state=None, config={"seed": 3})
    make_run(tmp_path / "4", state="running", config={"seed": 4})
    notes = [(e.attributes["class"], e.text) for e in page(tmp_path).all("ul", **{"class": "notes"})[0].all("li")]
    assert notes == [
        ("error", "seed=1: failed at step 100: loss is nan"),
        ("warning", "seed=2: interrupted at step 100"),
        ("warning", "seed=3: not begun at step 100"),
    ]
    assert "5 runs: 1 done, 1 failed, 1 interrupted, 1 not begun, 1 running" in page(tmp_path).root.text


def test_an_empty_sweep_has_a_page_too(tmp_path: Path) -> None:
    assert "0 runs" in page(tmp_path).root.text
    assert rows(tmp_path) == []


def test_the_same_runs_give_the_same_table_and_sheets(tmp_path: Path) -> None:
    seeds(tmp_path, [70.0, 65.5])
    for folder in tmp_path.glob("[01]*"):
        make_picture(folder)
    files = ("sweep.csv", "sweep-seeds.csv", "contact-samples.png")
    write_sweep(tmp_path)
    before = [(tmp_path / name).read_bytes() for name in files]
    write_sweep(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in files] == before
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {*files, "sweep.html", ".lock"}


def _add_and_write(folder: Path, number: int) -> None:
    make_run(folder / f"{number}-x", config={"seed": number})
    write_sweep(folder)


def test_when_jobs_end_at_once_the_last_page_has_them_all(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_add_and_write, args=(tmp_path, number)) for number in range(6)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    with (tmp_path / "sweep.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [f"{number}-x" for number in range(6)]
    assert len(Page((tmp_path / "sweep.html").read_text()).all("table")[0].all("tr")) == 7
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_no_text_in_a_csv_file_is_a_formula(tmp_path: Path) -> None:
    evil = ["=cmd|'/c calc'!A0", "@SUM(1)", "+1+1", "-1+1", "\t=1", "\uff1d1"]
    for number, text in enumerate(evil):
        make_run(tmp_path / f"={number}", config={"seed": number % 2, "=key": text}, state="failed", reason=text)
    make_run(tmp_path / "=done0", config={"seed": 0, "=key": "-3", "lr": -1.5})
    make_run(tmp_path / "=done1", config={"seed": 1, "=key": "-3", "lr": -1.5})
    table = rows(tmp_path)
    cells = [cell for row in table for cell in (*row, *row.values())]
    numbers = ("-3", "-1.5")
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+", "-", "\t", "\r")) and cell not in numbers]
    assert {row["'=key"] for row in table} >= {"'=cmd|'/c calc'!A0", "'@SUM(1)", "'-1+1", "-3"}
    seeds_table = (tmp_path / "sweep-seeds.csv").read_text()
    assert "'=key" in seeds_table
    assert not re.search(r"(^|,)[=@+]", seeds_table, re.MULTILINE)


def test_a_run_that_cannot_be_read_is_a_row_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds(tmp_path, [70.0, 65.5, 80.0])
    (tmp_path / "0-ab-beta/status.json").write_text("[]")
    with (tmp_path / "1-ab-beta/metrics.jsonl").open("a") as log:
        log.write('{"step": 1e400}\n[[\n')
    table = rows(tmp_path)
    assert [row["status"] for row in table] == ["unreadable", "done", "done"]
    assert table[0]["reason"] == "status.json is not what a run writes: no JSON object"
    assert table[1]["best"] == "best"
    notes = [(e.attributes["class"], e.text) for e in page(tmp_path).all("ul", **{"class": "notes"})[0].all("li")]
    assert ("error", "seed=0: unreadable at step 100: status.json is not what a run writes: no JSON object") in notes
    assert any("2 lines of metrics.jsonl cannot be read and are left out" in text for _, text in notes)
