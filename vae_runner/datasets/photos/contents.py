"""What the files of a set contain: a checksum of each, and how bright those of more than 8 bits are.

Names and sizes stay as they are when an image is exchanged for another, and times can be set back; the bytes cannot.
So the mark of a set is a hash of the CRC-32 of every file, noted as files are read for the first time, whatever for,
and of a zip, whose directory has them, without reading. What is known of a file is kept in the cache folder and holds
as long as its size, and the times of the last change of its content and of anything about it, are the same; the last
one no program can choose. What was touched just before it was read is not kept, since it could change once more
within the same tick of the clock. So a later start reads only what is new.
"""

import contextlib
import hashlib
import io
import logging
import os
import time
import zipfile
import zlib
from array import array
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vae_runner.datasets.reading.depth import FLAT, Depth
from vae_runner.datasets.reading.imaging import readable
from vae_runner.datasets.reading.listing import Entry, open_regular
from vae_runner.datasets.reading.parallel import attempt_all
from vae_runner.datasets.reading.source import Source, ZipSource
from vae_runner.errors import RunError
from vae_runner.files import remove_leftovers, write_atomically

__all__ = ["Contents", "Depths"]

_TICK = 2_000_000_000  # ns, of the coarsest clock of a file system
_GONE = -1  # of a file that cannot be read

logger = logging.getLogger("vae_runner")


class Depths(NamedTuple):
    """How many files of more than 8 bits take `white` for white, and their darkest and brightest values.

    Example:
        >>> Depths(count=2, low=0.0, high=4095.0, white=65535.0).high  # 12 bits in 16
        4095.0
    """

    count: int
    low: float
    high: float
    white: float


class Contents:
    """What is known of the files of `source`, and kept in the folder `cache`.

    Example:
        >>> from vae_runner.datasets.reading.source import FolderSource
        >>> Path("scans").mkdir()
        >>> _ = Path("scans/a.png").write_bytes(b"its bytes")
        >>> source = FolderSource("scans", [".png"])
        >>> len(Contents(source, Path("cache")).mark(source.entries))
        64
    """

    def __init__(self, source: Source, cache: Path) -> None:
        self.source = source
        place = hashlib.sha256(os.fsencode(source.root.resolve())).hexdigest()
        self._file = cache / f"contents-{place[:32]}.npz"
        self._crc: dict[str, int] = {}
        self._depth: dict[str, Depth] = {}
        self._is_read = self._is_new = False
        self._began = 0  # ns

    def knows(self, entry: Entry) -> Depth | None:
        """Returns how bright the file is, where nothing new is to be learned from it; else None."""
        self.recall()
        is_read = isinstance(self.source, ZipSource) or entry.name in self._crc
        return self._depth.get(entry.name) if is_read else None

    def open(self, entry: Entry) -> BinaryIO:
        """As `Source.open`, and note what is read."""
        if self.knows(entry) is not None or isinstance(self.source, ZipSource):
            return self.source.open(entry)
        with self.source.open(entry) as file:
            data = file.read()
        self._crc[entry.name] = zlib.crc32(data)
        return io.BytesIO(data)

    def note(self, entry: Entry, depth: Depth) -> None:
        """Note how bright the file is that was decoded; `FLAT` where it has 8 bits."""
        self._is_new |= entry.name not in self._depth
        self._depth[entry.name] = depth

    def mark(self, entries: Sequence[Entry]) -> str:
        """Returns a hash of the names, sizes and checksums of the files, the same wherever they are, in hex.

        Files that were not read yet are read now, side by side.
        """
        self.recall()
        if isinstance(self.source, ZipSource):
            checksums = [entry.stamp for entry in entries]
        else:
            unread = [entry for entry in entries if entry.name not in self._crc]
            attempt_all(lambda position: self._checksum(unread[position]), len(unread))
            checksums = [self._crc.get(entry.name, _GONE) for entry in entries]
            self._is_new |= bool(unread)
        self._keep()
        names = "\0".join([entry.name for entry in entries]).encode("utf-8", "surrogateescape")
        numbers = array("q", [entry.size for entry in entries]) + array("q", checksums)
        return hashlib.sha256(names + b"\0\0" + numbers.tobytes()).hexdigest()

    def depths(self, entries: Sequence[Entry]) -> list[Depths]:
        """Returns what is known of the files of more than 8 bits that were ever decoded; by their white."""
        groups: defaultdict[float, list[Depth]] = defaultdict(list)
        for entry in entries:
            if (depth := self._depth.get(entry.name, FLAT)) is not FLAT:
                groups[depth.white].append(depth)
        return [
            Depths(len(group), min(depth.low for depth in group), max(depth.high for depth in group), white)
            for white, group in groups.items()
        ]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_crc": {}, "_depth": {}, "_is_read": False}

    def _checksum(self, entry: Entry) -> None:
        with readable(self.source.location(entry)), self.source.open(entry) as file:
            self._crc[entry.name] = zlib.crc32(file.read())

    def recall(self) -> None:
        """Take over what earlier starts have learned of files that are as they were."""
        if self._is_read:
            return
        self._is_read, self._began = True, time.time_ns()
        damage = (OSError, ValueError, TypeError, LookupError, EOFError, zipfile.BadZipFile)  # files are read again
        with contextlib.suppress(*damage), open_regular(self._file) as file, np.load(file) as kept:
            names = kept["names"].tobytes().decode("utf-8", "surrogateescape").split("\0")
            place = dict(zip(names, range(len(names)), strict=True))
            at = np.array([place.get(entry.name, -1) for entry in self.source.entries])
            # of CelebA's 202,599 files: whole columns at a time, for a start waits for it
            same = (at >= 0) & (kept["times"][at] == _times(self.source.entries)).all(1)
            found = [self.source.entries[position].name for position in np.flatnonzero(same).tolist()]
            crc, depth = kept["crc"][at[same]].tolist(), kept["depth"][at[same]]
            self._crc |= dict(zip(found, crc, strict=True))
            self._depth |= dict.fromkeys(found, FLAT)
            for position in np.flatnonzero(depth[:, 2]).tolist():
                self._depth[found[position]] = Depth(*depth[position].tolist())

    def _keep(self) -> None:
        """For the next start; where it cannot be kept, that start reads the files once more."""
        entries = [entry for entry in self.source.entries if self._is_settled(entry)] if self._is_new else []
        self._is_new = False
        if not entries:
            return
        names = "\0".join([entry.name for entry in entries]).encode("utf-8", "surrogateescape")
        packed = io.BytesIO()
        np.savez(
            packed,
            names=np.frombuffer(names, np.uint8),
            times=_times(entries),
            crc=np.array([self._crc.get(entry.name, 0) for entry in entries], np.int64),
            depth=np.array([self._depth[entry.name] for entry in entries], np.float64),
        )
        try:
            remove_leftovers(self._file.parent)
            write_atomically(self._file, packed.getvalue())
        except (RunError, OSError) as error:
            logger.info("what the files contain is not kept for the next start: %s", error)

    def _is_settled(self, entry: Entry) -> bool:
        """Whether all is known of the file, and a change from now on would show in its times."""
        if isinstance(self.source, ZipSource):
            return entry.name in self._depth
        return entry.name in self._depth and entry.name in self._crc and entry.touched < self._began - _TICK


def _times(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Size, stamp and time of the last touch of each, (N, 3)."""
    return np.array([entry[1:] for entry in entries], np.int64)
