"""status.json: what has become of a run, for people, batch systems and reports."""

import contextlib
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vae_runner.errors import RunError
from vae_runner.files import read_json, write_json
from vae_runner.foreign import whole
from vae_runner.runs.names import STATUS
from vae_runner.runs.words import resume_command

__all__ = ["StatusFile", "record_failure"]


class StatusFile:
    """The file as this process writes it, which takes the run up now; of a run that is resumed it says more already.

    `step` of `total_steps` are done, and of those `skipped` changed nothing; `longer` is the setting that trains a run
    on which is complete, `test` what was measured on the test images at its end.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / STATUS
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        before = read_json(self.path)
        self.step, self.total_steps, self.skipped = (
            whole(before.get(name)) or 0 for name in ("step", "total_steps", "skipped")
        )
        self.longer = ""
        self.test: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        """Since this process took the run up."""
        return time.monotonic() - self._clock

    def write(self, state: str, reason: str | None = None) -> None:
        """Replace the file. `state` is running, done, failed or interrupted; `reason` says why, for the latter two.

        Raises `RunError` where it cannot be written.
        """
        write_json(
            self.path,
            {
                "state": state,
                "step": self.step,
                "total_steps": self.total_steps,
                "skipped": self.skipped,
                "reason": reason,
                "started": self._started.isoformat(timespec="seconds"),
                "updated": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(self.seconds, 1),
                "resume": resume_command(self.path.parent, self.longer if state == "done" else ""),
                "pid": os.getpid(),
                "host": platform.node(),
                **({"test": self.test} if self.test else {}),
            },
        )


def record_failure(folder: Path, error: Exception) -> None:
    """Leave a status for a run that failed before it had one, as far as it can still be written."""
    status = StatusFile(folder)
    if not status.path.exists():
        with contextlib.suppress(RunError):
            status.write("failed", f"{type(error).__name__}: {error}")
