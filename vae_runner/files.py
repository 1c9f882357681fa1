"""Files that are either whole or not there: write aside, flush to the disk, rename; and logs that grow by whole lines.

What a kill leaves aside, `.NAME.PID-RANDOM.tmp`, is known by its process, which is gone, and taken away at the next
start.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae_runner.errors import RunError
from vae_runner.foreign import LOADER, has_aliases, json_object, read_json

__all__ = ["LOADER", "append", "flush", "has_aliases", "hold", "is_alive", "json_object", "keep_as", "locked"]
__all__ += ["read_json", "remove_leftovers", "write_atomically", "write_json"]

_UMASK = os.umask(0o077)  # asked once, for to ask is to set it, for all threads
os.umask(_UMASK)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Replace `path` by `data`; a reader, or a kill at any instant, finds the old file or the new one, never a part.

    Raises `RunError` where it cannot be written, in one line.
    """
    path = Path(path)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}-", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o666 & ~_UMASK)
            os.replace(aside, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
        flush(path.parent)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as readable JSON, atomically."""
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=True) + "\n").encode())


def append(path: str | Path, text: str) -> None:
    """Let a file grow by whole lines. Raises `RunError` where they cannot be written; then nothing of them is there."""
    path = Path(path)
    with _told(path), open(path, "ab", buffering=0) as file:
        begun, data = os.fstat(file.fileno()).st_size, memoryview(text.encode())
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), begun)
            raise


def keep_as(path: str | Path, name: str | Path) -> None:
    """Give a file a second name in its folder, atomically: by a hard link, or a copy where the file system has none.

    Raises `RunError` where it cannot be had, in one line.
    """
    name = Path(name)
    aside = name.with_name(f".{name.name}.{os.getpid()}-0.tmp")
    with _told(name):
        aside.unlink(missing_ok=True)
        try:
            try:
                os.link(path, aside)
            except OSError:
                shutil.copyfile(path, aside)
            os.replace(aside, name)
        finally:  # the rename does nothing where a kill has left both names to the same file
            aside.unlink(missing_ok=True)


def flush(path: str | Path) -> None:
    """Have on the disk what was written to the file, or renamed in the folder: a power cut takes only what was not."""
    with _told(Path(path)):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Take away what `write_atomically` had begun below `folder` in processes that are gone."""
    for file in folder.rglob(".*.tmp"):
        process = file.name.split(".")[-2].partition("-")[0]
        is_own = process == str(os.getpid())  # what this one writes now, it has not begun before
        if process.isdigit() and (is_own or not is_alive(int(process))):
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: str | Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path` among processes of this machine; yields False where another holds it and `wait` is off.

    The lock goes with the process, so a killed one leaves none behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def hold(path: str | Path) -> int:
    """Share the lock of a file with others who hold it, so that none of them gets it alone (`locked`).

    Returns a descriptor; closing it lets go. Raises `BlockingIOError` where another process has it alone.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system refuses inside is said in one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"no space left on {path.parent} writing {path.name}") from error
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def is_alive(process: int) -> bool:
    """Whether there is such a process on this machine, and it has not ended."""
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Whether the process has ended and nobody has asked how: where init reaps no orphans, as in many containers."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return False
