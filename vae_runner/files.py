"""Files that are either whole or not there: write aside, flush to the disk, rename; and logs that grow by whole lines.

What a kill leaves aside, `.NAME.PID-HOST-RANDOM.tmp`, is known by its process, which is gone, and taken away at the
next start.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from vae_runner.errors import RunError
from vae_runner.foreign import LOADER, has_aliases, json_object, read_json

__all__ = ["LOADER", "append", "aside", "flush", "has_aliases", "is_alive", "is_aside", "share_lock"]
__all__ += ["is_full", "json_object", "keep_as", "locked", "read_json", "refusals_told", "remove_leftovers"]
__all__ += ["write_atomically", "write_json", "writing_atomically"]

_UMASK = os.umask(0o077)  # asked once, for to ask is to set it, for all threads
os.umask(_UMASK)
# What is written aside: by which process of which host (a digest, so that host names of any length and letters do).
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_ASIDE = re.compile(r"\..+\.(?P<process>\d{1,10})-(?P<host>[0-9a-f]{8})-(0|[a-z0-9_]{8})\.tmp", re.DOTALL | re.ASCII)
_in_use: set[str] = set()  # names that this process is writing aside, so that none of its threads takes them for left
_lock = threading.Lock()  # of these, and of what is taken away
_ABANDONED = 24 * 3600  # seconds, after which nobody on another host is still writing a file


def write_atomically(path: str | Path, data: bytes) -> None:
    """Replace `path` by `data`; a reader, or a kill at any instant, finds the old file or the new one, never a part.

    Raises `RunError` where it cannot be written, in one line.
    """
    with writing_atomically(path) as file:
        file.write(data)


@contextlib.contextmanager
def writing_atomically(path: str | Path) -> Iterator[BinaryIO]:
    """As `write_atomically`, for what is written piece by piece: `path` is replaced at the end of the block."""
    path = Path(path)
    with refusals_told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock:
            prefix = f".{path.name}.{os.getpid()}-{_HOST}-"
            handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
            _in_use.add(Path(name).name)
        with _in_use_until_gone(Path(name)) as other:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            other.chmod(0o666 & ~_UMASK)
            other.replace(path)
        flush(path.parent)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as readable JSON, atomically."""
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=True) + "\n").encode())


def append(path: str | Path, text: str) -> None:
    """Let a file grow by whole lines. Raises `RunError` where they cannot be written; then nothing of them is there."""
    path = Path(path)
    with refusals_told(path), path.open("ab", buffering=0) as file:
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
    with refusals_told(name), aside(name) as other:  # the rename does nothing where both are names of the same file
        other.unlink(missing_ok=True)
        try:
            os.link(path, other)
        except OSError:
            shutil.copyfile(path, other)
        other.replace(name)


def flush(path: str | Path) -> None:
    """Have on the disk what was written to the file, or renamed in the folder: a power cut takes only what was not."""
    with refusals_told(Path(path)):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Where this process may prepare what is then renamed to `path`; nothing of that name is left behind."""
    other = path.with_name(f".{path.name}.{os.getpid()}-{_HOST}-0.tmp")
    with _lock:
        _in_use.add(other.name)
    with _in_use_until_gone(other):
        yield other


@contextlib.contextmanager
def _in_use_until_gone(other: Path) -> Iterator[Path]:
    try:
        yield other
    finally:
        with _lock:
            _in_use.discard(other.name)
            other.unlink(missing_ok=True)


def is_aside(name: str) -> bool:
    """Whether a file of that name is one that this program has begun to write aside, on whatever machine."""
    return _ASIDE.fullmatch(name) is not None


def remove_leftovers(folder: Path, below: Sequence[str] = ()) -> None:
    """Take away what this program had begun to write in the folder, and in those `below`, in processes that are gone.

    What is in any other folder, behind a link, or under a name of any other pattern, is somebody else's.
    """
    for place in (folder, *(folder / name for name in below if not _is_behind_a_link(folder, Path(name)))):
        with contextlib.suppress(OSError):  # there is no such folder, or it cannot be written to
            for file in list(place.iterdir()):
                with _lock:
                    if _is_leftover(file):
                        file.unlink(missing_ok=True)


def _is_behind_a_link(folder: Path, below: Path) -> bool:
    return any((folder / part).is_symlink() for part in (below, *below.parents[:-1]))


def _is_leftover(file: Path) -> bool:
    found = _ASIDE.fullmatch(file.name)
    if found is None:
        return False
    try:
        status = file.lstat()
    except FileNotFoundError:
        return False
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return False
    if found["host"] != _HOST:  # its processes cannot be asked from here
        return time.time() - status.st_mtime > _ABANDONED
    process = int(found["process"])
    return file.name not in _in_use if process == os.getpid() else not is_alive(process)


@contextlib.contextmanager
def locked(path: str | Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path` among processes of this machine; yields False where another holds it and `wait` is off.

    The lock goes with the process, so a killed one leaves none behind. A file that was removed, or replaced, between
    its opening and its locking is no lock: the one that is there now is taken. Who holds it may remove it. Raises
    `OSError` where it cannot be had; a link, a pipe or a folder of that name is none.
    """
    while True:
        handle = _open_lock(Path(path))
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            if _is_there(handle, path):
                yield True
                return
        finally:
            os.close(handle)


def _open_lock(path: Path) -> int:
    """Raises `OSError` where it is no plain file: who holds the lock writes his name into it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # its holder has taken away the folder meanwhile
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise FileExistsError(errno.EEXIST, f"{path.name} is not a plain file", str(path))
            return handle


def _is_there(handle: int, path: str | Path) -> bool:
    """Whether the open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def share_lock(path: str | Path) -> int:
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


def is_full(error: OSError) -> bool:
    """Whether there is no room: on the disk, among its files, or within what the user is granted."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def refusals_told(path: Path) -> Iterator[None]:
    """What the system refuses inside, writing `path`, is said in one line, a `RunError`."""
    try:
        yield
    except OSError as error:
        if is_full(error):
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
