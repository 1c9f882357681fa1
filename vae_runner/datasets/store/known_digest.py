"""The SHA-256 of a large file, remembered, so that a later start need not read all of it.

It is kept in the cache folder for as long as the file's size, and the times of the last change of its content and of
anything about it, are the same, the last of which no program can choose. That of a file that was touched just before it
was read is not kept, since the file could change once more within a tick of the clock.
"""

import contextlib
import hashlib
import logging
import os
import time
from pathlib import Path

from vae_runner.datasets.reading.listing import open_regular
from vae_runner.errors import RunError, UserError
from vae_runner.files import read_json, write_json

__all__ = ["known_digest"]

_TICK = 2_000_000_000  # ns, of the coarsest clock of a file system
_PIECE = 1 << 20  # bytes read at a time

logger = logging.getLogger("vae_runner")


def known_digest(path: Path, cache: Path) -> str:
    """Returns 64 hex digits, noted in the folder `cache` where they will hold.

    Raises:
        UserError: where the file cannot be read.
    """
    note = cache / f"digest-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"
    began = time.time_ns()
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            marks = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            known = read_json(note)
            if known.get("marks") == marks and isinstance(known.get("sha256"), str):
                return known["sha256"]
            found = hashlib.sha256()
            while piece := file.read(_PIECE):
                found.update(piece)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if max(marks[1:]) < began - _TICK:
        with contextlib.suppress(OSError, RunError):  # the next start reads the file once more
            write_json(note, {"marks": marks, "sha256": found.hexdigest()})
    return found.hexdigest()
