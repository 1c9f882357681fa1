"""A terminal that is closed: the step is saved, unless the run was told to take no notice of it."""

import json
import os
import pty
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import Point
from killing import Launch, launcher
from photos import write_photos
from samples import sampled
from test_kill import TRAINING
from test_sweep_resume import states

from vae_runner.checkpoint import load_checkpoint
from vae_runner.engine import Interrupted
from vae_runner.experiment.signals import StopSignals, stop_if_asked

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
LONG = ("engine.steps=100000", "engine.checkpoint_every=100000", "engine.log_every=5", "engine.validate_every=100000")
REPORT = Point("write", "mine/.sweep.html.tmp", 1, "half")  # behind the first job


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launcher() as launch:
        yield launch


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    photos = write_photos(tmp_path / "photos", 40, (20, 16), ".png")
    kept = [setting for setting in TRAINING if not setting.startswith("visualisation")]
    return [*kept, "visualisation=[samples]", f"dataset.root={photos}"]


def test_a_hangup_counts_once_and_an_ignored_one_not_at_all() -> None:
    with StopSignals().listening() as outer, StopSignals().listening() as signals:
        signals.defer()
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert signals.number == outer.number == signal.SIGHUP
        with pytest.raises(Interrupted, match="SIGTERM"):  # somebody does insist
            signal.raise_signal(signal.SIGTERM)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals().listening() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert signals.number is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_sweep_hears_of_a_stop_that_its_job_had_no_more_use_for() -> None:
    with StopSignals().listening():
        stop_if_asked()
        with StopSignals().listening() as of_the_job:
            of_the_job.defer()
            signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(Interrupted, match="SIGUSR1"):
            stop_if_asked()
    stop_if_asked()


@pytest.mark.slow
def test_a_closed_terminal_saves_the_step(tmp_path: Path, settings: list[str]) -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.environ["HYDRA_FULL_ERROR"] = "0"
        command = [sys.executable, "-m", "vae_runner", *settings, *LONG, "hydra.run.dir=run"]
        os.execv(command[0], command)
    log = tmp_path / "run/metrics.jsonl"
    while not (log.exists() and log.stat().st_size):
        os.read(terminal, 1 << 16)
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    told = json.loads((tmp_path / "run/status.json").read_text())
    assert (status, told["state"], told["reason"]) == (129, "interrupted", "SIGHUP")
    saved = load_checkpoint(tmp_path / "run/checkpoints/last.pt")["step"]
    assert saved == told["step"] > 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert saved >= max(record["step"] for record in records)


@pytest.mark.slow
def test_under_nohup_a_closed_terminal_is_nothing(tmp_path: Path, settings: list[str]) -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        command = [sys.executable, "-m", "vae_runner", *settings, "engine.steps=300", "hydra.run.dir=run"]
        os.execv(command[0], command)
    while not (tmp_path / "run/metrics.jsonl").exists():
        os.read(terminal, 1 << 16)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("number", sampled(ALL, signal.SIGTERM, signal.SIGHUP), ids=lambda number: number.name)
def test_a_stop_between_two_jobs_stops_the_sweep(
    launch: Launch, tmp_path: Path, settings: list[str], number: int
) -> None:
    sweep = ("--multirun", "seed=0,1", "hydra.sweep.dir=mine")
    ended = launch(tmp_path, *settings, *sweep, whole=True, signals=[[REPORT, number]])
    again = "vae-train resume=mine"
    assert (ended.status, ended.err) == (128 + number, f"vae-train: stopped; go on with: {again}\n"), ended
    begun = time.time_ns()
    ended = launch(tmp_path, *again.split()[1:], whole=True)
    assert (ended.status, ended.err) == (0, ""), ended
    assert states(tmp_path / "mine") == ["done", "done"]
    first, second = sorted((tmp_path / "mine").glob("*/metrics.jsonl"))
    assert first.stat().st_mtime_ns < begun < second.stat().st_mtime_ns
