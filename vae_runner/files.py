"""Files that are either whole or not there: write aside, flush to the disk, rename."""

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae_runner.errors import RunError

__all__ = ["hold", "locked", "read_json", "write_atomically", "write_json"]


def write_atomically(path: str | Path, data: bytes) -> None:
    """Replace `path` by `data`; a reader, or a kill at any instant, finds the old file or the new one, never a part.

    Raises `RunError` where the disk is full, in one line.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"no space left on {path.parent} writing {path.name}") from error
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
    _sync_folder(path.parent)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as readable JSON, atomically."""
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=True) + "\n").encode())


def read_json(path: str | Path) -> dict[str, Any]:
    """The content of a JSON file, empty where there is no such file or it holds something else."""
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """A rename lasts through a power cut only once its folder has been flushed too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
