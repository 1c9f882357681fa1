"""The rows of a prepared store, read as they are asked for.

Each row is read on its own, with nothing around it, since the next one that is wanted lies elsewhere: of a set that is
larger than the memory, no more than that is fetched. Where rows are not in memory, the system is told of the whole
batch, and of those that come next, before it is waited for: a disk answers many questions at once in a quarter of the
time. Each block is checked when it is read for the first time, so that a start costs no pass over the data; a damaged
one is decoded again.
"""

import contextlib
import hashlib
import logging
import math
import os
import weakref
import zlib
from collections import deque
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_runner.datasets.reading.imaging import UnreadableImage
from vae_runner.datasets.reading.listing import printable
from vae_runner.datasets.store.pixel_rows import HostRows, MemoryRows, Rows, fits
from vae_runner.errors import RunError
from vae_runner.files import read_json, share_lock

__all__ = ["BLOCK", "INDEX", "PIXELS", "VERSION", "Bad", "Decode", "StoredRows", "decode_block", "write_block"]

BLOCK = 64  # rows that are checked, and after a kill made again, together
VERSION = 1  # of the format; that of the pixels is in the key
PIXELS, INDEX = "pixels.u8", "index.json"

_AHEAD = 8  # batches that were asked for last
_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)  # of preadv: an error where it would have to wait for the disk

Decode = Callable[[int], NDArray[np.uint8]]
Bad = dict[int, UnreadableImage]

logger = logging.getLogger("vae_runner")


class StoredRows(HostRows):
    """The rows of a finished store; `bad` has what is wrong with those that could not be read.

    Example:
        >>> from vae_runner.datasets.store.preparation import open_store
        >>> decode = lambda position: np.full((1, 2, 2), position, np.uint8)
        >>> rows = open_store(Path("cache"), "a", (1, 2, 2), 3, decode, "levels", lambda: "unchanged")
        >>> rows.gather(torch.tensor([2, 0]))[:, 0, 0, 0], sorted(file.name for file in rows.path.iterdir())
        (tensor([2, 0], dtype=torch.uint8), ['index.json', 'pixels.u8'])
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], count: int, decode: Decode) -> None:
        index = read_json(path / INDEX)
        if [index.get(name) for name in ("version", "count", "shape")] != [VERSION, count, list(shape)]:
            raise ValueError("its index is damaged")
        super().__init__(count, shape)
        self.path = path
        self.content: str | None = index.get("content")  # a hash of the files that it was made of
        self._file = share_lock(path / PIXELS)  # nobody removes it meanwhile
        weakref.finalize(self, os.close, self._file)
        if hasattr(os, "posix_fadvise"):  # else a set larger than memory costs ten times what is wanted of it
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)
        self.bad = _bad_from(index["bad"])
        self._crc, self._sha256 = index["crc32"], index["sha256"]
        self._total = count  # with those that could not be read
        self._keep = np.arange(count)
        self._decode = decode
        self._on_disk = False  # whether rows were met that the system did not keep in memory
        self._fetched: deque[bytes] = deque(maxlen=_AHEAD)
        self._seen = np.zeros(math.ceil(count / BLOCK), dtype=bool)  # blocks whose checksums were found right
        if (path / PIXELS).stat().st_size != count * math.prod(shape) or len(self._crc) != len(self._seen):
            raise ValueError("its size is wrong")
        with contextlib.suppress(OSError):  # a cache that others have made
            os.utime(path / INDEX)  # its time is that of the last use

    def leave_out_bad(self) -> "StoredRows":
        """Leave out the rows of files that could not be read; returns self."""
        self._keep = np.array([position for position in range(self._total) if position not in self.bad])
        self.count = len(self._keep)
        return self

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        wanted = self._keep[positions]
        if not self._seen.all():
            for block in np.unique(wanted // BLOCK):
                if not self._seen[block]:
                    self._check(int(block))
        pixels = np.empty((len(wanted), *self.shape), np.uint8)
        done = self._fill(pixels, wanted, _NO_WAIT)
        if done < len(wanted):  # not all of them are in memory, or the file system cannot tell
            self._on_disk = True
            self._fetch(wanted)
            self._fill(pixels[done:], wanted[done:])
        return pixels

    def expect(self, positions: Tensor) -> None:
        """Where rows had to come from the disk, have the system read these meanwhile."""
        if self._on_disk:
            self._fetch(self._keep[positions.cpu().numpy()])

    def to(self, device: torch.device | str) -> Rows:
        """Returns the rows themselves, or on a GPU with room for them those that are kept there."""
        super().to(device)
        if not fits(self.count * math.prod(self.shape), self.device):
            return self
        pixels = torch.empty((self.count, *self.shape), dtype=torch.uint8, device=self.device)
        for part in np.array_split(np.arange(self.count), math.ceil(self.count / 4096)):
            pixels[part[0] : part[-1] + 1] = torch.from_numpy(self.read(part)).to(self.device)
        return MemoryRows(pixels)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the SHA-256s of all blocks."""
        return hashlib.sha256("".join(self._sha256).encode()).hexdigest()

    def _fill(self, pixels: NDArray[np.uint8], places: NDArray[np.int64], flags: int = 0) -> int:
        """Fill `pixels` (B, C, H, W) with the rows at `places`; returns how many were read before `flags` forbade it.

        Of a memory map, each page would cost a fault.
        """
        size, done = math.prod(self.shape), 0
        try:
            # a call for each row, which is the one buffer of it, and as little as can be around the calls
            for count in map(os.preadv, repeat(self._file), zip(pixels), (places * size).tolist(), repeat(flags)):
                if count != size:
                    if flags:
                        break
                    self._read(pixels[done], int(places[done]))
                done += 1
        except OSError:
            if not flags:
                raise
        return done

    def _fetch(self, places: NDArray[np.int64]) -> None:
        """Have all of these rows read at once, unless that was asked for already; it does not wait for them."""
        if not hasattr(os, "posix_fadvise") or (batch := places.tobytes()) in self._fetched:
            return
        self._fetched.append(batch)
        size = math.prod(self.shape)
        for start in (places * size).tolist():
            os.posix_fadvise(self._file, start, size, os.POSIX_FADV_WILLNEED)

    def _read(self, pixels: NDArray[np.uint8], place: int) -> None:
        """Fill `pixels` with the rows from `place` on."""
        rest, start = memoryview(pixels).cast("B"), place * math.prod(self.shape)
        while rest:
            count = os.preadv(self._file, [rest], start)  # at most 2 GB at once
            if count == 0:
                raise RunError(f"{self.path} has become shorter: remove that folder")
            rest, start = rest[count:], start + count

    def _check(self, block: int) -> None:
        """Raises `RunError` where a damaged block cannot be made again."""
        rows = np.empty((min(BLOCK, self._total - block * BLOCK), *self.shape), np.uint8)
        self._read(rows, block * BLOCK)
        if zlib.crc32(rows) != self._crc[block]:
            logger.warning("%s is damaged in block %d: decoding it again", self.path, block)
            made, _ = decode_block(block, self._total, self.shape, self._decode)
            if zlib.crc32(made) != self._crc[block]:
                raise RunError(f"{self.path} is damaged and its files have changed: remove that folder")
            with (self.path / PIXELS).open("r+b") as file:
                write_block(file, made, block)
        self._seen[block] = True


def decode_block(block: int, count: int, shape: tuple[int, int, int], decode: Decode) -> tuple[NDArray[np.uint8], Bad]:
    """Returns the rows of a block, zeros where a file cannot be read, and what is wrong with those files."""
    positions = range(block * BLOCK, min((block + 1) * BLOCK, count))
    rows, bad = np.zeros((len(positions), *shape), dtype=np.uint8), {}
    for row, position in enumerate(positions):
        try:
            rows[row] = decode(position)
        except UnreadableImage as error:
            bad[position] = error
    return rows, bad


def write_block(file: BinaryIO, rows: NDArray[np.uint8], block: int) -> None:
    """Put the rows of a block in their place."""
    view = memoryview(rows).cast("B")
    offset = block * BLOCK * math.prod(rows.shape[1:])
    while view:
        written = os.pwrite(file.fileno(), view, offset)
        view, offset = view[written:], offset + written


def _bad_from(reasons: dict[str, list[Any]]) -> Bad:
    bad = {}
    for position, (reason, passing) in sorted(reasons.items(), key=lambda item: int(item[0])):
        bad[int(position)] = UnreadableImage(printable(reason))
        bad[int(position)].passing = passing
    return bad
