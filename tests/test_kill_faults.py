"""What is not a kill: a disk that is full or read-only, a folder that is removed, damaged checkpoints, and signals."""

import errno
import json
import logging
import random
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import Point
from killing import Ended, Launch, launcher
from test_kill import (
    KINDS,
    Unbroken,
    assert_equals_the_unbroken,
    assert_same,
    figures,
    go_on,
    photos_in,
    sample,
)

from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint, load_latest

pytestmark = pytest.mark.slow

SAMPLE, ALL = 3, 90  # points at which the disk is full
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138, signal.SIGHUP: 129}
MOMENTS = {
    "step": Point("write", "run/metrics.jsonl", 5, "before"),
    "validation": Point("write", "run/epochs.csv", 3, "half"),
    "picture": Point("write", "run/grids/.samples.png.tmp", 1, "half"),
    "checkpoint": Point("write", "run/checkpoints/.last.pt.tmp", 3, "half"),  # the second one's archive
}


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launcher() as launch:
        yield launch


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, launch: Launch) -> Unbroken:
    photos = photos_in(tmp_path_factory.mktemp("data"))
    return Unbroken(tmp_path_factory.mktemp("unbroken"), photos, launch, *KINDS[0])


def writes(unbroken: Unbroken) -> list[Point]:
    """The points at which a disk can be found full."""
    return [point for point in unbroken.points if point.operation in ("write", "pwrite", "open", "mkdir", "fsync")]


def check_refusal(launch: Launch, folder: Path, unbroken: Unbroken, point: Point, number: int, words: str) -> None:
    """One line, and what was saved is there: with room again the run goes on to what the unbroken one comes to."""
    folder.mkdir()
    ended = launch(folder, *unbroken.settings, refuse=[point, number])
    if ended.status != 0:  # nothing but a report or a table was left to be written
        assert ended.status in (1, 2), ended
        assert re.fullmatch(rf"vae-train: error: .*{words}.*\n", ended.err), ended
    saved = list(folder.rglob("last.pt"))
    steps = [load_latest(file.parent)["step"] for file in saved]
    named = [int(step) for step in re.findall(r"last good checkpoint: step (\d+)", ended.err)]
    if ended.status == 1 and "writing checkpoints" in ended.err:  # best.pt, or last.pt, which is not promised
        before = [load_checkpoint(file)["step"] for file in folder.rglob("previous.pt")]
        assert named in (steps, before), (point, ended)
    elif ended.status == 1:
        assert named == steps, (point, ended)
    if ended.status != 0:
        go_on(launch, folder, unbroken.settings)
        assert_equals_the_unbroken(folder, unbroken.folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("number", range(SAMPLE))
def test_a_full_disk_is_one_line_and_costs_nothing_that_was_saved(
    launch: Launch, unbroken: Unbroken, tmp_path: Path, number: int
) -> None:
    point = sample(writes(unbroken), ALL)[ALL // SAMPLE * number]
    check_refusal(launch, tmp_path / "full", unbroken, point, errno.ENOSPC, "[Nn]o space left on")


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(ALL))
def test_a_disk_full_at_any_write_is_one_line(launch: Launch, unbroken: Unbroken, tmp_path: Path, number: int) -> None:
    point = sample(writes(unbroken), ALL)[number]
    check_refusal(launch, tmp_path / "full", unbroken, point, errno.ENOSPC, "[Nn]o space left on")


@pytest.mark.parametrize("name", ["run/.lock", "run/checkpoints/.last.pt.tmp", "run/metrics.jsonl"])
def test_a_read_only_folder_is_one_line(launch: Launch, unbroken: Unbroken, tmp_path: Path, name: str) -> None:
    point = next(point for point in unbroken.points if point.file == name and point.operation in ("open", "write"))
    check_refusal(launch, tmp_path / "read-only", unbroken, point, errno.EROFS, "cannot write .*Read-only file system")


def test_a_folder_removed_under_way_is_one_line_and_stays_away(
    launch: Launch, unbroken: Unbroken, tmp_path: Path
) -> None:
    point = Point("replace", "run/checkpoints/last.pt", 2, "after")
    ended = launch(tmp_path, *unbroken.settings, remove=[point, "run"])
    assert ended.status == 1
    assert re.fullmatch(r"vae-train: error: .*run.*\n", ended.err), ended
    assert not (tmp_path / "run/config.yaml").exists()
    assert not (tmp_path / "run/status.json").exists()


def test_every_flipped_bit_and_every_cut_falls_back_to_the_checkpoint_before(
    unbroken: Unbroken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = unbroken.folder / "run/checkpoints"
    whole, expected = (source / "last.pt").read_bytes(), load_checkpoint(source / "previous.pt")
    generator = random.Random(0)
    damaged = [whole[: generator.randrange(len(whole))] for _ in range(60)] + [whole[:-1], whole[1:], b""]
    for _ in range(300):
        position = generator.randrange(len(whole))
        damaged.append(
            whole[:position] + bytes([whole[position] ^ 1 << generator.randrange(8)]) + whole[position + 1 :]
        )
    shutil.copy(source / "previous.pt", tmp_path)
    caught = 0
    for data in damaged:
        (tmp_path / "last.pt").write_bytes(data)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "vae_runner"):
            assert_same(load_latest(tmp_path), expected)
        assert caplog.messages == [
            f"{tmp_path}/last.pt is not a complete checkpoint; going on from previous.pt (step 9)"
        ]
        caught += 1
    assert caught == 363  # none was harmless: the checksum is over all bytes
    with pytest.raises(BrokenCheckpointError):
        load_checkpoint(tmp_path / "last.pt")


def stopped(launch: Launch, folder: Path, unbroken: Unbroken, *signals: tuple[Point, int]) -> Ended:
    return launch(folder, *unbroken.settings, "hydra.run.dir=run", whole=True, signals=signals)


def check_signal(launch: Launch, folder: Path, unbroken: Unbroken, number: int, moment: str) -> None:
    ended = stopped(launch, folder, unbroken, (MOMENTS[moment], number))
    assert ended.status == SIGNALS[number], ended
    told = re.fullmatch(r"vae-train: saved step (\d+); go on with: vae-train resume=run\n", ended.err)
    status = json.loads((folder / "run/status.json").read_text())
    saved = load_checkpoint(folder / "run/checkpoints/last.pt")["step"]
    assert (status["state"], status["step"], int(told[1])) == ("interrupted", saved, saved)
    records = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    assert saved >= max(record["step"] for record in records)  # nothing that was done is lost
    ended = launch(folder, "resume=run", whole=True)
    assert (ended.status, ended.err) == (0, ""), ended
    one, other = (load_checkpoint(where / "run/checkpoints/last.pt") for where in (folder, unbroken.folder))
    assert_same(one["objective"], other["objective"])
    assert_same(one["optimizer"], other["optimizer"])
    assert figures(folder)["metrics"] == figures(unbroken.folder)["metrics"]


@pytest.mark.parametrize(("moment", "number"), [*zip(MOMENTS, SIGNALS, strict=True)])
def test_a_signal_at_any_moment_saves_the_step(
    launch: Launch, unbroken: Unbroken, tmp_path: Path, moment: str, number: int
) -> None:
    check_signal(launch, tmp_path, unbroken, number, moment)


@pytest.mark.exhaustive
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_at_every_moment_saves_the_step(
    launch: Launch, unbroken: Unbroken, tmp_path: Path, moment: str, number: int
) -> None:
    check_signal(launch, tmp_path, unbroken, number, moment)


def test_a_second_signal_stops_at_once(launch: Launch, unbroken: Unbroken, tmp_path: Path) -> None:
    first, second = MOMENTS["step"], MOMENTS["checkpoint"]
    ended = stopped(launch, tmp_path, unbroken, (first, signal.SIGINT), (second, signal.SIGINT))
    assert ended.status == 130
    assert ended.err == "vae-train: stopped at once; the last checkpoint is kept; go on with: vae-train resume=run\n"
    assert load_checkpoint(tmp_path / "run/checkpoints/last.pt")["step"] == 3
    go_on(launch, tmp_path, unbroken.settings)
    names: set[Any] = {file.name for file in (tmp_path / "run/checkpoints").iterdir()}
    assert names == {"last.pt", "previous.pt", "best.pt"}
