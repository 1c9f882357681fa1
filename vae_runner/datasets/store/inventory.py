"""The prepared stores of a cache folder: what there is, and what is removed again.

A store that is in use is never removed: whoever reads one holds a shared lock on its pixels, whoever prepares one holds
the lock of its name, and both go with their processes. A removal needs the two locks for itself alone.
"""

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from vae_runner.datasets.store.stored_rows import INDEX, PIXELS
from vae_runner.files import locked, read_json

__all__ = ["PreparedStore", "list_stores", "remove_store"]

_DAY = 24 * 3600  # seconds


@dataclass(frozen=True)
class PreparedStore:
    """One store. `images` and `source`, the folder or zip they came from, are None where it was not finished.

    Example:
        >>> Path("cache/images-a").mkdir(parents=True)
        >>> store = list_stores(Path("cache"))[0]
        >>> store.key, store.size, store.images  # nothing was finished
        ('a', 0, None)
    """

    path: Path
    key: str
    size: int  # bytes on the disk
    images: int | None
    used: float  # seconds since the epoch, when it was last opened
    source: str | None

    @property
    def idle_days(self) -> float:
        """Days since a run has last used it."""
        return max(time.time() - self.used, 0) / _DAY


def list_stores(cache: Path) -> list[PreparedStore]:
    """Returns those in the folder, the one used last first."""
    found = [_look(path) for path in cache.glob("images-*") if path.is_dir()]
    return sorted(found, key=lambda stored: -stored.used)


def remove_store(stored: PreparedStore) -> bool:
    """Remove it from the disk; returns False where a process prepares or reads it."""
    name = stored.path.name.removesuffix(".part")
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(locked(stored.path.with_name(f".{name}.lock"), wait=False)):
            return False
        pixels = stored.path / PIXELS
        if pixels.exists() and not stack.enter_context(locked(pixels, wait=False)):
            return False
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            shutil.rmtree(stored.path)
    return True


def _look(path: Path) -> PreparedStore:
    index = read_json(path / INDEX)
    files = [file.stat() for file in path.iterdir()]
    key = path.name.removeprefix("images-").removesuffix(".part")
    size = sum(512 * file.st_blocks for file in files)
    used = max((file.st_mtime for file in files), default=path.stat().st_mtime)
    return PreparedStore(path, key, size, index.get("count"), used, index.get("source"))
