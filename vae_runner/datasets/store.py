"""The prepared images of a set in one file: decoded once, read at the speed of memory, or of the disk, ever after.

A store is a folder, images-KEY, with pixels.u8, the rows (N, C, H, W) uint8 one behind the other, and index.json. KEY
is a hash of all that the pixels depend on, so that another set, or another size, has another store. While it is being
prepared the folder is called images-KEY.part; its journal has one line, with the checksums, for each block of rows that
is on the disk. A preparation that was killed goes on behind the blocks whose checksums still hold. The folder gets its
name last, by one rename: what is under that name is whole.

Every block is checked when it is read for the first time, so that a start costs no pass over the data; a damaged one
is decoded again. Rows of files that cannot be read are zeros, and the index has the reasons.
"""

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import shutil
import warnings
import weakref
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from vae_runner.datasets.imaging import UnreadableImage
from vae_runner.datasets.listing import printable
from vae_runner.datasets.pixels import cores
from vae_runner.datasets.rows import HostRows, MemoryRows, Rows, fits
from vae_runner.errors import RunError, UserError
from vae_runner.files import hold, locked, read_json, write_json

__all__ = ["BLOCK", "INDEX", "PIXELS", "StoredRows", "open_store"]

BLOCK = 64  # rows that are checked, and after a kill made again, together
VERSION = 1  # of the format; that of the pixels is in the key
PIXELS, INDEX, _JOURNAL = "pixels.u8", "index.json", "journal.jsonl"

Decode = Callable[[int], NDArray[np.uint8]]
Bad = dict[int, UnreadableImage]

logger = logging.getLogger("vae_runner")


def open_store(
    cache: Path, key: str, shape: tuple[int, int, int], count: int, decode: Decode, source: str
) -> "StoredRows":
    """The store of `count` images under `key`, prepared with `decode(position)` where it is not there yet; `source`
    tells people where the images came from.

    Of several processes that ask at once, one prepares it and the others wait. Raises `UserError` where there is no
    room or no permission, and `RunError` where the disk fills up meanwhile, each in one line.
    """
    path = cache / f"images-{key[:32]}"
    if store := _existing(path, shape, count, decode):
        return store
    try:
        with _alone(cache / f".images-{key[:32]}.lock"):
            if store := _existing(path, shape, count, decode):  # made by another process meanwhile
                return store
            shutil.rmtree(path, ignore_errors=True)
            _Preparation(path, shape, count, decode, source).run()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"no space left on {cache} preparing the images; {_REMEDY}") from error
        raise UserError(f"cannot write to {cache} ({error.strerror or error}); {_REMEDY}") from error
    return StoredRows(path, shape, count, decode)


_REMEDY = "set dataset.cache_dir=DIR, or dataset.store=false to train straight from the files"


class StoredRows(HostRows):
    """The rows of a finished store; `bad` has what is wrong with those that could not be read."""

    def __init__(self, path: Path, shape: tuple[int, int, int], count: int, decode: Decode) -> None:
        index = read_json(path / INDEX)
        if [index.get(name) for name in ("version", "count", "shape")] != [VERSION, count, list(shape)]:
            raise ValueError("its index is damaged")
        super().__init__(count, shape)
        self.path = path
        self._file = hold(path / PIXELS)  # nobody removes it meanwhile
        weakref.finalize(self, os.close, self._file)
        if hasattr(os, "posix_fadvise"):  # else a set larger than memory costs ten times what is wanted of it
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)
        self.bad = _bad_from(index["bad"])
        self._crc, self._sha256 = index["crc32"], index["sha256"]
        self._total = count  # with those that could not be read
        self._keep = np.arange(count)
        self._decode = decode
        self._seen = np.zeros(math.ceil(count / BLOCK), dtype=bool)  # blocks whose checksums were found right
        if (path / PIXELS).stat().st_size != count * math.prod(shape) or len(self._crc) != len(self._seen):
            raise ValueError("its size is wrong")
        with contextlib.suppress(OSError):  # a cache that others have made
            os.utime(path / INDEX)  # its time is that of the last use

    def leave_out_bad(self) -> "StoredRows":
        """Without the rows of files that could not be read; returns self."""
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
        for row, place in zip(pixels, wanted.tolist(), strict=True):
            self._read(row, place)
        return pixels

    def to(self, device: torch.device | str) -> Rows:
        """On a GPU with room for them, the rows are kept there."""
        super().to(device)
        if not fits(self.count * math.prod(self.shape), self.device):
            return self
        pixels = torch.empty((self.count, *self.shape), dtype=torch.uint8, device=self.device)
        for part in np.array_split(np.arange(self.count), math.ceil(self.count / 4096)):
            pixels[part[0] : part[-1] + 1] = torch.from_numpy(self.read(part)).to(self.device)
        return MemoryRows(pixels)

    def fingerprint(self) -> str:
        """SHA-256 of the SHA-256s of all blocks."""
        return hashlib.sha256("".join(self._sha256).encode()).hexdigest()

    def _read(self, pixels: NDArray[np.uint8], place: int) -> None:
        """Fill `pixels` with the rows from `place` on. Of a memory map, each page would cost a fault."""
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
            made, _ = _decode_block(block, self._total, self.shape, self._decode)
            if zlib.crc32(made) != self._crc[block]:
                raise RunError(f"{self.path} is damaged and its files have changed: remove that folder")
            with open(self.path / PIXELS, "r+b") as file:
                _write_at(file, made, block)
        self._seen[block] = True


class _Preparation:
    """The making of one store, by one process."""

    def __init__(self, path: Path, shape: tuple[int, int, int], count: int, decode: Decode, source: str) -> None:
        self.path, self.shape, self.count, self.decode, self.source = path, shape, count, decode, source
        self.part = path.with_name(f"{path.name}.part")
        self.size = count * math.prod(shape)  # bytes
        self.blocks: dict[int, dict[str, Any]] = {}

    def run(self) -> None:
        resumed = (self.part / _JOURNAL).exists()
        if not resumed:
            self._check_space()
        self.part.mkdir(parents=True, exist_ok=True)
        with open(self.part / PIXELS, "r+b" if (self.part / PIXELS).exists() else "w+b") as pixels:
            try:
                _reserve(pixels, self.size)
            except OSError:
                shutil.rmtree(self.part, ignore_errors=True)
                raise
            self._take_up(pixels)
            with open(self.part / _JOURNAL, "a") as journal:
                self._fill(pixels, journal)
            os.fsync(pixels.fileno())
        self._finish()

    def _check_space(self) -> None:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.part.parent).free
        if self.size > free:
            fitting = math.isqrt(free // (self.count * self.shape[0]))
            raise UserError(
                f"{self.count:,} images {'x'.join(map(str, self.shape))} take {self.size / 1e9:.1f} GB, and "
                f"{self.part.parent} has {free / 1e9:.1f} GB left; dataset.image_size={fitting} would fit, or {_REMEDY}"
            )

    def _take_up(self, pixels: BinaryIO) -> None:
        """What an earlier preparation has done, as far as the checksums hold. Unreadable files are tried again."""
        with contextlib.suppress(FileNotFoundError):
            for line in (self.part / _JOURNAL).read_text().splitlines():
                with contextlib.suppress(ValueError, KeyError):  # the line that the kill has cut off
                    entry = json.loads(line)
                    if not entry["bad"]:
                        self.blocks[entry["block"]] = entry
        for block, entry in list(self.blocks.items()):
            pixels.seek(block * BLOCK * math.prod(self.shape))
            length = min(BLOCK, self.count - block * BLOCK) * math.prod(self.shape)
            if zlib.crc32(pixels.read(length)) != entry["crc32"]:
                del self.blocks[block]
        if self.blocks:
            done = sum(min(BLOCK, self.count - block * BLOCK) for block in self.blocks)
            logger.info("going on behind %s images that an earlier start has prepared", f"{done:,}")

    def _fill(self, pixels: BinaryIO, journal: Any) -> None:
        """Decode the blocks that are missing, in parallel, and note each one that is on the disk."""
        todo = [block for block in range(math.ceil(self.count / BLOCK)) if block not in self.blocks]
        Image.init()  # by two threads at once, Pillow may take a file for no image before all its formats are known
        bar = tqdm(desc="preparing images", total=self.count, unit=" images", unit_scale=True, disable=None)
        bar.update(self.count - sum(min(BLOCK, self.count - block * BLOCK) for block in todo))
        pool = ThreadPoolExecutor(cores())
        with pool, bar, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # what it only warns of, it has read
            # an exception, Ctrl-C too, drops the iterator of `map`, which cancels what has not begun
            for block, entry in zip(todo, pool.map(lambda block: self._make(block, pixels), todo), strict=True):
                journal.write(json.dumps(entry) + "\n")
                journal.flush()
                self.blocks[block] = entry
                bar.update(min(BLOCK, self.count - block * BLOCK))

    def _make(self, block: int, pixels: BinaryIO) -> dict[str, Any]:
        rows, bad = _decode_block(block, self.count, self.shape, self.decode)
        _write_at(pixels, rows, block)
        reasons = {str(position): [str(error), error.passing] for position, error in bad.items()}
        return {
            "block": block, "crc32": zlib.crc32(rows), "sha256": hashlib.sha256(rows).hexdigest(), "bad": reasons,
        }  # fmt: skip

    def _finish(self) -> None:
        entries = [self.blocks[block] for block in sorted(self.blocks)]
        index = {
            "version": VERSION,
            "source": self.source,
            "count": self.count,
            "shape": list(self.shape),
            "crc32": [entry["crc32"] for entry in entries],
            "sha256": [entry["sha256"] for entry in entries],
            "bad": {position: reason for entry in entries for position, reason in entry["bad"].items()},
        }
        write_json(self.part / INDEX, index)
        os.rename(self.part, self.path)
        (self.path / _JOURNAL).unlink()  # not before: a kill between the two would cost all that was prepared
        logger.info("prepared images are kept in %s (%.2f GB)", self.path, self.size / 1e9)


def _existing(path: Path, shape: tuple[int, int, int], count: int, decode: Decode) -> StoredRows | None:
    """The finished store, unless it is damaged as a whole, or a file that could not be reached then can be now."""
    try:
        store = StoredRows(path, shape, count, decode)
    except (OSError, ValueError, KeyError) as error:
        if path.exists():
            logger.warning("%s cannot be used (%s): preparing it again", path, error)
        return None
    for position in (position for position, error in store.bad.items() if error.passing):
        with contextlib.suppress(UnreadableImage):
            decode(position)
            logger.info("a file that could not be reached is there now: preparing the images again")
            return None
    return store


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Inside, no other process prepares the same store."""
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(locked(lock, wait=False)):
            logger.info("another process is preparing these images: waiting for it")
            stack.enter_context(locked(lock))
        yield


def _decode_block(block: int, count: int, shape: tuple[int, int, int], decode: Decode) -> tuple[NDArray[np.uint8], Bad]:
    """The rows of a block, zeros where a file cannot be read, and what is wrong with those files."""
    positions = range(block * BLOCK, min((block + 1) * BLOCK, count))
    rows, bad = np.zeros((len(positions), *shape), dtype=np.uint8), {}
    for row, position in enumerate(positions):
        try:
            rows[row] = decode(position)
        except UnreadableImage as error:
            bad[position] = error
    return rows, bad


def _write_at(file: BinaryIO, rows: NDArray[np.uint8], block: int) -> None:
    view = memoryview(rows).cast("B")
    offset = block * BLOCK * math.prod(rows.shape[1:])
    while view:
        written = os.pwrite(file.fileno(), view, offset)
        view, offset = view[written:], offset + written


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the room on the disk beforehand, so that a full one is found before an hour of decoding."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    os.truncate(file.fileno(), size)


def _bad_from(reasons: dict[str, list[Any]]) -> Bad:
    bad = {}
    for position, (reason, passing) in sorted(reasons.items(), key=lambda item: int(item[0])):
        bad[int(position)] = UnreadableImage(printable(reason))
        bad[int(position)].passing = passing
    return bad
