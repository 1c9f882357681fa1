"""A run that is killed at any file operation goes on to what the unbroken run comes to, bit for bit."""

import json
import shutil
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import Point
from killing import Launch, launcher
from photos import settled, write_photos

from vae_runner.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

KILLED = -9
TRAINING = (
    *("dataset=folder", "dataset.image_size=16", "dataset.channels=1", "dataset.validation=8", "dataset.workers=2"),
    *("dataset.cache_dir=cache", "dataset.flip=true", "distribution.dims=3", "lr_schedule=cosine"),
    *("architecture=mlp", "architecture.encoder.hidden=[16]", "architecture.decoder.hidden=[16]"),
    *("visualisation=[samples,curves,schedule,animation]", "visualisation.animation.steps=3", "engine.clip_norm=5"),
    *("engine.steps=12", "engine.batch_size=8", "engine.device=cpu", "engine.precision=fp32", "engine.threads=1"),
    *("engine.log_every=2", "engine.validate_every=5", "engine.picture_every=4", "engine.checkpoint_every=3"),
)
OBJECTIVES = {
    "beta": ("divergence=beta_annealed", "divergence.beta.steps=10"),
    "capacity": (
        *("divergence=capacity", "divergence.capacity.steps=10", "likelihood=gaussian_optimal"),
        *("distribution=normal_aligned", "distribution.align=[3,4,7]", "distribution.threshold=0"),
    ),
}
SOURCES = {"store": "dataset.store=true", "live": "dataset.store=false"}
KINDS = [(objective, source) for objective in OBJECTIVES for source in SOURCES]
SAMPLE, ALL = 2, 60  # points of each kind


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launcher() as launch:
        yield launch


class Unbroken:
    """The run of one kind that nothing happened to, and every point of it."""

    def __init__(self, folder: Path, photos: Path, launch: Launch, objective: str, source: str) -> None:
        self.settings = (*TRAINING, f"dataset.root={photos}", *OBJECTIVES[objective], SOURCES[source])
        self.folder = folder / "unbroken"
        self.folder.mkdir()
        ended = launch(self.folder, *self.settings, trace=str(folder / "trace"))
        assert (ended.status, ended.err) == (0, "")
        self.points = [Point(*json.loads(line)) for line in (folder / "trace").read_text().splitlines()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, launch: Launch) -> Any:
    """unbroken(objective, source) -> the run, made once."""
    photos = photos_in(tmp_path_factory.mktemp("data"))
    return cache(lambda *kind: Unbroken(tmp_path_factory.mktemp("unbroken"), photos, launch, *kind))


def photos_in(folder: Path) -> Path:
    return settled(write_photos(folder / "photos", 40, (20, 16), ".png"))


def sample(points: list[Point], count: int) -> list[Point]:
    """So many of the points: first one of each operation on each file, in a random order, then more of them.

    Threads write in turns that differ from run to run, so the order is each point's own, not its place's in the trace.
    """
    shuffled = sorted(points, key=lambda point: sha256(repr(point).encode()).digest())
    first = {(point.operation, point.file, point.moment): point for point in shuffled}
    return [*first.values(), *(point for point in shuffled if point not in first.values())][:count]


def figures(folder: Path) -> dict[str, Any]:
    """All that a run has come to, without times."""
    run = folder / "run"
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("seconds"), record.pop("images_per_second", None)
    files = {
        str(file.relative_to(run)): file.read_bytes()
        for name in ("grids", "animations", "epochs.csv", "config.yaml")
        for file in ([run / name] if (run / name).is_file() else (run / name).rglob("*.*"))
    }
    names = {str(file.relative_to(folder)) for file in folder.rglob("*")}
    status = json.loads((run / "status.json").read_text())
    return {"metrics": records, **files, "names": names, "status": [status["state"], status["step"]]}


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Two checkpoints, to the bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            assert_same(first, second, f"{where}/{index}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def assert_equals_the_unbroken(folder: Path, unbroken: Path) -> None:
    for name in ("last", "previous", "best"):
        one, other = (load_checkpoint(where / f"run/checkpoints/{name}.pt") for where in (folder, unbroken))
        assert_same(one, other, name)
    found, expected = figures(folder), figures(unbroken)
    assert found.keys() == expected.keys()
    for name in expected:
        difference = found[name] ^ expected[name] if name == "names" else None
        assert found[name] == expected[name], (name, difference)
    assert (folder / "outputs/latest").resolve() == (folder / "run").resolve()


def go_on(launch: Launch, folder: Path, settings: tuple[str, ...]) -> None:
    """What a user does after a kill: resume where there is a run, else start again."""
    has_begun = (folder / "run/config.yaml").exists()
    ended = launch(folder, resume=True) if has_begun else launch(folder, *settings)
    complete = "vae-train: error: run is complete at step 12 of 12; engine.steps=N trains it longer\n"
    assert (ended.status, ended.err) in [(0, ""), (2, complete)], ended
    assert '<span class="state done">' in (folder / "run/report.html").read_text()


def check_point(launch: Launch, folder: Path, unbroken: Unbroken, point: Point) -> None:
    folder.mkdir()
    assert launch(folder, *unbroken.settings, kill=point).status == KILLED
    go_on(launch, folder, unbroken.settings)
    assert_equals_the_unbroken(folder, unbroken.folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("number", range(SAMPLE))
def test_a_killed_run_goes_on_to_the_bit(
    launch: Launch, unbroken: Any, tmp_path: Path, kind: tuple[str, str], number: int
) -> None:
    run = unbroken(*kind)
    point = sample(run.points, ALL)[ALL // SAMPLE * number + KINDS.index(kind)]
    check_point(launch, tmp_path / "killed", run, point)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("number", range(ALL))
def test_a_run_killed_anywhere_goes_on_to_the_bit(
    launch: Launch, unbroken: Any, tmp_path: Path, kind: tuple[str, str], number: int
) -> None:
    run = unbroken(*kind)
    check_point(launch, tmp_path / "killed", run, sample(run.points, ALL)[number])
