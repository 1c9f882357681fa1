"""Fetching one file over HTTP, so that what is under its name is always whole and right.

The bytes go to `NAME.part` beside the file and get the final name only once the caller's check has passed them. A part
that an earlier try left behind, in this process or another, is continued with a `Range` request. What the server makes
of that need not be trusted (it may send everything anew, or another version of the file), for the check sees the whole.
An attempt that brings no new byte is repeated a few times; one that does starts the count again, so that a large file
arrives over a bad line too. A lock file keeps a second process waiting, which then finds the file there.
"""

import errno
import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from vae_runner.errors import RunError, UserError
from vae_runner.files import locked

__all__ = ["fetch", "git_blob_id"]

_CHUNK = 1 << 18  # bytes
_TIMEOUT = 30.0  # seconds without an answer or a byte
_FRUITLESS_ATTEMPTS = 3  # in a row
_PASSING_TROUBLE = (408, 429, 500, 502, 503, 504)  # HTTP answers that a later attempt may not get
_NOTHING_FURTHER = 416  # the range asked for starts at or after the end of the file
_PARTIAL = 206

logger = logging.getLogger("vae_runner")


class _Interrupted(Exception):
    """The transfer broke off, or was never opened; another attempt may go further."""


def fetch(
    url: str,
    path: str | Path,
    verify: Callable[[Path], str | None],
    *,
    label: str | None = None,
    remedy: str | None = None,
    pause: float = 1.0,
) -> None:
    """Bring the file at `url` to `path`, unless it is there by then.

    Args:
        verify: looks at the complete download and returns None, or what is wrong with it ("sha1 ..., expected ...").
        label: what the progress bar on stderr calls it; the file's name by default.
        remedy: what the user can do where it cannot be fetched; by default, to put the file there by hand.
        pause: seconds between attempts.

    Raises `UserError` in one line where the file cannot be fetched, is not what `verify` expects (it is then deleted)
    or cannot be written, and `RunError` where the disk is full. What has arrived is kept and continued the next time.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with locked(path.with_name(f".{path.name}.lock")):
            if path.exists():
                return  # another process brought it while this one waited
            logger.info("fetching %s", url)
            _persist(url, part, label or path.name, remedy or f"put the file at {path} by hand", pause)
            _accept(part, path, url, verify)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"no space left on {path.parent} writing {part.name}") from error
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def git_blob_id(path: str | Path) -> str:
    """The name under which git stores the file's content: the hex sha1 of "blob SIZE", a zero byte and the content."""
    with open(path, "rb") as file:
        digest = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _persist(url: str, part: Path, label: str, remedy: str, pause: float) -> None:
    """Attempt until `part` is complete or nothing new arrives any more."""
    furthest, fruitless = _size(part), 0
    while True:
        try:
            return _attempt(url, part, label)
        except urllib.error.HTTPError as error:
            raise UserError(f"cannot fetch {url} (HTTP {error.code} {error.reason}): {remedy}") from error
        except _Interrupted as error:
            fruitless = 0 if _size(part) > furthest else fruitless + 1
            furthest = max(furthest, _size(part))
            if fruitless == _FRUITLESS_ATTEMPTS:
                raise UserError(f"cannot fetch {url} ({error}): {remedy}") from error
        time.sleep(pause)


def _attempt(url: str, part: Path, label: str) -> None:
    """One request for what `part` lacks; raises `_Interrupted`, or `HTTPError` where the server's no is final."""
    response = _open(url, _size(part))
    if response is None:
        return
    with response:
        continued = response.status == _PARTIAL
        before = _size(part) if continued else 0
        length = response.headers.get("Content-Length")  # bytes still to come
        total = None if length is None else before + int(length)
        with (
            open(part, "ab" if continued else "wb") as file,
            tqdm(desc=label, total=total, initial=before, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in _chunks(response):
                bar.update(file.write(chunk))
    if total is not None and _size(part) < total:
        raise _Interrupted(f"the connection broke after {_size(part):,} of {total:,} bytes")


def _open(url: str, start: int) -> http.client.HTTPResponse | None:
    """Ask for the file from byte `start` on; None where it does not reach that far and nothing is left to fetch."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == _NOTHING_FURTHER:
            return None
        if error.code in _PASSING_TROUBLE:
            raise _Interrupted(f"HTTP {error.code} {error.reason}") from error
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(_reason(error)) from error


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _Interrupted(_reason(error)) from error
        if not chunk:
            return
        yield chunk


def _reason(error: BaseException) -> str:
    """The system's own words, without the wrapping and the number: "Connection refused"."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _accept(part: Path, path: Path, url: str, verify: Callable[[Path], str | None]) -> None:
    """Give the download its name, or delete it."""
    complaint = verify(part)
    if complaint is not None:
        part.unlink()
        raise UserError(f"{url} is not the published file ({complaint}): deleted; try again")
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
