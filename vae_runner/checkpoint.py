"""Checkpoint files: plain containers and tensors, whole or not there, and known to be whole when they are read.

A checkpoint is what `torch.save` writes, a zip archive, with the SHA-256 of all bytes before it as the archive's
comment: so `torch.load(file, weights_only=True)` reads it like any other, and one flipped bit is noticed.
"""

import contextlib
import hashlib
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vae_runner.errors import UserError
from vae_runner.files import keep_as, write_atomically
from vae_runner.foreign import read_bytes
from vae_runner.runs.names import BROKEN, LAST, PREVIOUS
from vae_runner.text import plain
from vae_runner.torch_file import OddFileError, read_torch_file

__all__ = ["has_checkpoint", "load_checkpoint", "load_latest", "save_checkpoint", "save_latest"]

log = logging.getLogger(__name__)

COMMENT_LENGTH = 64  # hexadecimal digits of a SHA-256
LARGEST = 1 << 40  # bytes
Fault = Callable[[Any], str | None]  # what is wrong with a content, to be said behind the file's name


class BrokenCheckpointError(Exception):
    """The file is not a complete checkpoint."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (containers, numbers, strings, tensors) atomically."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    archive = buffer.getvalue()[:-2] + COMMENT_LENGTH.to_bytes(2, "little")  # the record ends with the comment's length
    write_atomically(path, archive + hashlib.sha256(archive).hexdigest().encode())


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
