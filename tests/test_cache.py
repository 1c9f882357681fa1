import hashlib
import logging
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vae_runner.datasets.store import cache
from vae_runner.datasets.store.cache import cached_array
from vae_runner.errors import RunError
from vae_runner.paths import cache_dir

ARRAY = np.arange(6000, dtype=np.uint8).reshape(100, 60)
SHA256 = hashlib.sha256(ARRAY.tobytes()).hexdigest()


class Maker:
    """Makes the array and counts how often it was asked."""

    def __init__(self, array: np.ndarray = ARRAY) -> None:
        self.array = array
        self.calls = 0

    def __call__(self) -> np.ndarray:
        self.calls += 1
        return self.array.copy()


def test_an_array_is_made_once_and_comes_back_equal_and_writable(tmp_path: Path) -> None:
    make = Maker()
    arrays = [cached_array(tmp_path / "new" / "folder", "a", make, SHA256) for _ in range(3)]
    assert make.calls == 1
    for array in arrays:
        np.testing.assert_array_equal(array, ARRAY)
        assert array.dtype == ARRAY.dtype
        assert array.flags.writeable


def test_the_digest_is_the_sha256_of_the_elements() -> None:
    assert cache.digest(ARRAY) == SHA256
    assert cache.digest(np.asfortranarray(ARRAY)) == SHA256


def truncated(file: bytes) -> bytes:
    return file[: len(file) // 2]


def emptied(file: bytes) -> bytes:
    return b""


def with_a_flipped_bit(file: bytes) -> bytes:
    return file[:200] + bytes([file[200] ^ 1]) + file[201:]


def with_another_checksum(file: bytes) -> bytes:
    return b"0" * 64 + file[64:]


@pytest.mark.parametrize("damaged", [truncated, emptied, with_a_flipped_bit, with_another_checksum])
def test_a_damaged_file_is_made_again_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: Callable[[bytes], bytes]
) -> None:
    make, path = Maker(), tmp_path / "a"
    cached_array(tmp_path, "a", make)
    path.write_bytes(damaged(path.read_bytes()))
    for _ in range(2):
        np.testing.assert_array_equal(cached_array(tmp_path, "a", make), ARRAY)
    assert make.calls == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{path} cannot be used (")
    assert "\n" not in record.getMessage()


def test_a_file_with_another_content_than_expected_is_made_again(tmp_path: Path) -> None:
    cached_array(tmp_path, "a", Maker(ARRAY + 1))
    make = Maker()
    np.testing.assert_array_equal(cached_array(tmp_path, "a", make, SHA256), ARRAY)
    assert make.calls == 1


def test_an_array_made_with_another_content_than_expected_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"a came out with sha256 [0-9a-f]+, expected {SHA256}"):
        cached_array(tmp_path, "a", Maker(ARRAY + 1), SHA256)
    assert not (tmp_path / "a").exists()


def test_objects_that_would_need_a_pickle_are_refused(tmp_path: Path) -> None:
    objects = np.array([{}], dtype=object)
    with pytest.raises(ValueError, match="pickle"):
        cached_array(tmp_path, "a", lambda: objects)


def test_a_folder_that_cannot_be_written_costs_the_cache_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    np.testing.assert_array_equal(cached_array(tmp_path / "file" / "folder", "a", Maker()), ARRAY)
    (record,) = caplog.records
    assert record.getMessage() == f"no cache in {tmp_path / 'file' / 'folder'} (Not a directory): going on without"


def test_a_full_disk_costs_the_cache_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise RunError("no space left on /disk writing a")

    monkeypatch.setattr(cache, "write_atomically", full)
    np.testing.assert_array_equal(cached_array(tmp_path, "a", Maker()), ARRAY)
    (record,) = caplog.records
    assert "cannot be kept (no space left on /disk writing a)" in record.getMessage()


def ask_for_a_slow_array(folder: Path, barrier: "multiprocessing.synchronize.Barrier") -> None:
    def make() -> np.ndarray:
        with open(folder / "calls", "a") as calls:
            calls.write("made\n")
        time.sleep(0.5)
        return ARRAY

    barrier.wait()
    np.testing.assert_array_equal(cached_array(folder, "a", make), ARRAY)


@pytest.mark.slow
def test_of_two_processes_that_ask_at_once_one_makes_the_array(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [context.Process(target=ask_for_a_slow_array, args=(tmp_path, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
        process.close()
    assert (tmp_path / "calls").read_text() == "made\n"


def test_the_cache_folder_is_the_given_one_or_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir("~/given") == Path("/home/someone/given")
    assert cache_dir() == Path("/home/someone/.cache/vae_runner")
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert cache_dir() == Path("/scratch/vae_runner")
