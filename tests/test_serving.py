"""Pages at an address of this machine: fresh, and nothing but pages, to nobody but this machine."""

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli_report import Report, vae_report
from test_report import train_record
from test_sweep import make_picture, make_run

from vae_runner.report import serving, write_report
from vae_runner.report.serving import server_of
from vae_runner.report.sweep import write_sweep

__all__ = ["vae_report"]  # a fixture

Answer = tuple[int, dict[str, str], str]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    with server_of(folder, 0, lambda: write_sweep(folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def get(port: int, path: str, **headers: str) -> Answer:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode(errors="replace")


def age(folder: Path) -> None:
    """Let all files be a minute old."""
    then = time.time() - 60
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))


def test_the_page_of_a_run_is_as_fresh_as_the_run_and_looked_at_again_while_it_goes_on(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", state="running")
    write_report(run)
    age(run)
    with served(run) as port:
        status, headers, _ = get(port, "/")
        assert (status, headers["Location"]) == (302, "/report.html")
        before = get(port, "/report.html")
        assert "step 100 of 100" in before[2]
        assert before[1]["Refresh"] == "5"
        with (run / "metrics.jsonl").open("a") as log:
            log.write(json.dumps(train_record(150)) + "\n")
        assert "step 150 of 100" in get(port, "/report.html")[2]
        (run / "status.json").write_text(json.dumps({"state": "done", "step": 150, "total_steps": 150}))
        status, headers, page = get(port, "/report.html")
        assert status == 200
        assert "step 150 of 150" in page
        assert "Refresh" not in headers


def test_the_page_on_which_the_decoder_runs_is_given_out_and_left_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", state="running")
    (run / "explore.html").write_text("sliders")
    with served(run) as port:
        status, headers, page = get(port, "/explore.html")
    assert (status, page) == (200, "sliders")
    assert "Refresh" not in headers


def test_the_page_of_a_sweep_is_made_anew_as_its_runs_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "REFRESH", 0)
    for seed in (0, 1):
        make_picture(make_run(tmp_path / str(seed), config={"seed": seed}))
    write_report(tmp_path / "0"), write_sweep(tmp_path)
    age(tmp_path)
    with served(tmp_path) as port:
        assert "2 runs: 2 done" in get(port, "/sweep.html")[2]
        assert get(port, "/0/report.html")[0] == get(port, "/contact-samples.png")[0] == 200
        make_run(tmp_path / "2", state="failed")
        assert "3 runs: 2 done, 1 failed" in get(port, "/sweep.html")[2]


OUTSIDE = ("/../outside/report.html", "/%2e%2e/outside/report.html", "/link/report.html")


@pytest.mark.parametrize("path", [*OUTSIDE, "/config.yaml", "/metrics.jsonl", "/a%00b"])
def test_nothing_but_pages_of_the_folder_is_given_out(tmp_path: Path, path: str) -> None:
    run, outside = make_run(tmp_path / "run"), make_run(tmp_path / "outside")
    write_report(run), write_report(outside)
    (run / "link").symlink_to(outside)
    with served(run) as port:
        assert get(port, "/report.html")[0] == 200
        assert get(port, path)[0] == 404


def test_who_names_another_host_is_refused(tmp_path: Path) -> None:
    write_report(make_run(tmp_path / "run"))
    with served(tmp_path / "run") as port:
        assert get(port, "/report.html", Host="evil.example")[0] == 403
        assert get(port, "/report.html", Host=f"localhost:{port}")[0] == 200


def test_a_port_that_is_taken_or_none_is_told_in_one_line(vae_report: Report, inside: Path) -> None:
    make_run(inside / "run")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = vae_report("run", "--serve", "--port", str(port))
        assert code == 2
        assert errors.startswith(f"vae-report: error: --port {port}: Address already in use; another one")
    for arguments in (
        ("--serve", "--port"),
        ("--serve", "--port", "x"),
        ("--serve", "--port", "70000"),
        ("--port", "1"),
    ):
        code, _, errors = vae_report("run", *arguments)
        assert (code, errors.count("\n")) == (2, 1)
        assert "--port" in errors
