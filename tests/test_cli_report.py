"""`vae-report` at the command line, and what `vae-train` leaves for it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_cli import Run, toy, vae_train
from test_sweep import make_picture, make_run

from vae_runner import __version__
from vae_runner.cli import report
from vae_runner.files import write_atomically

__all__ = ["vae_train"]  # a fixture
Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def vae_report(inside: Path, capsys: pytest.CaptureFixture[str]) -> Report:
    """vae_report(*arguments) -> exit code, standard output, standard error; in an empty folder of its own."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = report.run(list(arguments))
        return (code, *capsys.readouterr())

    return run


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}


def test_of_a_run_its_report_is_made(vae_report: Report, inside: Path) -> None:
    make_run(inside / "mine")
    assert vae_report("mine") == (0, "report mine/report.html\n", "")
    assert "<h1>mine</h1>" in (inside / "mine/report.html").read_text()
    assert files(inside) == set()
    (inside / "latest").symlink_to("mine")
    (inside / "mine/report.html").unlink()
    assert vae_report("latest/") == (0, "report latest/report.html\n", "")
    assert (inside / "mine/report.html").exists()


def test_of_a_folder_of_runs_the_sweeps_files_are_made(vae_report: Report, inside: Path) -> None:
    for name in ("day/0", "day/1"):
        make_picture(make_run(inside / name))
    made = {"index.html", "sweep.html", "sweep.csv", "contact-samples.png"}
    assert vae_report("day") == (0, "report day/index.html\nreport day/sweep.html\n", "")
    assert files(inside / "day") == made
    assert vae_report("day", "--out", "there/else")[1].endswith("report there/else/sweep.html\n")
    assert files(inside / "there/else") == made
    assert not list((inside / "day").rglob("report.html"))


def test_of_several_folders_all_runs_are_set_side_by_side(vae_report: Report, inside: Path) -> None:
    for name in ("a/0", "a/1", "b"):
        make_run(inside / name)
    (inside / "b/report.html").touch()
    (inside / "latest").symlink_to("b")
    assert vae_report("a", "b", "latest", "a/1") == (0, "report report/sweep.html\n", "")
    with (inside / "report/sweep.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["0", "1", "b"]
    assert 'href="../b/report.html"' in (inside / "report/sweep.html").read_text()
    assert vae_report("a", "b", "--out=x")[:2] == (0, "report x/sweep.html\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "which runs? vae-report outputs/latest; --help says more"),
        (["nowhere"], "no folder nowhere"),
        (["file"], "file is not a folder; give the folder of a run or of a sweep"),
        (["empty"], "no runs in empty: none of its folders has a status.json, config.yaml or metrics.jsonl"),
        (["run", "empty"], "no runs in empty: "),
        (["run", "--out", "x"], "--out is for several runs; the report of one is written into its folder, run"),
        (["run", "--outt=x"], "no option called '--outt=x'; there are --out DIR, --serve, --port N, --help, --version"),
        (["run", "--out"], "--out needs a folder: --out DIR"),
        (["run", "--out="], "--out takes one folder"),
        (["run", "--out=x", "--out=y"], "--out takes one folder"),
        (["run", "--out", "file"], "--out file is not a folder"),
        (["run", "rank=mig"], "rank=mig is for several runs, and run is one"),
        (["run", "rank="], "rank takes one score: rank=mig"),
        (["run", "rank=mig", "rank=sap"], "rank takes one score: rank=mig"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(
    vae_report: Report, inside: Path, arguments: list[str], line: str
) -> None:
    make_run(inside / "run")
    (inside / "file").touch()
    (inside / "empty/inner").mkdir(parents=True)
    before = set(inside.rglob("*"))
    code, output, errors = vae_report(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith(f"vae-report: error: {line}")
    assert errors.count("\n") == 1
    assert set(inside.rglob("*")) == before


def test_several_mistakes_are_told_together(vae_report: Report) -> None:
    code, _, errors = vae_report("no", "nor", "--x")
    assert (code, errors.count("vae-report: error: "), errors.count("\n")) == (2, 3, 3)


def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(
    vae_report: Report, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    make_run(inside / "mine")
    monkeypatch.setattr("vae_runner.report.run.run_page.write_atomically", refuse)
    code, output, errors = vae_report("mine")
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("vae-report: error: [Errno 13] Permission denied: 'mine/report.html'")


def test_help_and_version(vae_report: Report) -> None:
    code, screen, _ = vae_report("anything", "--help")
    assert code == 0
    assert "--out DIR" in screen
    assert max(map(len, screen.splitlines())) <= 120
    assert vae_report("--version") == (0, f"vae-report {__version__}\n", "")


@pytest.mark.parametrize(("argument", "needed"), [("--help", set()), ("run", {"numpy"}), (".", {"numpy"})])
def test_neither_torch_nor_hydra_is_imported(inside: Path, argument: str, needed: set[str]) -> None:
    """Nor NumPy, but to draw."""
    make_picture(make_run(inside / "run"))
    code = (
        "import sys, vae_runner.cli.report as report\n"
        f"assert report.run([{argument!r}]) == 0\n"
        f"heavy = {{'torch', 'numpy', 'hydra', 'omegaconf'}} & set(sys.modules) - {needed}\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=inside, stdout=subprocess.DEVNULL)


def test_nothing_in_a_folder_is_run(vae_report: Report, inside: Path) -> None:
    for name in ("day/0", "day/1"):
        run = make_run(inside / name)
        for file in ("config.yaml", ".hydra/overrides.yaml", ".hydra/hydra.yaml", "environment.json"):
            (run / file).write_text("!!python/object/apply:os.system ['touch ran']\n")
    assert vae_report("day")[0] == 0
    assert vae_report("day/0")[0] == 0
    assert not list(inside.rglob("ran"))


def table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_sweep_has_its_page_after_every_job_also_one_that_failed(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(path: Path, data: bytes) -> None:
        write_atomically(path, data)
        if path.name == "sweep.html":
            seen.append([row["status"] for row in table(path.parent)])

    monkeypatch.setattr("vae_runner.report.sweep.sweep_page.write_atomically", watched)
    code, output, _ = vae_train(
        *toy("--multirun", "dataset.size=16,8", "seed=0,1", "engine.steps=4", "architecture=conv_higgins")
    )
    assert code == 1
    assert seen[:4] == [
        ["done", "missing", "missing", "missing"], ["done", "done", "missing", "missing"],
        ["done", "done", "failed", "missing"], ["done", "done", "failed", "failed"],
    ]  # fmt: skip
    sweep = (inside / "multirun/latest").resolve()
    assert {"sweep.html", "sweep.csv", "contact-traversal.png", "contact-data.png"} <= files(sweep)
    rows = table(sweep)
    assert [(row["dataset.size"], row["seed"]) for row in rows] == [("16", "0"), ("16", "1"), ("8", "0"), ("8", "1")]
    assert "too small" in rows[2]["reason"]
    best = min(rows[:2], key=lambda row: float(row["neg_elbo"]))
    assert [row["best"] for row in rows] == ["best" if row is best else "" for row in rows]
    for row in rows[:2]:
        assert f'href="{row["name"]}/report.html"' in (sweep / "sweep.html").read_text()
    lines = output.splitlines()
    assert "2 of 4 jobs done in" in output
    assert lines[-1] == "report multirun/latest/sweep.html"
    assert re.search(r"^ +0  size=16 seed=0 +done +-ELBO [\d.]+  recon [\d.]+  KL [\d.]+", output, re.M)
    # a job that is trained longer brings the page up to date
    assert vae_train(f"resume={sweep / rows[0]['name']}", "trust=true", "engine.steps=6")[0] == 0
    assert [row["step"] for row in table(sweep)][:2] == ["6", "4"]


def test_a_job_that_fails_before_it_has_begun_has_a_status_too(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_runner.experiment.run.check", lambda cfg: ({}, ["seed is odd"]))
    code, output, _ = vae_train(*toy("--multirun", "seed=1,3"))
    assert code == 1
    assert "0 of 2 jobs done" in output
    rows = table(inside / "multirun/latest")
    assert [(row["seed"], row["status"], row["reason"]) for row in rows] == [
        ("1", "failed", "UserError: seed is odd"), ("3", "failed", "UserError: seed is odd"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_sweep_report_that_fails_costs_a_warning(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("vae_runner.report.sweep.write_sweep", broken)
    code, output, errors = vae_train(*toy("--multirun", "seed=0,1", "engine.steps=2"))
    assert (code, errors) == (0, "")
    assert "warning: no sweep report: KeyError: 'ours'" in output


@pytest.mark.slow
@pytest.mark.parametrize(("length", "longer"), [("engine.steps=4", "engine.steps=8"), ("epochs", "engine.epochs=2")])
def test_a_finished_run_says_how_it_is_trained_longer(vae_train: Run, inside: Path, length: str, longer: str) -> None:
    given = ["engine.steps=null", "engine.epochs=1"] if length == "epochs" else [length]
    assert vae_train(*toy(*given, "hydra.run.dir=mine"))[0] == 0
    command = json.loads((inside / "mine/status.json").read_text())["resume"]
    assert command == f"vae-train resume=mine {longer}"
    assert f"<code>{command}</code>" in (inside / "mine/report.html").read_text()
    before = json.loads((inside / "mine/status.json").read_text())["step"]
    assert vae_train(*command.split()[1:], "trust=true")[0] == 0
    assert json.loads((inside / "mine/status.json").read_text())["step"] == 2 * before


@pytest.mark.slow
def test_a_run_saved_before_there_was_tensorboard_goes_on(vae_train: Run, inside: Path) -> None:
    assert vae_train(*toy("engine.steps=2", "hydra.run.dir=mine"))[0] == 0
    config = yaml.safe_load((inside / "mine/config.yaml").read_text())
    del config["engine"]["tensorboard"]
    (inside / "mine/config.yaml").write_text(yaml.safe_dump(config))
    assert vae_train("resume=mine", "trust=true", "engine.steps=4")[0] == 0
    assert vae_train("resume=mine", "trust=true", "engine.steps=6", "engine.tensorboard=false")[0] == 0


def test_the_console_script_is_installed() -> None:
    found = shutil.which("vae-report", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("vae_runner is not installed by pip here")
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"vae-report {__version__}\n"


@pytest.mark.parametrize("several", [False, True])
def test_what_a_killed_report_has_left_is_taken_away_and_nothing_else(
    vae_report: Report, inside: Path, several: bool
) -> None:
    folder = make_run(inside / "all/mine").parent if several else make_run(inside / "mine")
    code = (
        "import os, signal, sys\n"
        "from vae_runner.cli import report\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
        "report.run(sys.argv[1:])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, folder.name], cwd=inside)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(folder.glob(".*.tmp"))) == 1
    kept = [folder / ".budget.2024.notes", folder / "notes.tmp", folder / f".report.html.{os.getppid()}-abcdefgh.tmp"]
    for file in kept:
        file.touch()
    assert vae_report(folder.name)[0] == 0
    assert sorted(folder.glob("*.tmp")) == sorted(kept[1:])
    assert kept[0].exists()
