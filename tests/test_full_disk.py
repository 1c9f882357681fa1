"""A disk on which nothing can be written from the first byte on: one line, with the folder and the file."""

import errno
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import Point
from killing import Ended, Launch, launcher
from photos import write_photos
from test_kill import TRAINING, sample

pytestmark = pytest.mark.slow

WORDS = {
    errno.ENOSPC: r"no space left on {folder} writing {file}",
    errno.EDQUOT: r"no space left on {folder} writing {file}",
    errno.EROFS: r"cannot (write( to)?|make the folder) .*: Read-only file system",
    errno.EACCES: r"cannot (write( to)?|make the folder) .*: Permission denied",
    errno.EMFILE: r"cannot (write( to)?|make the folder) .*: Too many open files",
}
HERE = r"(here|here/[\w./-]+|/[\w./-]+/here[\w./-]*)"
# The first writes of a run, and of a sweep with its first job: folders, locks, notes, lists, Hydra's multirun.yaml.
RUN = {
    "folder": Point("mkdir", "here/mine", 1, "before"),
    "no inode for the lock": Point("open", "here/mine/.lock", 1, "before"),
    "lock": Point("write", "here/mine/.lock", 1, "before"),
    "notes": Point("write", "here/mine/.hydra/.config.yaml.tmp", 1, "half"),
    "no inode for the config": Point("open", "here/mine/.config.yaml.tmp", 1, "before"),
    "config": Point("write", "here/mine/.config.yaml.tmp", 1, "before"),
}
SWEEP = {
    "folder": Point("mkdir", "here/mine", 1, "before"),
    "no inode for the lock": Point("open", "here/mine/.sweep.lock", 1, "before"),
    "list": Point("write", "here/mine/.sweep.json.tmp", 1, "before"),
    "Hydra's": Point("write", "here/mine/multirun.yaml", 1, "before"),
    "Hydra's inode": Point("open", "here/mine/multirun.yaml", 1, "before"),
    "folder of a job": Point("mkdir", "here/mine/0-*", 1, "before"),
}
JOB = {
    "lock": Point("write", "here/mine/0-*/.lock", 1, "before"),
    "notes": Point("write", "here/mine/0-*/.hydra/.config.yaml.tmp", 1, "half"),
    "config": Point("write", "here/mine/0-*/.config.yaml.tmp", 1, "before"),
}


def pairs(points: Iterable[str], *numbers: int) -> list[Any]:
    """Each with each; in turn one of them for each, the others exhaustive."""
    return [
        pytest.param(
            what,
            number,
            id=f"{what}-{errno.errorcode[number]}",
            marks=() if numbers[place % len(numbers)] == number else pytest.mark.exhaustive,
        )
        for place, what in enumerate(points)
        for number in numbers
    ]


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launcher() as launch:
        yield launch


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    (tmp_path / "here").mkdir()
    photos = write_photos(tmp_path / "photos", 40, (20, 16), ".png")
    kept = [one for one in TRAINING if not one.startswith("visualisation")]
    return [*kept, "visualisation=[]", f"dataset.root={photos}"]


def told(number: int, folder: str = HERE, file: str = r"[\w.-]+") -> str:
    return WORDS[number].format(folder=folder, file=file)


def single(launch: Launch, folder: Path, settings: list[str], point: Point, number: int) -> Ended:
    return launch(folder, *settings, "hydra.run.dir=here/mine", whole=True, refuse=[point, number])


def sweep(launch: Launch, folder: Path, settings: list[str], point: Point, number: int) -> Ended:
    own = ("hydra.sweep.dir=here/mine", "--multirun", "seed=0,1")
    return launch(folder, *settings, *own, whole=True, refuse=[point, number])


@pytest.mark.parametrize(("what", "number"), pairs(RUN, errno.ENOSPC, errno.EROFS))
def test_a_run_that_cannot_begin_says_where_in_one_line_and_leaves_nothing(
    launch: Launch, tmp_path: Path, settings: list[str], what: str, number: int
) -> None:
    ended = single(launch, tmp_path, settings, RUN[what], number)
    assert ended.status in (1, 2)
    assert re.fullmatch(f"vae-train: error: {told(number)}\n", ended.err), ended
    assert [path.name for path in (tmp_path / "here").rglob("*")] == []
    if number == errno.ENOSPC:
        assert ended.status == 1
        names = {"lock": "config.yaml", "no inode for the lock": ".lock", "folder": "mine"}  # its words may be missing
        assert ended.err.endswith(f" writing {names.get(what, 'config.yaml')}\n")


@pytest.mark.parametrize(("what", "number"), pairs(SWEEP, errno.ENOSPC, errno.EROFS))
def test_a_sweep_that_cannot_begin_says_where_in_one_line(
    launch: Launch, tmp_path: Path, settings: list[str], what: str, number: int
) -> None:
    ended = sweep(launch, tmp_path, settings, SWEEP[what], number)
    assert ended.status in (1, 2)
    assert re.fullmatch(f"vae-train: error: {told(number)}\n", ended.err), ended


@pytest.mark.parametrize(("what", "number"), pairs(JOB, errno.ENOSPC, errno.EDQUOT))
def test_a_job_that_cannot_begin_is_named_with_where(
    launch: Launch, tmp_path: Path, settings: list[str], what: str, number: int
) -> None:
    ended = sweep(launch, tmp_path, settings, JOB[what], number)
    first, second = ended.err.splitlines()
    assert ended.status == 1
    assert re.fullmatch(f"vae-train: error: job 0 failed: {told(number)}", first), ended
    assert re.fullmatch(rf"vae-train: error: (job 1 failed: )?{told(number)}", second), ended
    assert not re.search(r"\w+Error", ended.out), ended
    assert "0 of 2 jobs done" in ended.out or "1-" in second  # Hydra could not even make the folder of the second
    ended = launch(tmp_path, "resume=here/mine", whole=True)  # with room again
    assert (ended.status, ended.err) == (0, ""), ended


def points(launch: Launch, folder: Path, arguments: list[str]) -> list[Point]:
    """Where a start can find the disk full until the run has begun."""
    (folder / "unbroken/here").mkdir(parents=True)
    launch(folder / "unbroken", *arguments, whole=True, trace=str(folder / "trace"))
    found = [Point(*json.loads(line)) for line in (folder / "trace").read_text().splitlines()]
    begun = next(index for index, point in enumerate(found) if point.file.endswith("environment.json"))
    return [point for point in found[:begun] if point.operation in ("write", "open", "mkdir")]


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", WORDS, ids=errno.errorcode.get)
def test_a_run_that_cannot_begin_says_so_wherever_it_is(
    launch: Launch, tmp_path: Path, settings: list[str], number: int
) -> None:
    found = points(launch, tmp_path, [*settings, "hydra.run.dir=here/mine"])
    for index, point in enumerate(sample(found, 40)):
        folder = tmp_path / str(index)
        (folder / "here").mkdir(parents=True)
        ended = single(launch, folder, settings, point, number)
        assert ended.status in (0, 1, 2)  # it can do without its log
        assert re.fullmatch("" if ended.status == 0 else "vae-train: error: .*\n", ended.err), (point, ended)
        assert "Errno" not in ended.err, (point, ended)
        assert "HYDRA_FULL_ERROR" not in ended.err, (point, ended)
