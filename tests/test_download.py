import contextlib
import hashlib
import http.server
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vae_runner.datasets import dSprites
from vae_runner.datasets.reading import download
from vae_runner.datasets.reading.download import fetch, git_blob_id
from vae_runner.datasets.sprites import dsprites, dsprites_file
from vae_runner.errors import RunError, UserError

CONTENT = np.random.default_rng(0).bytes(1_000_000)


class Server:
    """A web server on this machine with one file, that can be told to misbehave."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.obeys_ranges = True
        self.breaks_after: list[int] = []  # bytes that the first answers send before the connection breaks
        self.statuses: list[int] = []  # statuses that the first answers consist of
        self.ranges: list[str | None] = []  # the Range header of each request so far
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.bin"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        wanted = request.headers["Range"]
        self.ranges.append(wanted)
        if self.statuses:
            request.send_error(self.statuses.pop(0))
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.obeys_ranges else 0
        if start >= len(self.content):
            request.send_error(416)
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.breaks_after.pop(0)] if self.breaks_after else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def difference(path: Path) -> str | None:
    """What distinguishes a file from the published one."""
    expected, found = (hashlib.sha1(content).hexdigest() for content in (CONTENT, path.read_bytes()))
    return None if found == expected else f"sha1 {found}, expected {expected}"


def fetched(url: str, path: Path) -> bytes:
    fetch(url, path, difference, pause=0)
    assert not path.with_name("data.bin.part").exists()
    return path.read_bytes()


def refused(url: str, path: Path) -> str:
    """The line that a fetch ends with; nothing may then be under the final name."""
    with pytest.raises(UserError) as caught:
        fetch(url, path, difference, pause=0)
    assert not path.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_whole_into_a_new_folder(server: Server, tmp_path: Path) -> None:
    assert fetched(server.url, tmp_path / "new" / "data.bin") == CONTENT
    assert server.ranges == [None]


def test_a_broken_transfer_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks_after = [300_000, 1, 0, 200_000]
    assert fetched(server.url, tmp_path / "data.bin") == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=300001-", "bytes=300001-", "bytes=500001-"]


def test_a_part_left_by_an_earlier_process_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:400_000])
    assert fetched(server.url, tmp_path / "data.bin") == CONTENT
    assert server.ranges == ["bytes=400000-"]


def test_a_part_that_was_complete_is_checked_and_accepted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert fetched(server.url, tmp_path / "data.bin") == CONTENT


def test_a_server_that_ignores_ranges_starts_the_file_anew(server: Server, tmp_path: Path) -> None:
    server.obeys_ranges = False
    server.breaks_after = [300_000, 100_000]
    assert fetched(server.url, tmp_path / "data.bin") == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=100000-"]


def test_a_transfer_that_always_breaks_at_the_same_byte_is_given_up(server: Server, tmp_path: Path) -> None:
    server.obeys_ranges = False
    server.breaks_after = [300_000] * 100
    line = refused(server.url, tmp_path / "data.bin")
    reason = "the connection broke after 300,000 of 1,000,000 bytes"
    assert line == f"cannot fetch {server.url} ({reason}): put the file at {tmp_path / 'data.bin'} by hand"
    assert len(server.ranges) == 4  # the one that brought something, and three in vain
    assert (tmp_path / "data.bin.part").stat().st_size == 300_000


def test_a_passing_trouble_of_the_server_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert fetched(server.url, tmp_path / "data.bin") == CONTENT


def test_wrong_bytes_are_deleted_and_both_checksums_are_told(server: Server, tmp_path: Path) -> None:
    server.content = b"another file"
    line = refused(server.url, tmp_path / "data.bin")
    sums = [hashlib.sha1(content).hexdigest() for content in (b"another file", CONTENT)]
    expected = f"{server.url} is not the published file (sha1 {sums[0]}, expected {sums[1]}): deleted; try again"
    assert line == expected
    assert not (tmp_path / "data.bin.part").exists()


@pytest.mark.parametrize("size", [1000, len(CONTENT), 2 * len(CONTENT)])
def test_a_part_of_another_file_is_found_out_and_the_next_try_succeeds(
    server: Server, tmp_path: Path, size: int
) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * size)
    assert refused(server.url, tmp_path / "data.bin").endswith(": deleted; try again")
    assert fetched(server.url, tmp_path / "data.bin") == CONTENT


def test_a_file_that_is_not_on_the_server_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    server.statuses = [404] * 10
    line = refused(server.url, tmp_path / "data.bin")
    assert line == f"cannot fetch {server.url} (HTTP 404 Not Found): put the file at {tmp_path / 'data.bin'} by hand"
    assert len(server.ranges) == 1


def test_where_nothing_listens_the_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/data.bin"
        line = refused(url, tmp_path / "data.bin")
    assert line == f"cannot fetch {url} (Connection refused): put the file at {tmp_path / 'data.bin'} by hand"


def test_a_server_that_falls_silent_is_not_waited_for_forever(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        assert refused(url, tmp_path / "data.bin").startswith(f"cannot fetch {url} (timed out)")


class Raw:
    """A server that says to every request what it is told to, a piece at a time, with `pause` seconds between."""

    def __init__(self, *pieces: bytes, pause: float = 0.0) -> None:
        self.pieces, self.pause, self.requests = pieces, pause, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/data.bin"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.requests += 1
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                for piece in self.pieces:
                    connection.sendall(piece)
                    time.sleep(self.pause)

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "pieces",
    [
        [OK + b"Content-Length: 1000000\r\n\r\n", *[b"x"] * 2000],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 2000],
        [OK + b"X: ", *[b"x"] * 2000],
        [*[b"H"] * 2000],
    ],
    ids=["body", "chunks", "header", "status"],
)
def test_a_server_that_lets_its_bytes_drip_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_TIMEOUT", 0.3)
    with Raw(*pieces, pause=0.02) as server:
        assert refused(server.url, tmp_path / "data.bin").startswith(f"cannot fetch {server.url} (timed out")
        assert server.requests == 3


@pytest.mark.slow
def test_a_slow_line_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_TIMEOUT", 1.5)
    monkeypatch.setattr(download, "_LEAST", 1000)
    pieces = [CONTENT[start : start + 10_000] for start in range(0, len(CONTENT), 10_000)]
    head = OK + b"Content-Length: 1000000\r\n\r\n"
    with Raw(head, *pieces, pause=0.03) as server:  # three seconds or more in all
        assert fetched(server.url, tmp_path / "data.bin") == CONTENT


@pytest.mark.parametrize("length", [b"nonsense", b"-5", b"1e9", b"", b"9" * 5000, "²".encode("latin-1"), b"12 13"])
def test_a_length_that_makes_no_sense_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: bytes
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Raw(OK + b"Content-Length: " + length + b"\r\n\r\n", CONTENT) as server:
        assert fetched(server.url, tmp_path / "data.bin") == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 404 no\x1b[2Jthing" + b"!" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:port/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        OK + b"".join(b"X: y\r\n" for _ in range(500)) + b"\r\n",
        OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_makes_no_sense_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Raw(answer) as server:
        line = refused(server.url, tmp_path / "data.bin")
        assert line.startswith(f"cannot fetch {server.url} (")
        assert line.isprintable()
        assert len(line) < 400


@pytest.mark.parametrize(
    ("head", "size"),
    [(b"Content-Length: 900000000000", "900,000,000,000 bytes"), (b"Transfer-Encoding: chunked", "more bytes")],
)
def test_no_more_is_taken_than_the_file_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, size: str
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "data.bin.part").write_bytes(b"x" * 2_000_000)  # of another file
    with Raw(OK + head + b"\r\n\r\n", *[b"10000\r\n" + bytes(65536) + b"\r\n"] * 1000) as server:
        with pytest.raises(UserError) as caught:
            fetch(server.url, tmp_path / "data.bin", difference, pause=0, largest=1_000_000)
        assert str(caught.value) == f"{server.url} is not the published file ({size}, expected 1,000,000 at most)"
        assert server.requests == 1
    assert [path.name for path in tmp_path.iterdir()] == [".data.bin.lock"]


def test_the_published_file_is_within_its_limit(server: Server, tmp_path: Path) -> None:
    fetch(server.url, tmp_path / "data.bin", difference, pause=0, largest=len(CONTENT))
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert dsprites.LARGEST > 26e6


def test_of_two_that_fetch_at_once_one_makes_the_request(server: Server, tmp_path: Path) -> None:
    """Threads stand for processes here: the lock belongs to the open file, so it holds between both."""
    barrier = threading.Barrier(2)

    def both() -> None:
        barrier.wait()
        fetch(server.url, tmp_path / "data.bin", difference)

    threads = [threading.Thread(target=both) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.ranges == [None]


def test_the_final_name_appears_only_after_the_check(server: Server, tmp_path: Path) -> None:
    def verify(part: Path) -> str | None:
        assert part.read_bytes() == CONTENT
        assert not (tmp_path / "data.bin").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.url, tmp_path / "data.bin", verify)
    assert not (tmp_path / "data.bin").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "folder" / "data.bin"
    assert refused("http://127.0.0.1/data.bin", path) == f"cannot write {path}: Not a directory"


def test_a_full_disk_is_a_run_error(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=f"no space left on {tmp_path} writing data.bin.part"):
        fetch(server.url, tmp_path / "data.bin", difference)


@pytest.mark.parametrize("content", [b"", b"hello\n", CONTENT])
def test_the_blob_id_is_the_one_that_git_gives(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    known = {b"": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b"hello\n": "ce013625030ba8dba906f756967f9e9ca394464a"}
    expected = known.get(content) or hashlib.sha1(b"blob 1000000\0" + content).hexdigest()
    assert git_blob_id(path) == expected


# dSprites through the same server.


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server's content plays the published archive; it has ten images."""
    archive = io.BytesIO()
    np.savez_compressed(archive, imgs=np.zeros((10, 64, 64), np.uint8))
    server.content = archive.getvalue()
    blob = hashlib.sha1(b"blob %d\0" % len(server.content) + server.content).hexdigest()
    monkeypatch.setattr(dsprites, "URL", server.url)
    monkeypatch.setattr(dsprites, "PUBLISHED_BLOB", blob)
    monkeypatch.setattr(dsprites_file, "IMAGES", 10)
    return server


@pytest.mark.parametrize("arguments", [{"download": True}, {"source": "download"}])
def test_dsprites_are_downloaded_once(published: Server, tmp_path: Path, arguments: dict) -> None:
    first = dSprites(tmp_path / "root", cache_dir=tmp_path / "cache", **arguments)
    again = dSprites(tmp_path / "root", cache_dir=tmp_path / "cache", **arguments)
    assert (first.source, again.source) == ("downloaded", "file")
    assert first.provenance["published"] is again.provenance["published"] is True
    assert (tmp_path / "root" / dsprites_file.NPZ_NAME).read_bytes() == published.content
    assert len(published.ranges) == 1


def test_wrong_bytes_are_not_taken_for_dsprites(published: Server, tmp_path: Path) -> None:
    published.content = b"wrong"
    with pytest.raises(UserError, match="is not the published file"):
        dSprites(tmp_path, download=True)
    assert not (tmp_path / dsprites_file.NPZ_NAME).exists()


def test_dsprites_that_cannot_be_fetched_can_be_rendered_says_the_line(published: Server, tmp_path: Path) -> None:
    published.statuses = [404]
    remedy = f"put the file into {tmp_path} by hand, or set dataset.source=render"
    with pytest.raises(UserError, match=remedy):
        dSprites(tmp_path, download=True)
