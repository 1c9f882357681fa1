"""Several starts at the same moment with one folder: one run, or sweep, and the others are told."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from killing import Ended, Launch, launcher
from photos import write_photos
from test_kill import TRAINING

pytestmark = pytest.mark.slow

TOGETHER = 8
SAMPLE, ALL = 1, 20
REFUSED = re.compile(
    r"vae-train: error: here/mine ((is being written by (process \d+ on .*|another process))|"
    r"(is under way in another process; .*)|"
    r"(holds a (run|sweep) already; .*))\n"
)
SHORT = ("engine.steps=4", "engine.validate_every=4", "visualisation=[]")


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launcher() as launch:
        yield launch


def check_starts(launch: Launch, folder: Path, *arguments: str) -> list[Ended]:
    """One has done it, the others were refused in one line."""
    photos = write_photos(folder / "photos", 40, (20, 16), ".png")
    kept = [setting for setting in TRAINING if not setting.startswith(("engine.steps", "visualisation"))]
    ends = launch(folder, *kept, *SHORT, f"dataset.root={photos}", *arguments, whole=True, together=TOGETHER)
    assert Counter(end.status for end in ends) == {0: 1, 2: TOGETHER - 1}, ends
    assert [end.err for end in ends if not (REFUSED.fullmatch(end.err) if end.status else end.err == "")] == []
    assert not list((folder / "here").rglob("*.tmp"))
    return ends


def check_run(run: Path) -> int:
    """It is one run's, whole; returns its seed."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records if record["split"] == "train"]
    assert steps == sorted(set(steps))
    assert (run / "train.log").read_text().count("INFO run  ") == 1
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    seeds = [yaml.safe_load((run / name).read_text())["seed"] for name in ("config.yaml", ".hydra/config.yaml")]
    assert seeds[0] == seeds[1]
    return seeds[0]


def check_runs(launch: Launch, folder: Path) -> None:
    ends = check_starts(launch, folder, "hydra.run.dir=here/mine", "seed={number}")
    assert check_run(folder / "here/mine") == [end.status for end in ends].index(0)
    assert (folder / "outputs/latest").resolve() == folder / "here/mine"


def check_sweeps(launch: Launch, folder: Path) -> None:
    ends = check_starts(launch, folder, "hydra.sweep.dir=here/mine", "--multirun", "seed=1{number},2{number}")
    done = [end.status for end in ends].index(0)
    runs = sorted(path.parent for path in (folder / "here/mine").glob("*/config.yaml"))
    assert [check_run(run) for run in runs] == [10 + done, 20 + done]
    assert f"seed=1{done},2{done}" in json.loads((folder / "here/mine/sweep.json").read_text())["command"]


@pytest.mark.parametrize("number", range(SAMPLE))
def test_of_eight_starts_with_one_folder_one_trains(launch: Launch, tmp_path: Path, number: int) -> None:
    check_runs(launch, tmp_path)


def test_of_eight_sweeps_with_one_folder_one_is_done(launch: Launch, tmp_path: Path) -> None:
    check_sweeps(launch, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(ALL))
def test_of_eight_starts_with_one_folder_one_trains_each_time(launch: Launch, tmp_path: Path, number: int) -> None:
    for check in (check_runs, check_sweeps):
        folder = tmp_path / check.__name__
        folder.mkdir()
        check(launch, folder)
