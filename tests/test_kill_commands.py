"""Every command that writes, killed at any of its file operations and given again: it comes to what it would have."""

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from faults import Point
from killing import Ended, Launch, launcher
from photos import settled, write_photos
from samples import sampled
from test_kill import KILLED, TRAINING, assert_same, sample

from vae_runner.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

ALL = 300  # kills over all commands
SMALL = [one for one in TRAINING if not one.startswith(("visualisation", "engine.steps", "engine.checkpoint"))]
SMALL += ["visualisation=[samples,curves]", "engine.steps=6", "engine.checkpoint_every=2"]
SWEEP = ("--multirun", "seed=0,1", "hydra.sweep.dir=new", 'hydra.sweep.subdir="job${hydra:job.num}"')


class Command(NamedTuple):
    """What is typed, in a folder with `photos`, a run `run`, a sweep `sweep`, one of which a job is left, `left`, and a
    prepared store in `cache`; and, where it has to be another, what is typed behind a kill.
    """

    arguments: tuple[str, ...]
    program: str = "vae-train"
    again: Callable[[Path, tuple[str, ...]], tuple[str, ...]] = lambda folder, arguments: arguments


def go_on(name: str, mark: str) -> Callable[[Path, tuple[str, ...]], tuple[str, ...]]:
    """Resume where there is something to be resumed, else the same again."""
    return lambda folder, arguments: (f"resume={name}",) if (folder / name / mark).exists() else arguments


COMMANDS = {
    "run": Command((*SMALL, "hydra.run.dir=new"), again=go_on("new", "config.yaml")),
    "longer": Command(("resume=run", "engine.steps=9")),
    "sweep": Command((*SMALL, *SWEEP), again=go_on("new", "sweep.json")),
    "rest of a sweep": Command(("resume=left",)),
    "longer sweep": Command(("resume=sweep", "engine.steps=8")),
    "report": Command(("run",), "vae-report"),
    "report of a sweep": Command(("sweep",), "vae-report"),
    "comparison": Command(("run", "sweep", "--out", "new"), "vae-report"),
    "redraw": Command(("run", "visualisation=[samples,traversal]"), "vae-redraw"),
    "redraw elsewhere": Command(("run", "--out", "new"), "vae-redraw"),
    "stores": Command(("stores", "--all", "dataset.cache_dir=cache"), "vae-data"),
}
TELLING = (
    "train.log",
    "environment.json",
    "overrides.yaml",
    "hydra.yaml",
    "multirun.yaml",
    "sweep.json",
    ".sweep.lock",
)
# Behind a kill there may be nothing left to be done.
NOTHING_LEFT = re.compile(r"vae-train: error: .*(is complete at step|jobs in .* are done;).*\n")


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launcher() as launch:
        yield launch


class Scene:
    """The folder in which commands are given, and what each of them comes to unbroken, with every point of it."""

    def __init__(self, launch: Launch, folder: Path) -> None:
        self.launch, self.folder = launch, folder
        self.start = folder / "start"
        self.start.mkdir()
        photos = settled(write_photos(folder / "photos", 40, (20, 16), ".png"))
        self.root = f"dataset.root={photos}"
        stop = Point("write", "left/job1/metrics.jsonl", 2, "before")
        assert self.given("run", self.start, "hydra.run.dir=run").status == 0
        assert self.given("sweep", self.start, "hydra.sweep.dir=sweep").status == 0
        ended = self.given("sweep", self.start, "hydra.sweep.dir=left", signals=[[stop, signal.SIGINT]])
        assert ended.status == 130, ended
        self.unbroken = cache(self._unbroken)

    def given(self, name: str, folder: Path, *changes: str, again: bool = False, **fault: Any) -> Ended:
        """Give the command there, with those settings in place of its own."""
        command = COMMANDS[name]
        arguments = command.again(folder, command.arguments) if again else command.arguments
        replaced = {change.partition("=")[0] for change in changes}
        kept = [one for one in arguments if one.partition("=")[0] not in replaced]
        root = [self.root] if SMALL[0] in arguments else []
        return self.launch(folder, *kept, *root, *changes, whole=True, program=command.program, **fault)

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.start, self.folder / name, symlinks=True))

    def _unbroken(self, name: str) -> tuple[Path, list[Point]]:
        folder, trace = self.copy(f"unbroken {name}"), self.folder / f"{name}.trace"
        ended = self.given(name, folder, trace=str(trace))
        assert (ended.status, ended.err) == (0, ""), ended
        return folder, [Point(*json.loads(line)) for line in trace.read_text().splitlines()]

    def check(self, name: str, number: int, count: int) -> None:
        """Kill the command at one of `count` of its points, give it again, and compare."""
        unbroken, points = self.unbroken(name)
        chosen = sample(points, count)
        self.check_point(name, chosen[number % len(chosen)], unbroken)

    def check_point(self, name: str, point: Point, unbroken: Path) -> None:
        folder = self.copy("killed")
        try:
            assert self.given(name, folder, kill=point).status == KILLED
            ended = self.given(name, folder, again=True)
            assert (ended.status, ended.err) == (0, "") or NOTHING_LEFT.fullmatch(ended.err), (point, *ended)
            assert_equal_folders(folder, unbroken, point, trains=COMMANDS[name].program == "vae-train")
        finally:
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def scene(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(launch, tmp_path_factory.mktemp("scene"))


def assert_equal_folders(one: Path, other: Path, point: Point, trains: bool) -> None:
    """All files, without the times in them; of those that only tell how a training went, that they are there."""
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock"} for folder in (one, other)
    ]
    assert names[0] == names[1], (point, names[0] ^ names[1])
    for name in names[0]:
        first, second = one / name, other / name
        if first.name in TELLING:
            continue
        if first.suffix == ".pt":
            assert_same(load_checkpoint(first), load_checkpoint(second), f"{point}: {name}")
        elif first.is_file() and not trains:
            assert without_minute(first) == without_minute(second), (point, name)
        elif first.is_file():
            assert without_times(first) == without_times(second), (point, name)


def without_minute(file: Path) -> bytes:
    """All of it but the minute in which a page was written."""
    return re.sub(rb"Written [-0-9: ]+ UTC by", b"Written by", file.read_bytes())


def without_times(file: Path) -> Any:
    if file.name == "status.json":
        return [json.loads(file.read_text())[key] for key in ("state", "step", "total_steps")]
    if file.name == "metrics.jsonl":
        records = [json.loads(line) for line in file.read_text().splitlines()]
        return [{key: record[key] for key in record.keys() - {"seconds", "images_per_second"}} for record in records]
    if file.suffix in (".html", ".csv"):
        return "done" in file.read_text()
    return file.read_bytes()


@pytest.mark.parametrize("name", sampled(COMMANDS, "run", "sweep", "report of a sweep", "redraw", "stores"))
def test_a_killed_command_given_again_comes_to_the_same(scene: Scene, name: str) -> None:
    scene.check(name, 11 + [*COMMANDS].index(name), ALL // len(COMMANDS) + 1)


@pytest.mark.parametrize("page", ["new/.sweep.html.tmp", "new/job1/.report.html.tmp"])
def test_a_sweep_killed_over_its_last_page_has_it_when_it_is_given_again(scene: Scene, page: str) -> None:
    unbroken, points = scene.unbroken("sweep")
    last = [point for point in points if (point.operation, point.file) == ("write", page)][-1]
    scene.check_point("sweep", last, unbroken)


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(ALL))
def test_no_command_killed_anywhere_comes_to_something_else(scene: Scene, number: int) -> None:
    name = [*COMMANDS][number % len(COMMANDS)]
    scene.check(name, number // len(COMMANDS), ALL // len(COMMANDS) + 1)
