"""The program in a process of its own, which a test stops or kills at a chosen moment."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["begun", "wait_until"]


def begun(folder: Path, *arguments: str, program: Sequence[str] = ("-m", "vae_runner")) -> subprocess.Popen:
    """vae-train, or what else `program` is to Python, in a session of its own, as if a terminal were its own, so
    that a signal can be sent to all its processes.
    """
    command = [sys.executable, *program, *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_until(holds: Callable[[], bool], process: subprocess.Popen) -> None:
    """Return when it holds; fails where the process ends before, or two minutes go by."""
    deadline = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
