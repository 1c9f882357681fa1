"""`jobs=N`: several jobs of a sweep at once, as if each were alone."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from samples import sampled
from stopping import begun, wait_until
from test_cli import Run, toy, vae_train

from vae_runner.checkpoint import load_checkpoint
from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.judging.hydra_settings import plugin_hint
from vae_runner.cli.sweeping import jobs_setting
from vae_runner.cli.sweeping.jobs_setting import number_of_jobs, serial_hint, take_jobs
from vae_runner.engine import Interrupted
from vae_runner.experiment.kept_sets import keeping_sets, kept_or_built
from vae_runner.experiment.signals import StopSignals, hand_on
from vae_runner.runs.ledger import read_ledger

__all__ = ["vae_train"]  # a fixture
QUICK = ("engine.steps=4", "engine.threads=1", "visualisation=[]", "evaluation=none")


def taken(*arguments: str) -> tuple[list[str], list[str]]:
    request = read_arguments(arguments)
    return take_jobs(request), request.overrides


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "1,2", "null", "", "[2]", "²", "true", "1e3"])
def test_what_is_no_number_of_jobs_is_told_in_one_line(value: str) -> None:
    (fault,), _ = taken("--multirun", "seed=0,1", f"jobs={value}")
    assert fault == f"jobs must be auto, or how many run at once, 1 or more; got {value or 'nothing'}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs=2"], "jobs=2 is for a sweep"),
        (
            ["--multirun", "seed=0,1", "jobs=2", "hydra/launcher=joblib"],
            "hydra/launcher=joblib both say where jobs run",
        ),
        (["--multirun", "seed=0,1", "jobs=2", "hydra.launcher.n_jobs=3"], "hydra.launcher.n_jobs=3 both say where"),
        (["--multirun", "seed=0,1", "jobs=2", "jobs=3"], "jobs is given twice"),
    ],
)
def test_jobs_is_refused_where_it_says_nothing_or_something_twice(arguments: list[str], words: str) -> None:
    (fault,), _ = taken(*arguments)
    assert words in fault


@pytest.mark.parametrize("given", ["jobs=3", "+jobs=3", "jobs='3'"])
def test_jobs_is_a_setting_of_a_launcher_that_the_list_keeps(given: str) -> None:
    faults, settings = taken("--multirun", "seed=0,1", given)
    assert (faults, settings) == ([], ["seed=0,1", "hydra/launcher=processes", "hydra.launcher.jobs=3"])
    assert taken("resume=multirun/latest", "jobs=1") == ([], ["resume=multirun/latest", "hydra/launcher=basic"])


def test_auto_is_as_many_as_there_are_cores_gpus_and_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_setting, "usable_cores", lambda: 16)
    monkeypatch.setattr(jobs_setting, "memory_bytes", lambda: 256_000_000_000)
    assert [number_of_jobs("auto", jobs, 0) for jobs in (1, 9, 99)] == [1, 9, 16]
    assert number_of_jobs("auto", 99, devices=4) == 4
    assert [number_of_jobs(wanted, 6, devices=1) for wanted in (3, "3", 8)] == [3, 3, 6]
    assert serial_hint(9) == "sweep 9 jobs, one after another; jobs=auto runs 9 at once"
    assert serial_hint(1) is None
    monkeypatch.setattr(jobs_setting, "memory_bytes", lambda: 8_000_000_000)
    assert number_of_jobs("auto", 99, 0) == 5
    monkeypatch.setattr(jobs_setting, "memory_bytes", lambda: 1_000_000_000)
    assert number_of_jobs("auto", 99, 0) == 1
    assert serial_hint(9) is None


@pytest.mark.parametrize(("name", "extra"), [("submitit_slurm", "cluster"), ("joblib", "sweep")])
def test_a_launcher_that_is_missing_names_what_brings_it(name: str, extra: str) -> None:
    assert plugin_hint("hydra/launcher", name) == f" It comes with pip install 'vae_runner[{extra}]'."
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    package = {"cluster": "hydra-submitit-launcher", "sweep": "hydra-joblib-launcher"}[extra]
    assert any(one.startswith(package) for one in project["optional-dependencies"][extra])


@pytest.mark.parametrize("name", ["jbos", "jobss"])
def test_jobs_is_what_a_misspelt_name_may_have_meant(vae_train: Run, inside: Path, name: str) -> None:
    code, _, errors = vae_train(*toy("--multirun", "seed=0,1", f"{name}=2"))
    assert (code, errors) == (2, f"vae-train: error: no setting called '{name}'. Did you mean jobs?\n")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_run_that_is_started_several_times_at_once_but_not_together_is_refused_in_one_line(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], rank: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun sets them, beside where they meet
    monkeypatch.setenv("RANK", rank)
    if rank == "0":
        code, _, errors = vae_train()
        assert (code, errors.count("\n")) == (2, 1)
        assert errors.startswith("vae-train: error: started 2 times at once (WORLD_SIZE=2) without MASTER_ADDR and")
    else:
        with pytest.raises(SystemExit) as stopped:
            vae_train()
        assert (stopped.value.code, capfd.readouterr().err) == (2, "")
    assert list(inside.iterdir()) == []


class Still:
    stays_as_it_is = True


def test_a_set_is_kept_for_those_behind_it_as_long_as_it_is_asked_for_and_stays_as_it_is() -> None:
    def built(settings: dict[str, Any], kind: type = Still) -> Any:
        return kept_or_built(settings, kind)

    one, other = {"a": 1}, {"a": 2}
    assert built(one) is not built(one)  # outside
    with keeping_sets(1):
        first = built(one)
        assert built(dict(one)) is first
        assert built(one | {"b": 3}) is not first
        assert built(one) is not first  # one is kept, and no more
        assert built(other, object) is not built(other, object)
    with keeping_sets(2):
        first, second = built(one), built(other)
        assert (built(one), built(other)) == (first, second)
        with keeping_sets(1):
            assert built(one) is first
        assert built(one) is first
    assert built(one) is not first


def states(folder: Path) -> list[str]:
    with (folder / "sweep.csv").open() as file:
        return [row["status"] for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints" / "last.pt")["objective"]


def done(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = begun(folder, *arguments)
    output, errors = process.communicate(timeout=240)
    return process.returncode, output, errors


@pytest.mark.slow
def test_jobs_at_once_are_the_runs_that_they_would_be_alone_and_one_that_fails_stops_no_other(
    tmp_path: Path, vae_train: Run, inside: Path
) -> None:
    arguments = ("--multirun", "seed=0,1", "optimizer.lr=0.001,10", "jobs=2", "hydra.sweep.dir=s")
    code, output, errors = done(tmp_path, *toy(*QUICK, *arguments))
    assert code == 1
    assert [line.split(" failed: ")[0] for line in errors.splitlines()] == [
        f"vae-train: error: job {number}" for number in (1, 3)
    ]
    assert "sweep 4 jobs, 2 at once in processes of their own" in output
    assert "2 of 4 jobs done in s" in output
    assert states(tmp_path / "s") == ["done", "failed"] * 2
    ledger = read_ledger(tmp_path / "s")
    assert ledger is not None
    assert sorted(ledger.hydra) == ["hydra.launcher.jobs=2", "hydra.sweep.dir=s", "hydra/launcher=processes"]
    (folder,) = (tmp_path / "s").glob("2-*")
    assert vae_train(*toy(*QUICK, "seed=1", "optimizer.lr=0.001", "hydra.run.dir=alone"))[0] == 0
    alone = weights(inside / "alone")
    assert all(torch.equal(value, alone[name]) for name, value in weights(folder).items())


@pytest.mark.slow
def test_a_process_that_has_trained_before_starts_its_jobs_anew(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []
    context = multiprocessing.get_context
    monkeypatch.setattr(multiprocessing, "get_context", lambda way: ways.append(way) or context(way))
    assert vae_train(*toy(*QUICK, "hydra.run.dir=alone"))[0] == 0
    code, _, errors = vae_train(*toy(*QUICK, "--multirun", "seed=0,1", "jobs=2", "hydra.sweep.dir=s"))
    assert (code, errors, ways) == (0, "", ["spawn", "spawn"])
    (folder,) = (inside / "s").glob("0-*")
    alone = weights(inside / "alone")
    assert all(torch.equal(value, alone[name]) for name, value in weights(folder).items())


def children(process: subprocess.Popen) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


LONG = ("engine.steps=200000", "engine.checkpoint_every=200000", "engine.validate_every=200000")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGKILL], signal.SIGINT))
def test_a_signal_ends_all_jobs_with_their_steps_saved_and_they_go_on(tmp_path: Path, number: signal.Signals) -> None:
    process = begun(tmp_path, *toy(*QUICK, *LONG, "--multirun", "seed=0,1,2", "jobs=2", "hydra.sweep.dir=s"))
    wait_until(lambda: len(list(tmp_path.glob("s/*/metrics.jsonl"))) == 2, process)  # both are at their steps
    assert not list(tmp_path.glob("s/*/checkpoints/*"))
    workers = children(process)
    assert len(workers) == 2
    os.killpg(process.pid, number)  # as a terminal does
    _, errors = process.communicate(timeout=300)
    if number == signal.SIGKILL:
        assert (process.returncode, errors) == (-number, "")
    else:
        told = "vae-train: stopped; go on with: vae-train resume=s trust=true\n"
        assert (process.returncode, errors) == (128 + number, told)
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{worker}/stat").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    saved = [load_checkpoint(file)["step"] for file in tmp_path.glob("s/*/checkpoints/last.pt")]
    assert [step > 0 for step in saved] == [True, True]
    if number == signal.SIGINT:
        furthest = max(saved)
        code, output, errors = done(tmp_path, "resume=s", "trust=true", f"engine.steps={furthest + 3}", "jobs=3")
        assert (code, errors) == (0, "")
        assert "sweep 3 jobs, 3 at once" in output
        assert states(tmp_path / "s") == ["done"] * 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_is_told_in_one_line_too_where_processes_are_being_started_anew(tmp_path: Path) -> None:
    called = ("-c", "import sys, vae_runner.cli as cli; sys.exit(cli.run(sys.argv[1:]))")  # not alone in its process
    process = begun(
        tmp_path, *toy(*QUICK, *LONG, "--multirun", "seed=0,1", "jobs=2", "hydra.sweep.dir=s"), program=called
    )

    def starting() -> list[Path]:
        lines = [Path(f"/proc/{child}/cmdline") for child in children(process)]
        return [line for line in lines if b"spawn_main" in line.read_bytes()]

    wait_until(lambda: len(starting()) == 2, process)
    time.sleep(0.3)  # they import
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    told = "vae-train: stopped; go on with: vae-train resume=s trust=true\n"
    assert (process.returncode, errors) == (128 + signal.SIGINT, told)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_job_whose_process_is_killed_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    steps = ("engine.steps=100", "engine.checkpoint_every=10")
    process = begun(tmp_path, *toy(*QUICK, *steps, "--multirun", "seed=0,1,2", "jobs=2", "hydra.sweep.dir=s"))
    wait_until(lambda: bool(list(tmp_path.glob("s/0-*/checkpoints/last.pt"))), process)
    os.kill(children(process)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    hint = "is there memory for so many at once?"
    assert errors == f"vae-train: error: job 0 failed: its process was killed by SIGKILL; {hint}\n"
    assert states(tmp_path / "s") == ["killed", "done", "done"]


def test_a_launcher_hears_its_signal_when_the_step_is_saved_and_a_job_takes_no_other_from_it() -> None:
    heard = list[int]()

    def handler(number: int, frame: Any) -> None:
        heard.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        with StopSignals().listening():
            assert signal.getsignal(signal.SIGUSR2) == before[signal.SIGUSR2]  # nobody listens to it
        signal.signal(signal.SIGUSR2, handler)
        signals = StopSignals()
        with signals.listening():
            signals.defer()
            os.kill(os.getpid(), signal.SIGUSR2)
            assert (signals.number, heard) == (signal.SIGUSR2, [])
        hand_on(Interrupted(signal.SIGUSR2, 5))
        assert heard == [signal.SIGUSR2]
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            hand_on(Interrupted(number, 5))
        assert heard == [signal.SIGUSR2]
    finally:
        for number, had in before.items():
            signal.signal(number, had)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_job_of_submitit_that_has_to_make_room_is_queued_again_and_goes_on_to_the_bit(
    tmp_path: Path, vae_train: Run, inside: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    steps = ("engine.steps=120", "engine.checkpoint_every=100000")
    arguments = ("--multirun", "seed=0,1", "hydra/launcher=submitit_local", "hydra.sweep.dir=s")
    process = begun(tmp_path, *toy(*QUICK, *steps, *arguments))
    wait_until(lambda: bool(list(tmp_path.glob("s/0-*/metrics.jsonl"))), process)
    (folder,) = (tmp_path / "s").glob("0-*")
    os.kill(json.loads((folder / "status.json").read_text())["pid"], signal.SIGUSR2)
    _, errors = process.communicate(timeout=240)
    assert (process.returncode, errors) == (0, "")
    assert states(tmp_path / "s") == ["done", "done"]
    assert "going on from step" in (folder / "train.log").read_text()
    assert vae_train(*toy(*QUICK, *steps, "seed=0", "hydra.run.dir=alone"))[0] == 0
    alone = weights(inside / "alone")
    assert all(torch.equal(value, alone[name]) for name, value in weights(folder).items())
