"""Standard output that goes away: what is there to print ends, what is trained goes on."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import OWN_CONFIGS, TOY
from photos import write_photos
from samples import sampled
from test_cli import toy
from test_sweep import make_run

from vae_runner import cli
from vae_runner.bench import __main__ as bench
from vae_runner.bench import rounds
from vae_runner.cli import data, redraw, report
from vae_runner.cli.evaluating import evaluate

FULL = "error: cannot write to standard output: No space left on device\n"
QUICK = ("engine.steps=4", "visualisation=[]", "engine.progress=false")
Output = Callable[[], int]
PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "vae-train": cli.run,
    "vae-data": data.run,
    "vae-redraw": redraw.run,
    "vae-report": report.run,
    "vae-evaluate": evaluate.run,
}


def unread() -> int:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full() -> int:
    """A file on a disk that is full."""
    return os.open("/dev/full", os.O_WRONLY)


@pytest.fixture(params=[unread, full])
def lost(request: pytest.FixtureRequest) -> Output:
    """Makes an output that cannot be written."""
    return request.param


@contextlib.contextmanager
def printing_to(lost: Output) -> Iterator[None]:
    with os.fdopen(lost(), "w") as stream, contextlib.redirect_stdout(stream):
        yield


def ends(lost: Output, program: str) -> tuple[int, str]:
    """Exit code and standard error of a program that was to print something."""
    return (141, "") if lost is unread else (1, f"{program}: {FULL}")


@pytest.mark.parametrize(
    "line",
    [
        "vae-train --help", "vae-train --version", "vae-train --cfg job", "vae-data --help", "vae-data --version",
        "vae-data stores dataset.cache_dir=none", "vae-redraw --help", "vae-redraw --version",
        "vae-report --help", "vae-report --version", "vae-evaluate --help", "vae-evaluate --version",
    ],
)  # fmt: skip
def test_what_is_there_to_print_ends(inside: Path, lost: Output, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    program, *arguments = line.split()
    with printing_to(lost):
        code = PROGRAMS[program](arguments)
    assert (code, capfd.readouterr().err) == ends(lost, program)


def test_a_report_is_written_though_its_name_is_not(
    inside: Path, lost: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    make_run(inside / "run", 70.0)
    with printing_to(lost):
        code = report.run(["run"])
    assert (code, capfd.readouterr().err) == ends(lost, "vae-report")
    assert (inside / "run/report.html").is_file()


@pytest.mark.parametrize("arguments", [["--help"], [*TOY, OWN_CONFIGS]])
def test_the_bench_ends_before_it_measures(
    lost: Output, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rounds, "take_turns", lambda *_: pytest.fail("it measures"))
    with pytest.raises(SystemExit) as left, printing_to(lost):
        bench.main(arguments)
    assert (left.value.code, capfd.readouterr().err) == ends(lost, "vae-bench")


def test_a_mistake_keeps_its_exit_code_where_nobody_reads_errors(inside: Path) -> None:
    with os.fdopen(unread(), "w") as errors, contextlib.redirect_stderr(errors):
        assert cli.run(["engine.stepz=3"]) == 2


@pytest.mark.slow
def test_a_run_goes_on(inside: Path, lost: Output, capfd: pytest.CaptureFixture[str]) -> None:
    with printing_to(lost):
        assert cli.run(toy(*QUICK, "hydra.run.dir=mine")) == 0
    with printing_to(lost):
        assert cli.run(["resume=mine", "engine.steps=6", "trust=true"]) == 0
    assert capfd.readouterr().err == ""
    log = (inside / "mine/train.log").read_text()
    assert log.count("INFO done") == 2
    assert "going on from step 4" in log


@pytest.mark.slow
def test_a_sweep_goes_on(inside: Path, lost: Output, capfd: pytest.CaptureFixture[str]) -> None:
    sizes = ("architecture=conv_higgins", "dataset.size=16,8,20")
    with printing_to(lost):
        assert cli.run(toy(*QUICK, "--multirun", *sizes, "hydra.sweep.dir=mine")) == 1  # the second job fails
    assert re.fullmatch(r"vae-train: error: job 1 failed: .*\n", capfd.readouterr().err)
    with printing_to(lost), os.fdopen(unread(), "w") as errors, contextlib.redirect_stderr(errors):
        assert cli.run(["resume=mine", "trust=true"]) == 1
    states = [json.loads(file.read_text())["state"] for file in sorted(inside.glob("mine/*/status.json"))]
    assert states == ["done", "failed", "done"]


def program(lost: Output, folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and standard error of vae-train in a process of its own."""
    command = [sys.executable, "-m", "vae_runner", *arguments]
    with os.fdopen(lost(), "w") as stream:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | environment, stdout=stream, stderr=subprocess.PIPE, text=True
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])  # without it, --version would fail when the interpreter is leaving
def test_a_program_leaves_without_a_word_of_the_interpreter(tmp_path: Path, lost: Output, unbuffered: str) -> None:
    told = program(lost, tmp_path, "--version", PYTHONUNBUFFERED=unbuffered)
    assert told == ends(lost, "vae-train")


@pytest.mark.slow
def test_what_is_printed_by_way_of_logging_ends(tmp_path: Path, lost: Output) -> None:
    assert program(lost, tmp_path, "--info") == ends(lost, "vae-train")  # Hydra's own


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_of_programs_goes_on(tmp_path: Path, lost: Output, launcher: str) -> None:
    parallel: tuple[str, ...] = ()
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
        parallel = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    told = program(lost, tmp_path, *toy(*QUICK, "--multirun", "seed=0,1", "hydra.sweep.dir=mine", *parallel))
    assert told == (0, "")
    logs = [file.read_text() for file in tmp_path.glob("mine/*/train.log")]
    assert ["INFO done" in log for log in logs] == [True, True]


CLOSED = [">&-", "2>&-", "<&- >&- 2>&-"]


def with_closed(streams: str, *command: str, folder: Path) -> tuple[int, str]:
    """Exit code and output, errors included, of a program that is started with these streams closed."""
    line = f'exec "$@" {streams}'
    both = subprocess.STDOUT if "2>&-" not in streams else None
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command], cwd=folder, stdout=subprocess.PIPE, stderr=both, text=True, timeout=120
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("streams", CLOSED)
def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path, streams: str) -> None:
    code = (
        "import os, subprocess, sys\n"
        "from vae_runner.output import open_streams\n"
        "open_streams()\n"
        "file = open('file', 'w')\n"
        "assert file.fileno() > 2\n"
        "print('lost'); print('lost', file=sys.stderr)\n"
        "subprocess.run([sys.executable, '-c', 'import os; [os.fstat(n) for n in range(3)]'], check=True)\n"
    )
    assert with_closed(streams, sys.executable, "-c", code, folder=tmp_path)[0] == 0
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize("streams", sampled(CLOSED, "<&- >&- 2>&-"))
def test_data_are_checked_and_prepared_with_streams_closed(tmp_path: Path, streams: str) -> None:
    write_photos(tmp_path / "photos", 20)
    settings = ("dataset=folder", "dataset.root=photos", "dataset.cache_dir=cache", "dataset.image_size=16")
    code, printed = with_closed(
        streams, sys.executable, "-m", "vae_runner.cli.data", "check", *settings, folder=tmp_path
    )
    assert code == 0
    assert ("images      20 files under photos" in printed) == (">&-" not in streams.split())
    train = (sys.executable, "-m", "vae_runner", *toy(*QUICK, *settings, "hydra.run.dir=mine"))
    assert with_closed(streams, *train, folder=tmp_path)[0] == 0
    assert "INFO done" in (tmp_path / "mine/train.log").read_text()
    (pixels,) = tmp_path.glob("cache/images-*/pixels.u8")
    assert pixels.stat().st_size == 20 * 3 * 16 * 16
