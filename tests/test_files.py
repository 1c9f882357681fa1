import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vae_runner import files
from vae_runner.errors import RunError
from vae_runner.files import keep_as, locked, read_json, remove_leftovers, write_atomically, write_json


def refusal(number: int, words: str) -> Callable[..., None]:
    def refuse(*args: Any) -> None:
        raise OSError(number, words)

    return refuse


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

    monkeypatch.setattr(os, "fsync", refusal(errno.ENOSPC, "No space left on device"))
    with pytest.raises(RunError, match=r"no space left on .* writing a\.txt"):
        write_atomically(file, b"two")
    assert file.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_one_thread_writes_is_no_leftover_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, tidied = threading.Event(), threading.Event()
    replace = Path.replace

    def slowly(path: Path, target: Path) -> Path:
        begun.set()
        assert tidied.wait(60)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", slowly)
    for write in (lambda: write_atomically(tmp_path / "a", b"new"), lambda: keep_as(tmp_path / "a", tmp_path / "b")):
        begun.clear(), tidied.clear()
        writer = threading.Thread(target=write)
        writer.start()
        assert begun.wait(60)
        remove_leftovers(tmp_path)
        tidied.set()
        writer.join()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new", "b": b"new"}


def test_what_this_process_number_left_in_an_earlier_life_is_taken_away(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"")
    begun = f".a.{os.getpid()}-{files._HOST}"
    for name in (f"{begun}-0.tmp", f"{begun}-abcdefgh.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_second_name_keeps_what_the_file_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", refusal(errno.EPERM, "Operation not permitted"))
    for content in (b"one", b"two", b"two"):
        write_atomically(tmp_path / "a", content)
        keep_as(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == content
    keep_as(tmp_path / "a", tmp_path / "b")  # both name one file already
    write_atomically(tmp_path / "a", b"three")
    assert (tmp_path / "b").read_bytes() == b"two"
    with open(tmp_path / "b", "rb") as reader:  # who has the old file finds it whole
        keep_as(tmp_path / "a", tmp_path / "b")
        assert reader.read() == b"two"
    assert (tmp_path / "b").read_bytes() == b"three"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_no_room_for_a_second_name_keeps_the_old_one_and_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    monkeypatch.setattr(os, "link", refusal(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(shutil, "copyfile", refusal(errno.ENOSPC, "No space left on device"))
    with pytest.raises(RunError, match=r"no space left on .* writing b$"):
        keep_as(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}
    (tmp_path / "b.json").write_text("{")
    assert read_json(tmp_path / "b.json") == read_json(tmp_path / "c.json") == {}
    (tmp_path / "d.json").write_text("[" * 100_000)  # deeper than Python goes
    (tmp_path / "e.json").write_bytes(b"\xff")
    assert read_json(tmp_path / "d.json") == read_json(tmp_path / "e.json") == {}


def test_a_file_has_the_mode_that_any_new_one_has(tmp_path: Path) -> None:
    code = "import os; os.umask(0o027); from vae_runner.files import write_atomically; write_atomically('a', b'')"
    subprocess.run([sys.executable, "-c", code + "; open('b', 'w')"], cwd=tmp_path, check=True)
    assert oct((tmp_path / "a").stat().st_mode) == oct((tmp_path / "b").stat().st_mode) == "0o100640"


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


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("happening", ["removed", "replaced", "removed with its folder"])
def test_a_lock_on_a_file_that_is_gone_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool, happening: str
) -> None:
    """Between its opening and its locking somebody takes the file away."""
    file, flock, times = tmp_path / "run" / "lock", fcntl.flock, []

    def locking(handle: int, how: int) -> None:
        times.append(how)
        if len(times) == 1:
            file.unlink()
            if happening == "replaced":
                file.touch()
            if happening == "removed with its folder":
                file.parent.rmdir()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", locking)
    with locked(file, wait=wait) as free:
        assert free
        assert len(times) == 2
        with locked(file, wait=False) as other:  # what is there now is what is held
            assert not other
