import errno
import hashlib
import io
import os
import random
import signal
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from vae_runner import checkpoint
from vae_runner.checkpoint import (
    BrokenCheckpointError,
    _Seal,
    load_checkpoint,
    load_latest,
    save_checkpoint,
    save_latest,
)
from vae_runner.errors import RunError, UserError

CONTENT = {"step": 3, "weights": torch.arange(5.0), "nested": {"list": [1, None, "a", 2.5]}}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", CONTENT)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded["nested"] == CONTENT["nested"]
    assert torch.equal(loaded["weights"], CONTENT["weights"])


def test_a_checkpoint_is_an_ordinary_torch_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", CONTENT)
    assert torch.load(tmp_path / "a.pt", weights_only=True)["step"] == 3
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert archive.testzip() is None


class Watched:
    """A file that is told of each piece before it takes it."""

    def __init__(self, file: BinaryIO, before: Callable[[bytes], None]) -> None:
        self.file, self.before = file, before

    def write(self, data: bytes) -> int:
        self.before(data)
        return self.file.write(data)


LENGTHS = [20 + 700 * (number % 3) for number in range(12)]  # some are pieces by themselves
MANY = {f"w{number}": torch.randn(length, 400) for number, length in enumerate(LENGTHS)}
BYTES = sum(values.nbytes for values in MANY.values())


@pytest.mark.parametrize("content", [CONTENT, MANY, {"one": MANY["w1"]}, {}])
def test_it_is_torchs_own_archive_with_a_digest_of_all_that_is_before_it(tmp_path: Path, content: dict) -> None:
    save_checkpoint(tmp_path / "a.pt", content)
    plain = io.BytesIO()
    torch.save(content, plain)
    archive, digest = (tmp_path / "a.pt").read_bytes()[:-64], (tmp_path / "a.pt").read_bytes()[-64:]
    assert archive == plain.getvalue()[:-2] + b"\x40\x00"
    assert digest == hashlib.sha256(archive).hexdigest().encode()


def seal_through(before: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def seal(file: BinaryIO, threads: ThreadPoolExecutor) -> _Seal:
        return _Seal(Watched(file, before), threads)

    monkeypatch.setattr(checkpoint, "_Seal", seal)


@pytest.mark.parametrize("room", [0, 10, 2_000_000, BYTES - 10, BYTES + 1000, BYTES + 2500])
def test_a_full_disk_is_told_as_such_wherever_it_stops_the_writing(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [room]

    def fill(data: bytes) -> None:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    save_checkpoint(tmp_path / "last.pt", CONTENT)
    seal_through(fill, monkeypatch)
    with pytest.raises(RunError, match="no space left on"):
        save_checkpoint(tmp_path / "last.pt", MANY)
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("piece", [0, 1, 2, 7])
def test_a_signal_while_it_is_written_is_not_lost(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def interrupt(data: bytes) -> None:
        written.append(len(data))
        if len(written) == piece + 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    save_checkpoint(tmp_path / "last.pt", CONTENT)
    seal_through(interrupt, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "last.pt", MANY)
    assert sum(written) < BYTES  # it did not go on to the end
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    save_checkpoint(file, CONTENT)
    data = file.read_bytes()
    generator = random.Random(0)
    for _ in range(100):
        position = generator.randrange(len(data))
        broken = bytearray(data)
        broken[position] ^= 1 << generator.randrange(8)
        file.write_bytes(broken)
        with pytest.raises(BrokenCheckpointError):
            load_checkpoint(file)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    save_checkpoint(file, CONTENT)
    data = file.read_bytes()
    for length in [*range(0, len(data), 97), len(data) - 1]:
        file.write_bytes(data[:length])
        with pytest.raises(BrokenCheckpointError):
            load_checkpoint(file)


def test_a_broken_last_falls_back_to_previous(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_latest(tmp_path, {"step": 4000})
    save_latest(tmp_path, {"step": 5000})
    assert load_latest(tmp_path)["step"] == 5000
    (tmp_path / "last.pt").write_bytes(b"nonsense")
    assert load_latest(tmp_path)["step"] == 4000
    save_latest(tmp_path, {"step": 6000})  # must not put the broken file in the place of the whole one
    assert load_checkpoint(tmp_path / "previous.pt")["step"] == 4000
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 6000
    assert (tmp_path / "last.broken.pt").read_bytes() == b"nonsense"
    assert "last.pt is not a complete checkpoint; going on from previous.pt (step 4,000)" in caplog.text


def test_without_a_whole_checkpoint_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"last\.pt does not exist, and there is no complete previous\.pt"):
        load_latest(tmp_path)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    save_checkpoint(tmp_path / "a.pt", {"trap": Trap()})
    with pytest.raises(UserError, match=r"a\.pt holds more than numbers, texts and tensors, and is not read"):
        load_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()
