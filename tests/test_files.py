import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vae_runner.errors import RunError
from vae_runner.files import locked, read_json, write_atomically, write_json


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.txt"
    write_atomically(file, b"one")
    write_atomically(file, b"two")
    assert file.read_bytes() == b"two"
    assert os.listdir(file.parent) == ["a.txt"]


def test_a_written_file_has_the_users_permissions(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_a_full_disk_keeps_the_old_file_and_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, b"one")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"no space left on .* writing a\.txt"):
        write_atomically(file, b"two")
    assert file.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}
    (tmp_path / "b.json").write_text("{")
    assert read_json(tmp_path / "b.json") == read_json(tmp_path / "c.json") == {}


def test_a_lock_is_held_against_other_processes_and_goes_with_them(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from vae_runner.files import locked\nwith locked({str(file)!r}):\n print('held', flush=True)\n input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with locked(file, wait=False) as free:
            assert not free
        holder.kill()
        holder.wait()
        with locked(file, wait=False) as free:
            assert free
