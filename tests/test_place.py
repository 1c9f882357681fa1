"""Where a new run or sweep may go, what is removed there, and what never is."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import Run, toy, vae_train

from vae_runner import cli
from vae_runner.errors import UserError
from vae_runner.files import aside
from vae_runner.runs import place
from vae_runner.runs.folder import RunFolder
from vae_runner.runs.place import make_folder

__all__ = ["vae_train"]  # a fixture

KEYS = {"hydra.run.dir": (), "hydra.sweep.dir": ("--multirun", "seed=0,1")}
QUICK = ("engine.steps=2", "visualisation=[]", "engine.progress=false")
each_key = pytest.mark.parametrize("key", KEYS)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left(file: Path, process: int) -> Path:
    """What that process leaves, killed while it writes the file."""
    with aside(file) as other:
        name = other.name.replace(f".{os.getpid()}-", f".{process}-")
    return file.with_name(name)


@pytest.mark.slow
@each_key
@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("/", "/ is the root of the file system"),
        ("/.", "/ is the root of the file system"),
        ("~", "is your home folder"),
        ("home/.", "is your home folder"),
        ("root", "is the root of the file system"),
        ("link", "is your home folder"),
        ("..", "holds the working folder"),
        ("../..", "holds"),
        (".", ". holds your home folder"),
        ("full/sub/..", "full holds other things than a {} (.budget.2024.tmp)"),
        ("full", "full holds other things than a {} (.budget.2024.tmp)"),
        ("pictures", "pictures holds other things than a {} (grids)"),
        ("outputs/latest", "outputs/latest is where the link to the newest one goes"),
        ("multirun/latest", "multirun/latest is where the link to the newest one goes"),
    ],
)
def test_a_folder_that_is_no_place_for_a_run_is_refused_in_one_line_and_left_as_it_is(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch, key: str, where: str, words: str
) -> None:
    (inside / "full/sub").mkdir(parents=True)
    (inside / "full/.budget.2024.tmp").write_text("mine")
    (inside / "pictures/grids").mkdir(parents=True)
    (inside / "home/work").mkdir(parents=True)
    (inside / "link").symlink_to("home")
    (inside / "root").symlink_to("/")
    monkeypatch.setenv("HOME", str(inside / "home"))
    if where.startswith(".."):
        monkeypatch.chdir(inside / "full/sub")
    before = everything(inside)
    code, output, errors = vae_train(*toy(*QUICK, f"{key}={where}", *KEYS[key]))
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"vae-train: error: {key}=")
    assert words.format("run" if key == "hydra.run.dir" else "sweep") in errors
    assert errors.endswith("; choose a folder of its own, new or empty\n")
    assert everything(inside) == before


@pytest.mark.slow
def test_a_folder_that_a_preset_names_is_judged_as_one_that_is_typed(vae_train: Run, inside: Path) -> None:
    (inside / "own/experiment").mkdir(parents=True)
    (inside / "own/experiment/here.yaml").write_text("# @package _global_\nhydra:\n  run:\n    dir: here\n")
    small = [one for one in toy(*QUICK) if not one.startswith(("--config-dir", "dataset="))]
    small += ["--config-dir=own", "experiment=here", "dataset=dsprites", "dataset.limit=200", "dataset.validation=40"]
    (inside / "here").mkdir()
    (inside / "here/thesis.txt").touch()
    code, _, errors = vae_train(*small)
    assert (code, errors.count("\n")) == (2, 1)
    assert "hydra.run.dir=here holds other things than a run (thesis.txt)" in errors


@pytest.mark.slow
def test_a_tilde_is_the_home_folder(vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (inside / "home").mkdir()
    monkeypatch.setenv("HOME", str(inside / "home"))
    assert vae_train(*toy(*QUICK, "hydra.run.dir=~/runs/mine"))[0] == 0
    assert (inside / "home/runs/mine/config.yaml").exists()
    assert not (inside / "~").exists()
    code, _, errors = vae_train(*toy(*QUICK, "hydra.run.dir=~nobody_of_that_name/x"))
    assert (code, errors.count("\n")) == (2, 1)


@pytest.mark.slow
def test_what_a_killed_start_has_left_does_not_stand_in_the_way(vae_train: Run, inside: Path, gone: int) -> None:
    """Killed before there was a config: its lock, its notes, its log, and files half written."""
    (inside / "run/.hydra").mkdir(parents=True)
    for name in (".lock", "train.log", ".hydra/config.yaml"):
        (inside / "run" / name).touch()
    for name in ("config.yaml", ".hydra/hydra.yaml"):
        left(inside / "run" / name, gone).touch()
    assert vae_train(*toy(*QUICK, "hydra.run.dir=run"))[0] == 0
    assert not list((inside / "run").rglob("*.tmp"))


@pytest.mark.parametrize("was_there", [False, True])
def test_of_a_run_that_was_not_begun_nothing_is_left(vae_train: Run, inside: Path, was_there: bool) -> None:
    (inside / "data").mkdir()
    if was_there:
        (inside / "data/new/run").mkdir(parents=True)
    code, _, errors = vae_train(*toy("engine.batch_size=999", "hydra.run.dir=data/new/run"))
    assert (code, errors.count("\n")) == (2, 1)
    assert everything(inside) == ({"data", "data/new", "data/new/run"} if was_there else {"data"})


def test_only_leftovers_of_our_own_are_removed(tmp_path: Path, gone: int) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "grids/history").mkdir(parents=True)
    (run / "notes").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (run / "animations").symlink_to(tmp_path / "elsewhere")
    ours = [left(run / name, gone) for name in ("config.yaml", "checkpoints/last.pt", "grids/history/a.png")]
    others = [
        left(run / "notes/config.yaml", gone),  # in a folder of the user's
        left(tmp_path / "config.yaml", gone),  # beside the run
        left(tmp_path / "elsewhere/a.gif", gone),  # behind a link
        left(run / "checkpoints/best.pt", os.getppid()),  # still at it
        run / ".budget.2024.tmp",
        run / f".budget.{gone}.tmp",
        run / f".budget.{gone}-x.tmp",
        run / f"checkpoints/.a.{gone}-12345678.tmp",
        run / f"checkpoints/.a.{gone}-00000000-12345678.tmp",  # of another host, just now
        run / f"checkpoints/x{left(run / 'a', gone).name}",
        run / f"checkpoints/{left(run / 'a', gone).name}.gz",
    ]
    for file in [*ours, *others]:
        file.touch()
    old = run / f"checkpoints/.b.{gone}-00000000-12345678.tmp"  # of another host, two days ago
    old.touch()
    os.utime(old, (0, 0))
    pipe, folder = left(run / "checkpoints/pipe", gone), left(run / "checkpoints/folder", gone)
    os.mkfifo(pipe)
    folder.mkdir()
    link = left(run / "checkpoints/link", gone)
    link.symlink_to(run / "notes")
    with RunFolder(run).claim(resuming=True):
        pass
    assert [file.name for file in [*ours, old, link] if os.path.lexists(file)] == []
    assert [file.name for file in [*others, pipe, folder, run / "notes"] if not os.path.lexists(file)] == []


def test_a_run_that_begins_again_leaves_what_is_the_user_s(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "grids").mkdir()
    for name in ("notes/a.txt", "b.txt", "grids/samples.png", "config.yaml", "metrics.jsonl", "train.log"):
        (tmp_path / name).touch()
    RunFolder(tmp_path).clear()
    assert everything(tmp_path) == {"notes", "notes/a.txt", "b.txt", "train.log", ".lock"}


def test_a_lock_that_is_a_link_or_a_pipe_is_refused_in_one_line_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    for name, make in {
        "link": lambda lock: lock.symlink_to("../thesis.txt"),
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
    }.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name / ".lock")
        with pytest.raises(UserError, match=rf"^cannot write to .*{name}: "), RunFolder(tmp_path / name).claim(False):
            pass
    assert (tmp_path / "thesis.txt").read_text() == "precious"


@pytest.mark.slow
def test_who_made_the_folder_and_lost_the_lock_removes_nothing(inside: Path) -> None:
    """The first start is halted between making the folder and locking it, until the second one trains in it."""
    context = multiprocessing.get_context("fork")
    made, trains, code = context.Event(), context.Event(), context.SimpleQueue()

    def halted(folder: Path) -> list[Path]:
        result = make_folder(folder)
        made.set()
        assert trains.wait(300)
        return result

    def first() -> None:
        place.make_folder = halted  # in this process alone
        code.put(cli.run(toy(*QUICK, "hydra.run.dir=a/run")))

    process = context.Process(target=first)
    process.start()
    assert made.wait(300)
    with RunFolder(inside / "a/run").claim(resuming=False) as folder:
        (folder.path / "config.yaml").touch()
        trains.set()
        process.join()
        assert code.get() == 2
        assert everything(inside) == {"a", "a/run", "a/run/.lock", "a/run/config.yaml"}
