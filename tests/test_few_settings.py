"""What is told of a setting, an option or a run's folder that there is not, by the programs that know few of them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vae_runner.bench.__main__ import main as bench
from vae_runner.cli import redraw, report
from vae_runner.cli.evaluating import evaluate
from vae_runner.cli.few_settings import about_dashes, meant, value_behind
from vae_runner.cli.using import use
from vae_runner.runs.read import such_as

PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "vae-use": lambda arguments: use.run(["sample", *arguments]),
    "vae-evaluate": evaluate.run,
    "vae-redraw": redraw.run,
    "vae-report": report.run,
}


@pytest.fixture
def runs(inside: Path) -> Path:
    """The folder of a sweep with two runs, whose names begin with their numbers."""
    for name in ("sweep/0-ab-dsprites", "sweep/1-ab-dsprites", "sweep/10-ab-dsprites", "outputs/day/run"):
        (inside / name).mkdir(parents=True)
        (inside / name / "config.yaml").touch()
    (inside / "outputs/latest").symlink_to("day/run")
    return inside


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("vae-use", ["--n", "4", "RUN", "--out", "x"], "settings are written without dashes: n=4"),
        ("vae-use", ["RUN", "out=x", "--temprature=0.8"], "settings are written without dashes: temperature=0.8"),
        ("vae-use", ["RUN", "out=x", "temprature=0.8"], "Did you mean temperature?"),
        ("vae-evaluate", ["--score", "mig", "RUN"], "settings are written without dashes: score=mig"),
        ("vae-evaluate", ["scores=mig", "RUN"], "Did you mean score?"),
        ("vae-redraw", ["RUN", "--width", "84mm"], "settings are written without dashes: width=84mm"),
        ("vae-redraw", ["RUN", "widht=84mm"], "Did you mean width?"),
        ("vae-report", ["--format", "latex", "RUN"], "settings are written without dashes: format=latex"),
        ("vae-report", ["RUN", "forma=pdf"], "Did you mean format?"),
    ],
)
def test_what_another_program_s_habits_type_is_told_in_one_line_as_it_is_typed_here(
    program: str, arguments: list[str], said: str, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = str(runs / "outputs/day/run")
    assert PROGRAMS[program]([run if argument == "RUN" else argument for argument in arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{program}: error: ")
    assert said in line


@pytest.mark.parametrize(
    ("program", "arguments", "name"),
    [
        ("vae-use", ["out=x", "n=4", "n=5"], "n"),
        ("vae-evaluate", ["score=mig", "score=sap"], "score"),
        ("vae-redraw", ["width=84mm", "width=90mm"], "width"),
        ("vae-redraw", ["--out", "a", "--out=b"], "--out"),
        ("vae-report", ["format=pdf", "format=svg"], "format"),
        ("vae-report", ["--latex", "format=svg"], "format"),
    ],
)
def test_a_setting_that_is_given_twice_is_refused_and_none_is_ignored(
    program: str, arguments: list[str], name: str, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert PROGRAMS[program](["outputs/day/run", *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"{program}: error: {name} is given twice"
    assert not list(runs.rglob("*.pdf"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_job_that_is_named_by_its_number_is_told_by_its_name(
    program: str, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = ["out=x"] if program == "vae-use" else []
    assert PROGRAMS[program](["sweep/1", *out]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(", such as sweep/1-ab-dsprites")


@pytest.mark.parametrize(
    ("folder", "run"),
    [
        ("outputs", "outputs/latest"),
        ("outputs/nothing", "outputs/latest"),
        ("nothing", "outputs/latest"),
        ("outputs/day/rnu", "outputs/day/run"),
        ("sweep/10", "sweep/10-ab-dsprites"),
        ("sweep", "sweep/10-ab-dsprites"),
    ],
)
def test_of_a_folder_that_is_no_run_s_one_that_is_is_named(folder: str, run: str, runs: Path) -> None:
    assert such_as(Path(folder)) == f", such as {run}"


def test_where_no_run_is_near_none_is_named(inside: Path) -> None:
    assert [such_as(inside / "a/b/c"), such_as(Path("\x00"))] == ["", ""]


def test_a_value_is_taken_for_that_of_an_option_only_where_the_option_is_known() -> None:
    for rest in (["outputs/latest"], ["score=mig"], ["--serve"], []):
        given = list(rest)
        assert value_behind("--open", given, ["format", "score"]) == ""
        assert given == rest
    rest = ["mig", "outputs/latest"]
    assert (value_behind("--score", rest, ["score"]), rest) == ("mig", ["outputs/latest"])
    assert about_dashes("--score", "", ["score"], "p").endswith("without dashes: score=VALUE")
    assert about_dashes("--gpu", "", ["score"], "p").endswith("without dashes: NAME=VALUE (see p --help)")
    assert meant("zzz", ["score"]) == ""
    assert meant("devise", ["engine.device"]) == " Did you mean engine.device?"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--threads", "abc"], "--threads: invalid int value: 'abc'; see vae-bench --help"),
        (["--stepz=3"], "unrecognized arguments: --stepz=3; settings are written without dashes; see vae-bench --help"),
        (["--rounds=1"], "give --threads 1 or more, --rounds 2 or more and --seconds above 0; see vae-bench --help"),
    ],
)
def test_vae_bench_tells_a_mistake_in_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        bench(arguments)
    assert (exit_.value.code, capsys.readouterr().err) == (2, f"vae-bench: error: {line}\n")


@pytest.mark.slow
def test_every_program_tells_its_version() -> None:
    for program in ("train", "report", "redraw", "evaluate", "use", "data", "bench"):
        command = Path(sys.executable).with_name(f"vae-{program}")
        done = subprocess.run([command, "--version"], check=True, capture_output=True, text=True)
        assert done.stdout.split() == [f"vae-{program}", "0.1.0"]
