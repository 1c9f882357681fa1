"""Runs of `vae-train` in forks of one process that has imported everything, to be killed or failed at a chosen moment.

Run as a program, it reads requests, JSON a line, and answers each with one, an `Ended`. A process that has trained
cannot be forked, so a test starts it as one of its own: `with launcher() as launch`.
"""

import contextlib
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase as fnmatch
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from faults import Point, watch

__all__ = ["Ended", "Launch", "launcher"]

DOING = ("write", "pwrite", "posix_fallocate", "mkdir", "open", "fsync", "link", "symlink")  # what takes room on a disk
ANSWER = "answer: "


class Ended(NamedTuple):
    """How a run ended: its exit code, or minus the signal's number."""

    status: int
    out: str
    err: str


Launch = Callable[..., Ended]


@contextlib.contextmanager
def launcher() -> Iterator[Launch]:
    """launch(folder, *settings, resume=False, **fault) trains in `run` in that folder; with whole=True, the arguments
    are those of `vae-train`, or of another `program`, and the whole of it is run. The fault is one of

    trace=FILE          every point of its file operations is written there
    kill=POINT          SIGKILL there
    refuse=[POINT, ERRNO]    from there on the system refuses to write, for that reason
    remove=[POINT, NAME]     there, somebody removes that folder
    signals=[[POINT, NUMBER], ...]    these signals there, to itself

    With together=N that many start at the same moment, {number} in their arguments standing for 0 to N - 1, and a list
    of N is returned.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )

    def launch(folder: Path, *arguments: str, resume: bool = False, whole: bool = False, **fault: Any) -> Ended:
        request = {"folder": str(folder), "arguments": arguments, "resume": resume, "whole": whole, **fault}
        print(json.dumps(request), file=process.stdin, flush=True)
        line = process.stdout.readline()
        assert line.startswith(ANSWER), line + process.stdout.read()
        ends = [Ended(**end) for end in json.loads(line.removeprefix(ANSWER))]
        return ends if "together" in fault else ends[0]

    with process:
        yield launch
        process.stdin.close()


def serve() -> None:
    """Answer requests until there are no more."""
    from vae_runner.cli.arguments import read_arguments
    from vae_runner.cli.precheck import composer, without_hydra

    prepare()
    with composer(read_arguments([])) as compose:
        configs = cache(lambda *overrides: without_hydra(compose.compose(overrides)))
        for line in sys.stdin:
            request = json.loads(line)
            if not request["whole"]:
                request["config"] = configs(*request["arguments"])
            gc.freeze()  # else the fork copies what it looks at
            print(ANSWER + json.dumps(answer(request)), flush=True)


def prepare() -> None:
    """Import what the runs have in common, but train nothing."""
    import torch

    import vae_runner.callbacks
    import vae_runner.cli.launch
    import vae_runner.console
    import vae_runner.experiment.run  # noqa: F401

    torch.set_num_threads(1)
    warnings.simplefilter("error")


def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run it in a fork, or in several that start together, and wait for their ends."""
    folder = Path(request["folder"])
    sys.stdout.flush()
    gate = os.pipe()
    children = [(begin(folder, request, number, gate), number) for number in range(request.get("together", 1))]
    for end in gate:
        os.close(end)
    return [ended(child, screens(folder, number)) for child, number in children]


def screens(folder: Path, number: int) -> list[Path]:
    return [folder / f".out{number}", folder / f".err{number}"]


def begin(folder: Path, request: dict[str, Any], number: int, gate: tuple[int, int]) -> int:
    """Fork one, which waits until nobody holds the gate's other end any more; returns its process."""
    if child := os.fork():
        return child
    os.close(gate[1])
    os.read(gate[0], 1)
    for handle, screen in enumerate(screens(folder, number), start=1):
        os.dup2(os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
    arguments = [argument.replace("{number}", str(number)) for argument in request["arguments"]]
    os._exit(run(folder, {**request, "arguments": arguments}))


def ended(child: int, screens: list[Path]) -> dict[str, Any]:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    out, err = (screen.read_text() for screen in screens)
    for screen in screens:
        screen.unlink()
    return {"status": status, "out": out, "err": err}


def run(folder: Path, request: dict[str, Any]) -> int:
    """In the fork: the program, with its fault."""
    from vae_runner import cli
    from vae_runner.cli import data, redraw, report

    programs = {"vae-train": cli, "vae-report": report, "vae-redraw": redraw, "vae-data": data}
    os.chdir(folder)
    watch(folder, fault(request))
    try:
        if request["whole"]:
            code = programs[request.get("program", "vae-train")].run(request["arguments"])
        else:
            code = cli.exit_code_of("vae-train", lambda: train(request))
        wait_for_threads()
    except BaseException as error:
        print(f"raised {type(error).__name__}: {error}", file=sys.stderr)
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def train(request: dict[str, Any]) -> int:
    """What the command line comes to, without Hydra, which would take twice the time of the training."""
    from vae_runner.console import logging_to
    from vae_runner.experiment.run import resume, start

    path = Path("run")
    path.mkdir(exist_ok=True)
    with logging_to(path / "train.log"):
        if request["resume"]:
            resume(path, {}, "vae-train resume=run", latest=Path("outputs", "latest"))
        else:
            start(request["config"], path, {"dataset": "folder"}, "vae-train", Path("outputs", "latest"))
    return 0


def wait_for_threads() -> None:
    """As an interpreter does at its end."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon and not thread.name.startswith("decode"):
            thread.join(300)


def fault(request: dict[str, Any]) -> Callable[[Point], None]:
    """What is done at the points of the run's file operations."""
    if "trace" in request:
        trace = os.open(request["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        write = os.write  # before it is watched
        return lambda point: write(trace, (json.dumps(point) + "\n").encode()) and None
    if "kill" in request:
        wanted = Point(*request["kill"])
        return lambda point: os.kill(os.getpid(), signal.SIGKILL) if is_at(point, wanted) else None
    if "refuse" in request:
        return Refusing(Point(*request["refuse"][0]), request["refuse"][1])
    if "remove" in request:
        wanted, name = Point(*request["remove"][0]), request["remove"][1]
        return lambda point: shutil.rmtree(name) if point == wanted else None
    if "signals" in request:
        wanted = [(Point(*point), number) for point, number in request["signals"]]
        return lambda point: deliver([number for place, number in wanted if is_at(point, place)])
    return lambda point: None


def is_at(point: Point, wanted: Point) -> bool:
    """Whether it is that point; the wanted file may be a pattern, for folders whose names differ from run to run."""
    return point == wanted._replace(file=point.file) and fnmatch(point.file, wanted.file)


class Refusing:
    """A disk that is full, or read-only, from a point on, for good."""

    def __init__(self, point: Point, number: int) -> None:
        self.point, self.number, self.has_begun = point, number, False

    def __call__(self, point: Point) -> None:
        self.has_begun |= is_at(point, self.point)
        if self.has_begun and point.operation in DOING and point.moment in ("before", "half"):
            raise OSError(self.number, os.strerror(self.number), point.file)


def deliver(numbers: list[int]) -> None:
    """Send the signals to this process, and give the main thread the time to take them."""
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0.01)


if __name__ == "__main__":
    serve()
    os._exit(0)  # some libraries complain at an orderly end
