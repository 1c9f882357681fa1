"""Standard output that goes away: what is trained goes on."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import TESTS
from test_cli import ENVIRONMENT, toy

from vae_runner import cli

HERE = {**ENVIRONMENT, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}  # the code next to these tests
QUICK = ("engine.steps=4", "visualisation=[]", "engine.progress=false")
Output = Callable[[], int]


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
            command, cwd=folder, env=HERE | environment, stdout=stream, stderr=subprocess.PIPE, text=True
        )
    return done.returncode, done.stderr


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
