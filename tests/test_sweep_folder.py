"""Sweeps that choose their folder, and those of their jobs: what they print when they stop works as it is printed."""

import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import Point
from killing import Launch, launcher
from photos import write_photos
from samples import sampled
from test_cli import Run, vae_train
from test_kill import KILLED, TRAINING
from test_sweep_resume import states

from vae_runner.runs.ledger import Ledger, write_ledger

pytestmark = pytest.mark.slow

__all__ = ["vae_train"]  # a fixture
QUICK = ("engine.steps=4", "engine.checkpoint_every=2", "engine.validate_every=4", "visualisation=[]")


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launcher() as launch:
        yield launch


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """Of a sweep of two jobs, with the program's own parts."""
    photos = write_photos(tmp_path / "photos", 24, (16, 16), ".png")
    kept = [one for one in TRAINING if not one.startswith(("visualisation", "engine.steps", "engine.validate"))]
    kept = [one for one in kept if not one.startswith("engine.checkpoint")]
    return [*kept, *QUICK, f"dataset.root={photos}", "--multirun", "seed=0,1"]


NAMED = 'hydra.sweep.subdir="job${hydra:job.num}-${now:%H}"'
ODD = "my {é} 'sweep' $x, [1]=~"
FOLDERS = {
    "relative": ("mine", ["hydra.sweep.dir=mine"]),
    "deep": ("a/b/c", ["hydra.sweep.dir=a/b/../b/c"]),
    "absolute": ("mine", ["hydra.sweep.dir={here}/mine"]),
    "forced": ("mine", ["++hydra.sweep.dir=mine"]),
    "odd": (ODD, [f'hydra.sweep.dir="{ODD}"']),
    "looked-up": ("mine-x", ["hydra.sweep.dir=mine-${hydra:job.name}", "hydra.job.name=x"]),
    "jobs": ("mine", ["hydra.sweep.dir=mine", NAMED, "hydra.job.chdir=false"]),
    "launcher": ("mine", ["hydra.sweep.dir=mine", "hydra/launcher=basic"]),
}


AT = Point("replace", "*/checkpoints/last.pt", 1, "after")
STOPS = {"Ctrl-C": {"signals": [[AT, signal.SIGINT]]}, "kill": {"kill": AT}}


def check_stop(launch: Launch, here: Path, settings: list[str], which: str, how: str) -> None:
    name, own = FOLDERS[which]
    own = [setting.replace("{here}", str(here)) for setting in own]
    ended = launch(here, *settings, *own, whole=True, **STOPS[how])
    assert ended.status == (130 if how == "Ctrl-C" else KILLED), ended
    printed = r"saved step 2; go on with: (.*)\n"
    if how == "kill":  # nothing was said; whoever starts it once more is told
        ended = launch(here, *settings, *own, whole=True)
        printed = r"error: .* holds a sweep already; go on with it by (.*), or choose another folder\n"
    command = shlex.split(re.fullmatch(f"vae-train: {printed}", ended.err)[1])
    ended = launch(here, *command[1:], whole=True)
    assert (command[0], ended.status, ended.err) == ("vae-train", 0, ""), ended
    assert "2 of 2 jobs to do" in ended.out
    assert states(here / name) == ["done", "done"]
    assert "going on from step 2" in sorted((here / name).glob("*/train.log"))[0].read_text()


@pytest.mark.parametrize("which", sampled(FOLDERS, "odd", "jobs"))
def test_the_command_that_an_interrupted_sweep_prints_works_as_it_is_printed(
    launch: Launch, tmp_path: Path, settings: list[str], which: str
) -> None:
    check_stop(launch, tmp_path, settings, which, "Ctrl-C")


def test_after_a_kill_the_sweep_goes_on_as_it_is_told(launch: Launch, tmp_path: Path, settings: list[str]) -> None:
    check_stop(launch, tmp_path, settings, "odd", "kill")


@pytest.mark.exhaustive
@pytest.mark.parametrize("which", FOLDERS)
def test_after_a_kill_every_sweep_goes_on_as_it_is_told(
    launch: Launch, tmp_path: Path, settings: list[str], which: str
) -> None:
    check_stop(launch, tmp_path, settings, which, "kill")


@pytest.mark.parametrize(
    "foreign",
    [
        "hydra.callbacks.x._target_=os.system",
        "+hydra.job.env_set.LD_PRELOAD=x.so",
        "hydra.searchpath=[file:///tmp/x]",
        "hydra.sweep.subdir=${oc.env:HOME}",
        "hydra.job_logging.handlers.x.class=os.system",
        "hydra/job_logging@hydra.callbacks=x",
        "~hydra.callbacks",
    ],
)
def test_of_hydra_s_settings_a_list_may_have_only_names(vae_train: Run, inside: Path, foreign: str) -> None:
    (inside / "old").mkdir()
    write_ledger(inside / "old", Ledger("vae-train", "abcd", [], ["hydra.sweep.dir=x", foreign], [["seed=0"]]))
    code, output, errors = vae_train("resume=old")
    assert (code, output) == (2, "")
    assert errors == f"vae-train: error: old/sweep.json gives {foreign}; trust=true takes it\n"


@pytest.mark.parametrize("subdir", ["..", "../beside", ".", "{inside}/elsewhere", "same"])
def test_a_sweep_whose_jobs_get_no_folders_of_their_own_is_refused_in_one_line(
    vae_train: Run, inside: Path, settings: list[str], subdir: str
) -> None:
    own = [f"hydra.sweep.subdir={subdir.replace('{inside}', str(inside))}", "hydra.sweep.dir=mine"]
    code, _, errors = vae_train(*settings, *own)
    assert code == 2
    (line,) = errors.splitlines()
    assert line.startswith("vae-train: error: hydra.sweep.subdir")
    assert not (inside / "mine").exists()
    assert not list(inside.glob("*.*"))
    assert not list(inside.glob("elsewhere/*")) + list(inside.glob("beside/*"))
