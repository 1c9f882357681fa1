"""Checkpoint files: plain containers and tensors, whole or not there, and known to be whole when they are read.

A checkpoint is what `torch.save` writes, a zip archive, with the SHA-256 of all bytes before it as the archive's
comment: so `torch.load(file, weights_only=True)` reads it like any other, and one flipped bit is noticed.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import torch

from vae_runner.errors import UserError
from vae_runner.files import keep_as, writing_atomically
from vae_runner.foreign import read_bytes
from vae_runner.runs.names import BROKEN, LAST, PREVIOUS
from vae_runner.text import plain
from vae_runner.torch_file import OddFileError, read_torch_file

__all__ = ["has_checkpoint", "load_checkpoint", "load_latest", "save_checkpoint", "save_latest"]

log = logging.getLogger(__name__)

COMMENT_LENGTH = 64  # hexadecimal digits of a SHA-256
NO_COMMENT = bytes(2)  # its length in an archive without one, which ends with it
PIECE = 1 << 20  # bytes that are hashed and written together, at least
LARGEST = 1 << 40  # bytes
Fault = Callable[[Any], str | None]  # what is wrong with a content, to be said behind the file's name


class BrokenCheckpointError(Exception):
    """The file is not a complete checkpoint."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (containers, numbers, strings, tensors) atomically, a tensor at a time."""
    # In a thread of its own: what a signal raises inside torch's writer would be lost there. Raised here, it shuts the
    # pool, which takes no further digest then: the writer ends with its next piece.
    with writing_atomically(path) as file, ThreadPoolExecutor(2) as threads:
        threads.submit(_Seal(file, threads).write_archive, content).result()


class _Seal:
    """A file for torch to write an archive to; a digest is taken on the way, and written behind it as its comment."""

    def __init__(self, file: BinaryIO, threads: ThreadPoolExecutor) -> None:
        self._file, self._threads, self._digest = file, threads, hashlib.sha256()
        self._held = bytearray()  # small pieces, and the last two bytes: the archive ends with its comment's length
        self._fault: OSError | None = None

    def write_archive(self, content: dict[str, Any]) -> None:
        """Write `content` and the digest. Raises `OSError` where the file does not take them."""
        try:
            torch.save(content, self)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise self._fault or error from None  # torch says of a full disk that it is at an unexpected place
        assert self._held.endswith(NO_COMMENT)
        self._put(self._held[: -len(NO_COMMENT)] + COMMENT_LENGTH.to_bytes(2, "little"))
        self._file.write(self._digest.hexdigest().encode())

    def write(self, data: bytes) -> int:
        """Take the next bytes of the archive."""
        if len(data) >= PIECE:
            self._put(self._held)
            self._put(memoryview(data)[: -len(NO_COMMENT)])
            self._held = bytearray(data[-len(NO_COMMENT) :])
        else:
            self._held += data
            if len(self._held) >= PIECE:
                self._put(self._held[: -len(NO_COMMENT)])
                del self._held[: -len(NO_COMMENT)]
        return len(data)

    def flush(self) -> None:
        """For torch, which asks for it: what is held is written in the end."""

    def _put(self, data: bytearray | memoryview) -> None:
        digest = self._threads.submit(self._digest.update, data)  # takes about as long as the writing
        try:
            self._file.write(data)
        except OSError as error:
            self._fault = error
            raise
        finally:
            digest.result()  # `data` is torch's, and gone behind this


def load_checkpoint(path: Path, fault: Fault = lambda content: None) -> dict[str, Any]:
    """Returns the content, tensors on the CPU; no code in the file is run.

    Raises `BrokenCheckpointError` where a byte is missing or changed, `UserError` where it is whole, but holds what no
    run wrote: code, compressed members, impossible tensors, containers without end, or what `fault` finds.
    """
    name = plain(path)
    try:
        data = read_bytes(path, LARGEST) if _is_sealed(path) else b""
    except FileNotFoundError as error:
        raise BrokenCheckpointError(f"{name} does not exist") from error
    except OSError as error:
        raise BrokenCheckpointError(f"{name} cannot be read ({error.strerror})") from error
    archive, digest = data[:-COMMENT_LENGTH], data[-COMMENT_LENGTH:]
    if hashlib.sha256(archive).hexdigest().encode() != digest:
        raise BrokenCheckpointError(f"{name} is not a complete checkpoint")
    try:
        content = read_torch_file(data)
    except OddFileError as error:
        raise UserError(f"{name} {error}") from error
    if wrong := fault(content):
        raise UserError(f"{name} {wrong}: no run wrote it so")
    return content


def _is_sealed(path: Path) -> bool:
    """Whether the end of a regular file can be a digest: one that is of another kind may be too large to be read."""
    if not path.is_file():
        return True  # `read_bytes` says what it is
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - COMMENT_LENGTH, 0))
        return file.read(COMMENT_LENGTH).isalnum()


def save_latest(folder: Path, content: dict[str, Any]) -> None:
    """Write `last.pt`; what was `last.pt` is kept as `previous.pt`. At every instant one of both is whole."""
    last = folder / LAST
    if last.exists():
        keep_as(last, folder / PREVIOUS)
    save_checkpoint(last, content)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has ever saved itself there, whole or not by now."""
    return any(os.path.exists(folder / name) for name in (LAST, PREVIOUS, BROKEN))


def load_latest(folder: Path, fault: Fault = lambda content: None) -> dict[str, Any]:
    """Returns `last.pt`, or `previous.pt`, with a warning, where the former is broken.

    A broken file is kept as `last.broken.pt`, so that it never takes the place of the whole one.

    Raises `UserError` where neither is whole.
    """
    try:
        return load_checkpoint(folder / LAST, fault)
    except BrokenCheckpointError as broken:
        try:
            content = load_checkpoint(folder / PREVIOUS, fault)
        except BrokenCheckpointError:
            raise UserError(f"{broken}, and there is no complete {PREVIOUS}: nothing to resume from") from broken
        with contextlib.suppress(FileNotFoundError):
            (folder / LAST).replace(folder / BROKEN)
        log.warning("%s; going on from %s (step %s)", broken, PREVIOUS, f"{content['step']:,}")
        return content
