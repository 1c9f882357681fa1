"""Sweeps that were stopped, by whatever it was, and go on; and jobs that leave no trace in each other."""

import csv
import gc
import itertools
import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml
from photos import write_photos
from stopping import begun, wait_until
from test_cli import Run, toy, vae_train
from test_sweep import make_run

from vae_runner.checkpoint import load_checkpoint
from vae_runner.cli import launch
from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.precheck import composer, precheck
from vae_runner.engine import Engine
from vae_runner.report.sweep import write_sweep
from vae_runner.runs.ledger import Ledger, read_ledger, write_ledger
from vae_runner.state import State

pytestmark = pytest.mark.slow

__all__ = ["vae_train"]  # a fixture
QUICK = ("engine.steps=4", "visualisation=[data]", "engine.progress=false")
TRUST = "trust=true"  # the data set is the tests' own


def sweep(*arguments: str) -> list[str]:
    return toy(*QUICK, "--multirun", *arguments)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def states(folder: Path) -> list[str]:
    return [row["status"] for row in table(folder)]


def jobs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file in a folder, and when it was last written to."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints" / "last.pt")["objective"]


def assert_same_weights(one: Path, other: Path) -> None:
    expected = weights(other)
    for name, value in weights(one).items():
        assert torch.equal(value, expected[name]), name


@pytest.fixture
def stopped_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """stopped_at(seed, step): Ctrl-C comes when the run with that seed is there, as often as it comes there."""

    def stop(seed: int, step: int) -> None:
        train = Engine.train_step

        def interrupted(engine: Engine) -> State:
            state = train(engine)
            if engine.config.seed == seed and engine.step == step:
                os.kill(os.getpid(), signal.SIGINT)
            return state

        monkeypatch.setattr(Engine, "train_step", interrupted)

    return stop


def test_the_jobs_are_written_down_before_the_first_starts(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Ledger | None] = []
    train = Engine.train_step

    def watched(engine: Engine) -> State:
        seen.append(read_ledger(inside / "multirun/latest"))
        return train(engine)

    monkeypatch.setattr(Engine, "train_step", watched)
    assert vae_train(*sweep("seed=1,2", "divergence.beta=3"))[0] == 0
    ledger = seen[0]
    assert ledger is not None
    assert [ledger.typed(number)["seed"] for number in (0, 1)] == ["1", "2"]
    assert ledger.swept == ["seed"]
    assert ledger.command.startswith("vae-train --config-dir=")


def test_an_interrupted_sweep_says_how_to_go_on_and_does_only_what_is_left(
    vae_train: Run, inside: Path, stopped_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        stopped_at(1, 2)
        code, _, errors = vae_train(*sweep("seed=0,1,2,3"))
        here.undo()
    monkeypatch.undo()
    folder = (inside / "multirun/latest").resolve()
    again = f"vae-train resume={folder.relative_to(inside)} {TRUST}"
    assert (code, errors) == (130, f"vae-train: saved step 2; go on with: {again}\n")
    assert states(folder) == ["done", "interrupted", "missing", "missing"]
    assert [row["seed"] for row in table(folder)] == ["0", "1", "2", "3"]
    assert [row["reason"] for row in table(folder)[1:3]] == ["SIGINT (Ctrl-C)", "never started"]
    done = content(jobs(folder)[0])
    code, output, errors = vae_train(*again.split()[1:])
    assert (code, errors) == (0, "")
    assert "3 of 4 jobs to do" in output
    assert "going on from step 2" in output
    assert "4 of 4 jobs done" in output
    assert states(folder) == ["done"] * 4
    assert content(jobs(folder)[0]) == done
    assert [path.name.split("-")[0] for path in jobs(folder)] == ["0", "1", "2", "3"]
    assert len({path.name.split("-")[1] for path in jobs(folder)}) == 1
    for number, path in enumerate(jobs(folder)):  # each is the run that it would have been alone
        assert vae_train(*toy(*QUICK, f"seed={number}", f"hydra.run.dir=alone{number}"))[0] == 0
        assert_same_weights(path, inside / f"alone{number}")
    code, _, errors = vae_train("resume=multirun/latest", TRUST)
    assert code == 2
    assert errors.startswith(f"vae-train: error: all 4 jobs in {folder.relative_to(inside)} are done; engine.steps=N")


def test_a_job_without_a_checkpoint_begins_again_and_one_between_done_ones_keeps_its_number(
    vae_train: Run, inside: Path
) -> None:
    assert vae_train(*sweep("seed=0,1,2,3"))[0] == 0
    folder = (inside / "multirun/latest").resolve()
    first, broken, third, gone = jobs(folder)
    expected = weights(broken)
    for file in (broken / "checkpoints").iterdir():
        file.unlink()
    (broken / "status.json").write_text(json.dumps({"state": "failed", "reason": "disk full", "step": 2}))
    (gone / "config.yaml").unlink()  # killed before it came so far
    (gone / "status.json").unlink()
    done = content(first) | content(third)
    assert vae_train("resume=multirun/latest", TRUST)[0] == 0
    assert content(first) | content(third) == done
    assert jobs(folder) == [first, broken, third, gone]
    assert states(folder) == ["done"] * 4
    steps = [json.loads(line)["step"] for line in (broken / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)  # the first attempt's records are gone
    for name, value in weights(broken).items():
        assert torch.equal(value, expected[name]), name


def test_a_job_killed_behind_its_last_checkpoint_is_brought_to_its_end(vae_train: Run, inside: Path) -> None:
    assert vae_train(*sweep("seed=0,1"))[0] == 0
    folder = (inside / "multirun/latest").resolve()
    status = jobs(folder)[1] / "status.json"
    status.write_text(json.dumps(json.loads(status.read_text()) | {"state": "running", "pid": 2**22 + 1}))
    write_sweep(folder)
    assert [(row["status"], row["reason"]) for row in table(folder)][1] == ("killed", "its process is gone")
    assert vae_train("resume=multirun/latest", TRUST)[0] == 0
    assert states(folder) == ["done", "done"]


def test_harmless_changes_are_made_in_all_jobs_and_kept(
    vae_train: Run, inside: Path, stopped_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(1, 2)
    assert vae_train(*sweep("seed=0,1,2"))[0] == 130
    assert vae_train("resume=multirun/latest", TRUST, "engine.steps=6")[0] == 0  # past the step of the stop
    monkeypatch.undo()
    folder = (inside / "multirun/latest").resolve()
    assert [row["step"] for row in table(folder)] == ["6", "6", "6"]
    ledger = read_ledger(folder)
    assert ledger is not None
    assert ledger.changes == {"engine.steps": 6}
    assert vae_train("resume=multirun/latest", TRUST)[0] == 2  # done, as long as they are now


def test_a_sweep_of_the_program_s_own_parts_goes_on_without_trust(
    vae_train: Run, inside: Path, stopped_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_photos(inside / "photos", 24, (16, 16), ".png")
    own = ("dataset=folder", f"dataset.root={photos}", "dataset.image_size=16", "dataset.validation=4")
    small = ("architecture=mlp", "engine.batch_size=8", "engine.device=cpu", "engine.threads=1", *QUICK)
    with monkeypatch.context() as here:
        stopped_at(0, 2)
        code, _, errors = vae_train(*own, *small, "--multirun", "divergence=beta,capacity", "seed=0,1")
        here.undo()
    monkeypatch.undo()
    assert code == 130
    again = errors.split("vae-train ")[-1].split()
    code, output, errors = vae_train(*again)
    assert (code, errors) == (0, "")
    assert "4 of 4 jobs to do" in output
    assert states((inside / "multirun/latest").resolve()) == ["done"] * 4


@pytest.mark.parametrize(
    ("jobs", "changes", "line"),
    [
        ([["seed=0"], ["seed=0", "dataset.root=${oc.env:HOME}"]], {}, "dataset.root=${oc.env:HOME}, to be looked up"),
        ([["seed=0"]], {"dataset.root": "${oc.env:HOME}"}, "dataset.root=${oc.env:HOME}, to be looked up"),
        ([["seed=0"]], {"seed": 3}, "seed cannot be changed on resume"),
    ],
)
def test_a_list_that_has_something_looked_up_or_changed_is_refused(
    vae_train: Run, inside: Path, jobs: list[list[str]], changes: dict[str, object], line: str
) -> None:
    (inside / "old").mkdir()
    write_ledger(inside / "old", Ledger("vae-train", "abcd", [], [], jobs, changes))
    code, output, errors = vae_train("resume=old")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert line in errors


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["seed=5"], "seed cannot be changed on resume: the run would be another."),
        (["divergence=kl"], "divergence cannot be changed on resume"),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir is for --multirun"),
        (["engine.stepz=5"], "no setting called 'engine.stepz'. Did you mean engine.steps?"),
        (["--multirun"], "resume takes one run, without --multirun"),
        ([], "old/sweep.json gives --config-dir "),
    ],
)
def test_other_changes_are_refused_in_one_line(vae_train: Run, inside: Path, arguments: list[str], line: str) -> None:
    (inside / "old").mkdir()
    ledger = Ledger("vae-train", "abcd", ["--config-dir", "mine"], [], [["seed=0"], ["seed=1"]])
    write_ledger(inside / "old", ledger)
    code, output, errors = vae_train("resume=old", *arguments)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"vae-train: error: {line}")
    assert read_ledger(inside / "old") == ledger


def test_a_list_that_is_not_whole_is_told_in_one_line(vae_train: Run, inside: Path) -> None:
    (inside / "old").mkdir()
    for text in ("{", "[]", '{"jobs": 3}', '{"command": "", "suffix": "", "flags": [], "hydra": [], "jobs": [3]}'):
        (inside / "old/sweep.json").write_text(text)
        code, _, errors = vae_train("resume=old")
        assert (code, errors.count("\n")) == (2, 1)
        assert errors.startswith("vae-train: error: old/sweep.json is no list of jobs")


def test_a_folder_that_holds_a_sweep_is_refused(vae_train: Run, inside: Path) -> None:
    write_ledger(inside, Ledger("vae-train", "abcd", [], [], [["seed=0"]]))
    code, _, errors = vae_train(*sweep("seed=0,1", f"hydra.sweep.dir={inside}"))
    assert (code, errors.count("\n")) == (2, 1)
    assert "holds a sweep already; go on with it by vae-train resume=" in errors


def test_missing_jobs_stand_in_the_table_by_what_they_would_have_been(tmp_path: Path) -> None:
    ledger = Ledger("vae-train", "abcd", [], [], [["seed=0", "a=1"], ["seed=1", "a=1"], ["seed=10", "a=1"]])
    write_ledger(tmp_path, ledger)
    run = make_run(tmp_path / "1-x", config={"seed": 1})
    (run / ".hydra/hydra.yaml").write_text(yaml.safe_dump({"hydra": {"job": {"num": 1}}}))
    write_sweep(tmp_path)
    rows = [(row["name"], row["seed"], row["status"], row["reason"]) for row in table(tmp_path)]
    assert rows == [
        ("0", "0", "missing", "never started"),
        ("1-x", "1", "done", ""),
        ("2", "10", "missing", "never started"),
    ]
    assert "3 runs: 2 missing, 1 done" in (tmp_path / "sweep.html").read_text()


LONG = ("engine.steps=3000", "engine.checkpoint_every=10", "engine.validate_every=3000", "engine.picture_every=3000")


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_that_was_killed_goes_on(tmp_path: Path, vae_train: Run, launcher: str) -> None:
    parallel: tuple[str, ...] = ()
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
        parallel = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    process = begun(tmp_path, *sweep(*LONG, "seed=0,1,2", "hydra.sweep.dir=mine", *parallel))
    wait_until(lambda: bool(list(tmp_path.glob("mine/*/checkpoints/last.pt"))), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    write_sweep(tmp_path / "mine")
    found = states(tmp_path / "mine")
    assert len(found) == 3
    assert found[2] == "missing"
    if launcher == "basic":
        assert found[0] == "killed"
    else:  # of two at once either may be the first with a checkpoint, before the other has begun
        assert "killed" in found[:2]
        assert set(found[:2]) <= {"killed", "not begun"}
    furthest = max(load_checkpoint(file)["step"] for file in tmp_path.glob("mine/*/checkpoints/last.pt"))
    command = [sys.executable, "-m", "vae_runner", "resume=mine", TRUST, f"engine.steps={furthest + 5}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert states(tmp_path / "mine") == ["done"] * 3
    assert vae_train(*toy(*QUICK, *LONG, f"engine.steps={furthest + 5}", "seed=0", "hydra.run.dir=alone"))[0] == 0
    assert_same_weights(jobs(tmp_path / "mine")[0], tmp_path / "alone")


def test_a_sweep_under_way_is_not_taken_up_twice(tmp_path: Path, vae_train: Run) -> None:
    process = begun(tmp_path, *sweep(*LONG, "seed=0,1", "hydra.sweep.dir=mine"))
    try:
        wait_until(lambda: bool(list(tmp_path.glob("mine/*/checkpoints/last.pt"))), process)
        code, _, errors = vae_train("resume=mine", TRUST)
        assert (code, errors) == (2, "vae-train: error: mine is under way in another process; stop that one first\n")
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=300)
        assert "go on with: vae-train resume=mine trust=true\n" in told
    finally:
        process.kill()
        process.communicate()


def test_32_runs_that_start_at_once_get_32_folders(inside: Path) -> None:
    request = read_arguments(toy())
    with composer(request) as compose:
        cfg = precheck(request, compose).cfg
    context = multiprocessing.get_context("fork")
    queue, gate = context.SimpleQueue(), context.Event()

    def make() -> None:
        gate.wait()
        queue.put(str(launch._new_folder(cfg, "hydra.run.dir", request)[0]))

    processes = [context.Process(target=make) for _ in range(32)]
    for process in processes:
        process.start()
    gate.set()
    folders = {queue.get() for _ in processes}
    for process in processes:
        process.join()
    assert len(folders) == 32
    assert all(Path(folder).is_dir() for folder in folders)


def test_a_folder_that_another_run_was_given_is_never_given_again(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random part of the name falls on the same few values again and again."""
    request = read_arguments(toy("hydra.job.name=x"))
    with composer(request) as compose:
        cfg = precheck(request, compose).cfg
    values = iter(f"{number // 3:04x}" for number in range(1000))
    monkeypatch.setattr("vae_runner.cli.launch.secrets.token_hex", lambda _: next(values))
    folders = [launch._new_folder(cfg, "hydra.run.dir", request)[0] for _ in range(32)]
    assert len(set(folders)) == 32


def outside() -> list[object]:
    """All that a job might set for the whole process."""
    names = (None, "vae_runner", "hydra")
    return [
        torch.get_num_threads(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32,
        torch.is_grad_enabled(),
        torch.random.get_rng_state().tolist(), random.getstate(), numpy.random.get_state()[1].tolist(),  # noqa: NPY002
        os.getcwd(), dict(os.environ), list(sys.argv), list(sys.path), list(warnings.filters),
        [(list(logging.getLogger(name).handlers), logging.getLogger(name).propagate) for name in names],
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
    ]  # fmt: skip


def test_no_global_leaks_from_job_to_job(vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that set threads, precision and environment are each the run that it would have been alone."""
    settings = {"engine.precision": "bf16,fp32", "engine.threads": "2,1"}  # in the order of the jobs
    own = ("+hydra.job.env_set.OWN=3",)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    assert vae_train(*toy("engine.steps=1", "visualisation=[]"))[0] == 0  # what is imported late is not a leak
    before, seen = outside(), []
    train = Engine.train_step

    def watched(engine: Engine) -> State:
        seen.append((torch.get_num_threads(), os.environ["OWN"]))
        return train(engine)

    with monkeypatch.context() as here:
        here.setattr(Engine, "train_step", watched)
        swept = [f"{name}={values}" for name, values in settings.items()]
        every = [text for text in sweep(*own, *swept) if text.partition("=")[0] not in settings or text in swept]
        assert vae_train(*every)[0] == 0
    assert [list(one) for one in zip(before, outside(), strict=True) if one[0] != one[1]] == []
    assert {threads for threads, _ in seen} == {1, 2}
    assert {own for _, own in seen} == {"3"}
    choices = list(itertools.product(*(values.split(",") for values in settings.values())))
    for number, (path, values) in enumerate(zip(jobs(inside / "multirun/latest"), choices, strict=True)):
        alone = [f"{name}={value}" for name, value in zip(settings, values, strict=True)]
        assert vae_train(*toy(*QUICK, *alone, f"hydra.run.dir=alone{number}"))[0] == 0
        assert_same_weights(path, inside / f"alone{number}")


def test_when_a_job_begins_nothing_of_the_one_before_is_in_memory(
    vae_train: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[weakref.ref[Engine]] = []
    left: list[int] = []
    init = Engine.__init__

    def noted(engine: Engine, *arguments: Any, **settings: Any) -> None:
        left.append(sum(one() is not None for one in engines))
        engines.append(weakref.ref(engine))
        init(engine, *arguments, **settings)

    monkeypatch.setattr(Engine, "__init__", noted)
    searched = gc.isenabled()
    gc.disable()  # what lies in cycles stays until someone looks for it
    try:
        assert vae_train(*sweep("seed=0,1,2"))[0] == 0
    finally:
        if searched:
            gc.enable()
    assert left == [0, 0, 0]
