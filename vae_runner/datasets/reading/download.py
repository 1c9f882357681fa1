"""Fetching one file over HTTP, so that what is under its name is always whole and right.

The bytes go to `NAME.part` beside the file and get the final name only once the caller's check has passed them. A part
that an earlier try left behind, in this process or another, is continued with a `Range` request. What the server makes
of that need not be trusted (it may send everything anew, or another version of the file), for the check sees the whole.
An attempt that brings next to nothing is repeated a few times; one that brings more starts the count again, so that a
large file arrives over a bad line too. A server that falls silent, or lets its bytes drip, is given up, and no more is
taken from it than the file can have. A lock file keeps a second process waiting, which then finds the file there.
"""

import errno
import hashlib
import http.client
import io
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from vae_runner.errors import RunError, UserError
from vae_runner.files import locked
from vae_runner.text import plain

__all__ = ["fetch", "git_blob_id"]

_CHUNK = 1 << 18  # bytes
_TIMEOUT = 30.0  # seconds without an answer or a byte, and in which at least `_LEAST` have to come
_LEAST = 4096  # bytes; an attempt that brings less has brought nothing
_FRUITLESS_ATTEMPTS = 3  # in a row
_PASSING_TROUBLE = (408, 429, 500, 502, 503, 504)  # HTTP answers that a later attempt may not get
_NOTHING_FURTHER = 416  # the range asked for starts at or after the end of the file
_PARTIAL = 206
_DIGITS = 18  # of a length
_LONGEST = 100  # characters of a server's words

logger = logging.getLogger("vae_runner")


class _Interrupted(Exception):
    """The transfer broke off, or was never opened; another attempt may go further."""


@dataclass(frozen=True)
class _Wanted:
    """What is fetched: where it is, what the progress bar calls it, and how many bytes it can have."""

    url: str
    label: str
    largest: int

    def refuse(self, size: str) -> NoReturn:
        raise UserError(f"{self.url} is not the published file ({size}, expected {self.largest:,} at most)")


def fetch(
    url: str,
    path: str | Path,
    verify: Callable[[Path], str | None],
    *,
    label: str | None = None,
    remedy: str | None = None,
    pause: float = 1.0,
    largest: int | None = None,
) -> None:
    """Bring the file at `url` to `path`, unless it is there by then.

    What has arrived is kept and continued the next time.

    Args:
        verify: looks at the complete download and returns None, or what is wrong with it ("sha1 ..., expected ...").
        label: what the progress bar on stderr calls it; the file's name by default.
        remedy: what the user can do where it cannot be fetched; by default, to put the file there by hand.
        pause: seconds between attempts.
        largest: bytes that the file can have at most; what claims, or sends, more is not it.

    Raises:
        UserError: in one line where the file cannot be fetched, is not what `verify` expects (it is then deleted) or
            cannot be written.
        RunError: where the disk is full.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with locked(path.with_name(f".{path.name}.lock")):
            if path.exists():
                return  # another process brought it while this one waited
            logger.info("fetching %s", url)
            remedy = remedy or f"put the file at {path} by hand"
            _persist(_Wanted(url, label or path.name, sys.maxsize if largest is None else largest), part, remedy, pause)
            _accept(part, path, url, verify)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"no space left on {path.parent} writing {part.name}") from error
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def git_blob_id(path: str | Path) -> str:
    """Returns git's name of the file's content: the hex sha1 of "blob SIZE", a zero byte and the content."""
    with Path(path).open("rb") as file:
        digest = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _persist(wanted: _Wanted, part: Path, remedy: str, pause: float) -> None:
    """Attempt until `part` is complete or next to nothing arrives any more."""
    if _size(part) > wanted.largest:  # of another file
        part.unlink()
    furthest, fruitless = _size(part), 0
    while True:
        try:
            return _attempt(wanted, part)
        except urllib.error.HTTPError as error:
            raise UserError(
                f"cannot fetch {wanted.url} (HTTP {error.code} {_plain(error.reason)}): {remedy}"
            ) from error
        except _Interrupted as error:
            fruitless = 0 if _size(part) >= furthest + _LEAST else fruitless + 1
            furthest = max(furthest, _size(part))
            if fruitless == _FRUITLESS_ATTEMPTS:
                raise UserError(f"cannot fetch {wanted.url} ({error}): {remedy}") from error
        time.sleep(pause)


def _attempt(wanted: _Wanted, part: Path) -> None:
    """One request for what `part` lacks; raises `_Interrupted`, or `HTTPError` where the server's no is final."""
    response = _open(wanted.url, _size(part))
    if response is None:
        return
    with response:
        continued = response.status == _PARTIAL
        size = _size(part) if continued else 0
        length = _length(response)
        total = None if length is None else size + length
        if total is not None and total > wanted.largest:
            part.unlink(missing_ok=True)
            wanted.refuse(f"{total:,} bytes")
        with (
            part.open("ab" if continued else "wb") as file,
            tqdm(desc=wanted.label, total=total, initial=size, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in _chunks(response):
                size += len(chunk)
                if size > wanted.largest:
                    part.unlink()
                    wanted.refuse("more bytes")
                bar.update(file.write(chunk))
    if total is not None and size < total:
        raise _Interrupted(f"the connection broke after {size:,} of {total:,} bytes")


def _length(response: http.client.HTTPResponse) -> int | None:
    """How many bytes are still to come; None where the server does not say, or says nonsense."""
    text = (response.headers.get("Content-Length") or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def _open(url: str, start: int) -> http.client.HTTPResponse | None:
    """Ask for the file from byte `start` on; None where it does not reach that far and nothing is left to fetch."""
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
        return urllib.request.build_opener(_Http, _Https, _Redirects).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == _NOTHING_FURTHER:
            return None
        if error.code in _PASSING_TROUBLE:
            raise _Interrupted(f"HTTP {error.code} {_plain(error.reason)}") from error
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:  # of an address or a header that makes no sense
        raise _Interrupted(_reason(error)) from error


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Interrupted(_reason(error)) from error
        if not chunk:
            return
        yield chunk


def _reason(error: BaseException) -> str:
    """The system's own words, without the wrapping and the number: "Connection refused"."""
    cause = getattr(error, "reason", error)
    return _plain(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)


def _plain(words: object) -> str:
    """What a server has said in one line that can be printed, and not a long one."""
    return plain(" ".join(str(words).split()), _LONGEST)


def _accept(part: Path, path: Path, url: str, verify: Callable[[Path], str | None]) -> None:
    """Give the download its name, or delete it."""
    complaint = verify(part)
    if complaint is not None:
        part.unlink()
        raise UserError(f"{url} is not the published file ({complaint}): deleted; try again")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class _Stream(io.RawIOBase):
    """What a server sends. Raises `TimeoutError` where fewer than `_LEAST` bytes come in `_TIMEOUT` seconds: the time
    limit of a socket is for each byte, so that one a minute would never end.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._since, self._count = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        self._count += count or 0
        if time.monotonic() > self._since + _TIMEOUT:
            if self._count < _LEAST and count:
                raise TimeoutError("timed out: too little arrives")
            self._since, self._count = time.monotonic(), 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer, its header included, that is read from such a stream."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fp = io.BufferedReader(_Stream(self.fp.detach()))


class _Connection(http.client.HTTPConnection):
    response_class = _Response


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _Response


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, request, context=self._context)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, request: Any, answer: Any, *arguments: Any) -> Any:
        try:
            return super().http_error_302(request, answer, *arguments)
        except ValueError:  # of an address that makes no sense
            answer.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302
