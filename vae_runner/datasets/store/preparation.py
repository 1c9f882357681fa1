"""The prepared images of a set in one file: decoded once, read at the speed of memory, or of the disk, ever after.

A store is a folder, images-KEY, with pixels.u8, the rows (N, C, H, W) uint8 one behind the other, and index.json. KEY
is a hash of all that the pixels depend on, so that another set, or another size, has another store. While it is being
prepared the folder is called images-KEY.part; its journal has one line, with the checksums, for each block of rows that
is on the disk. A preparation that was killed goes on behind the blocks whose checksums still hold. The folder gets its
name last, by one rename: what is under that name is whole.

Rows of files that cannot be read are zeros, and the index has the reasons.
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
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image
from tqdm import tqdm

from vae_runner.datasets.reading.imaging import UnreadableImage
from vae_runner.datasets.reading.parallel import cores, fitting_size
from vae_runner.datasets.store.stored_rows import (
    BLOCK,
    INDEX,
    PIXELS,
    VERSION,
    Decode,
    StoredRows,
    decode_block,
    write_block,
)
from vae_runner.errors import RunError, UserError
from vae_runner.files import locked, remove_leftovers, write_json

__all__ = ["open_store"]

_JOURNAL = "journal.jsonl"

logger = logging.getLogger("vae_runner")


def open_store(
    cache: Path,
    key: str,
    shape: tuple[int, int, int],
    count: int,
    decode: Decode,
    source: str,
    mark: Callable[[], str],
    remedy: str | None = None,
) -> StoredRows:
    """Returns the store of `count` images under `key`, prepared with `decode(position)` where it is not there yet;
    `source` tells people where the images came from. `mark()` is a hash of what the files contain now: a store that was
    made of others, of the same sizes and times, is made again. `remedy` says what to do where there is no room; None:
    what a folder of images can do, whose size is a setting.

    Of several processes that ask at once, one prepares it and the others wait.

    Raises:
        UserError: in one line where there is no room or no permission.
        RunError: in one line where the disk fills up meanwhile.
    """
    path = cache / f"images-{key[:32]}"
    existing = partial(_existing, path, shape, count, decode, mark)
    if store := existing():
        return store
    try:
        with _alone(cache / f".images-{key[:32]}.lock"):
            if store := existing(is_told=True):  # made by another process meanwhile
                return store
            shutil.rmtree(path, ignore_errors=True)
            _Preparation(path, shape, count, decode, source, mark, remedy).run()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"no space left on {cache} preparing the images; {remedy or _REMEDY}") from error
        raise UserError(f"cannot write to {cache} ({error.strerror or error}); {remedy or _REMEDY}") from error
    return StoredRows(path, shape, count, decode)


_REMEDY = "set dataset.cache_dir=DIR, or dataset.store=false to train straight from the files"


class _Preparation:
    """The making of one store, by one process."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        count: int,
        decode: Decode,
        source: str,
        mark: Callable[[], str],
        remedy: str | None = None,
    ) -> None:
        self.path, self.shape, self.count, self.decode = path, shape, count, decode
        self.source, self.mark, self.remedy = source, mark, remedy
        self.part = path.with_name(f"{path.name}.part")
        self.size = count * math.prod(shape)  # bytes
        self.blocks: dict[int, dict[str, Any]] = {}

    def run(self) -> None:
        resumed = (self.part / _JOURNAL).exists()
        if not resumed:
            self._check_space()
        self.part.mkdir(parents=True, exist_ok=True)
        with (self.part / PIXELS).open("r+b" if (self.part / PIXELS).exists() else "w+b") as pixels:
            try:
                _reserve(pixels, self.size)
            except OSError:
                shutil.rmtree(self.part, ignore_errors=True)
                raise
            self._take_up(pixels)
            with (self.part / _JOURNAL).open("a") as journal:
                self._fill(pixels, journal)
            os.fsync(pixels.fileno())
        self._finish()

    def _check_space(self) -> None:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.part.parent).free
        if self.size > free:
            fitting = fitting_size(self.count, self.shape, free)
            raise UserError(
                f"{self.count:,} images {'x'.join(map(str, self.shape))} take {self.size / 1e9:.1f} GB, and "
                f"{self.part.parent} has {free / 1e9:.1f} GB left; "
                + (self.remedy or f"{fitting} would fit, or {_REMEDY}")
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
        rows, bad = decode_block(block, self.count, self.shape, self.decode)
        write_block(pixels, rows, block)
        reasons = {str(position): [str(error), error.passing] for position, error in bad.items()}
        return {
            "block": block, "crc32": zlib.crc32(rows), "sha256": hashlib.sha256(rows).hexdigest(), "bad": reasons,
        }  # fmt: skip

    def _finish(self) -> None:
        entries = [self.blocks[block] for block in sorted(self.blocks)]
        index = {
            "version": VERSION,
            "source": self.source,
            "content": self.mark(),
            "count": self.count,
            "shape": list(self.shape),
            "crc32": [entry["crc32"] for entry in entries],
            "sha256": [entry["sha256"] for entry in entries],
            "bad": {position: reason for entry in entries for position, reason in entry["bad"].items()},
        }
        remove_leftovers(self.part)
        write_json(self.part / INDEX, index)
        self.part.rename(self.path)
        (self.path / _JOURNAL).unlink(missing_ok=True)  # last: the rename may fail
        logger.info("prepared images are kept in %s (%s MB)", self.path, f"{self.size / 1e6:,.1f}")


def _existing(
    path: Path,
    shape: tuple[int, int, int],
    count: int,
    decode: Decode,
    mark: Callable[[], str],
    is_told: bool = False,
) -> StoredRows | None:
    """The finished store, unless it is damaged as a whole, made of other files, or of fewer than can be read now; the
    reason is logged, unless it is told already.
    """
    level = logging.DEBUG if is_told else logging.WARNING
    try:
        store = StoredRows(path, shape, count, decode)
    except (OSError, ValueError, KeyError) as error:
        if path.exists():
            logger.log(level, "%s cannot be used (%s): preparing it again", path, error)
        return None
    if store.content not in (None, mark()):
        logger.log(level, "the images of %s have changed, though not their sizes and times: preparing it again", path)
        return None
    with contextlib.suppress(OSError):  # a kill has left it, or another user's store is not ours to tidy
        (path / _JOURNAL).unlink()
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


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the room on the disk beforehand, so that a full one is found before an hour of decoding."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    os.truncate(file.fileno(), size)
