"""The checksum of a file is remembered for as long as the file is as it was."""

import hashlib
import os
from pathlib import Path

import pytest

from vae_runner.datasets.store import known_digest as module
from vae_runner.datasets.store.known_digest import known_digest
from vae_runner.errors import UserError


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that has lain there for a while."""
    monkeypatch.setattr(module, "_TICK", -1)
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_it_is_the_sha256_and_a_second_start_does_not_read_the_file(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = hashlib.sha256(b"content").hexdigest()
    assert known_digest(old, tmp_path / "cache") == expected
    monkeypatch.setattr(module, "_PIECE", None)
    assert known_digest(old, tmp_path / "cache") == expected


def test_content_of_the_same_size_and_time_is_read_again(old: Path, tmp_path: Path) -> None:
    known_digest(old, tmp_path)
    status = old.stat()
    old.write_bytes(b"CONTENT")
    os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert known_digest(old, tmp_path) == hashlib.sha256(b"CONTENT").hexdigest()


def test_that_of_a_file_just_written_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    known_digest(tmp_path / "file", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_note_that_is_damaged_counts_for_nothing(old: Path, tmp_path: Path) -> None:
    known_digest(old, tmp_path)
    (note,) = tmp_path.glob("digest-*.json")
    for content in ("", "[]", '{"marks": 3}', note.read_text().replace('"sha256": "', '"sha256": 7, "x": "')):
        note.write_text(content)
        assert known_digest(old, tmp_path) == hashlib.sha256(b"content").hexdigest()


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nothing: No such file"):
        known_digest(tmp_path / "nothing", tmp_path)
