"""Pages at an address of this machine alone, made anew where what they are of has changed since.

Nothing but pages, the one on which a decoder runs among them, and contact sheets is given out, from the one folder, and
nobody but this machine's own browser is answered: a request that names another host, as one that a foreign page has led
here, is refused.
"""

import http.server
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vae_runner.report.run.run_page import write_report
from vae_runner.runs.names import EXPLORER, GRIDS, INDEX_PAGE, METRICS, PAGE, STATUS, SWEEP_PAGE, contact_sheet_file
from vae_runner.runs.read import find_runs, is_run, read_run

__all__ = ["server_of"]

HERE = "127.0.0.1"
REFRESH = 5  # seconds between two looks of the browser, while a run is under way
KINDS = {".html": "text/html; charset=utf-8", ".png": "image/png"}
CONTACT = contact_sheet_file("").split(".")[0]  # how their names begin


def server_of(folder: Path, port: int, remake: Callable[[], object]) -> http.server.ThreadingHTTPServer:
    """Returns the server of the folder's pages at that port, 0 for any that is free; it is to be closed by the caller.
    `remake` makes the folder's own page anew. Raises `OSError` where the port is taken.
    """
    made = Pages(folder, remake)
    handler = type("Handler", (_Handler,), {"pages": made})
    server = http.server.ThreadingHTTPServer((HERE, port), handler)
    made.names = {f"{name}:{server.server_address[1]}" for name in (HERE, "localhost")}
    return server


class Pages:
    """The files that may be asked for, each as fresh as what it is made of."""

    def __init__(self, folder: Path, remake: Callable[[], object]) -> None:
        self.folder, self.remake = folder.resolve(), remake
        self.names: set[str] = set()
        self._made = 0.0

    @property
    def first(self) -> str:
        """The page that the folder has."""
        own = (PAGE,) if is_run(self.folder) else (INDEX_PAGE, SWEEP_PAGE)
        return next((name for name in own if (self.folder / name).is_file()), own[-1])

    def file(self, path: str) -> Path | None:
        """Returns the file of an address, made anew where it is out of date; None where there is none to be had."""
        try:
            file = (self.folder / unquote(path).lstrip("/")).resolve()
        except (OSError, ValueError):
            return None
        is_page = file.name in (PAGE, SWEEP_PAGE, INDEX_PAGE)
        is_sheet = file.name.startswith(CONTACT) and file.suffix == ".png"
        if self.folder not in file.parents or not (is_page or is_sheet or file.name == EXPLORER):
            return None
        if file.name == PAGE and is_run(file.parent) and _changed(file.parent) > _time(file):
            write_report(file.parent)
        elif is_page and file.parent == self.folder and time.monotonic() - self._made > REFRESH:
            self._refresh(file)
        return file if file.is_file() else None

    def is_under_way(self, file: Path) -> bool:
        """Whether the page, or a run of it, is still to change; a decoder is moved by hand, and stays as it is."""
        if file.name == EXPLORER:
            return False
        runs = [file.parent] if file.name == PAGE else find_runs(file.parent)
        return any(read_run(run, with_pictures=False).state == "running" for run in runs)

    def _refresh(self, file: Path) -> None:
        """The folder's own page, where any of its runs has gone on."""
        if max(map(_changed, find_runs(self.folder)), default=0.0) > _time(file):
            self.remake()
        self._made = time.monotonic()


class _Handler(http.server.BaseHTTPRequestHandler):
    pages: Pages

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.pages.names:
            return self.send_error(HTTPStatus.FORBIDDEN)
        path = urlsplit(self.path).path
        if path == "/":
            return self._answer(HTTPStatus.FOUND, {"Location": f"/{self.pages.first}"})
        file = self.pages.file(path)
        if file is None:
            return self.send_error(HTTPStatus.NOT_FOUND)
        fresh = {"Refresh": str(REFRESH)} if file.suffix == ".html" and self.pages.is_under_way(file) else {}
        told = {"Content-Type": KINDS[file.suffix], "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return self._answer(HTTPStatus.OK, told | fresh, file.read_bytes())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who serves a page to himself needs no log."""

    def _answer(self, status: HTTPStatus, headers: Mapping[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _changed(run: Path) -> float:
    """When anything was last written that the page of the run is made of."""
    return max(_time(run / name) for name in (STATUS, METRICS, GRIDS))


def _time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
