"""A thread that draws, encodes and writes while the training goes on.

Jobs are done one after the other, in their order. The thread lives as long as there are jobs, so none is left behind by
whoever forgets to close it, and the process does not end before the last file is whole. The first job that fails ends
the others; its error is raised once, in the thread that gives jobs.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vae_runner.callbacks.base import Callback, Training
from vae_runner.state import State

__all__ = ["AfterPictures", "Writer"]

log = logging.getLogger(__name__)

WAITING = 32  # jobs, some sets of pictures: who gives more waits

Job = Callable[[], None]


class Writer:
    """`submit` jobs, `flush` to wait for them."""

    def __init__(self, waiting: int = WAITING) -> None:
        self.waiting = waiting
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None  # the last one
        self._working = False
        self._error: BaseException | None = None

    def submit(self, job: Job) -> None:
        """Have the job done; waits while too many are before it. Raises what an earlier job raised."""
        self.check()
        with self._changed:
            self._changed.wait_for(lambda: len(self._jobs) < self.waiting)
            self._jobs.append(job)
            if not self._working:
                self._working = True
                self._thread = threading.Thread(target=self._work, name="vae_runner writer")
                self._thread.start()

    def check(self) -> None:
        """Raises, once, what a job has raised."""
        if self._error is None:  # asked at every step: no lock for the answer no
            return
        with self._changed:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def flush(self) -> None:
        """Wait until all jobs are done and the thread has ended. Raises what a job has raised."""
        if self._thread is not None:
            self._thread.join()
        self.check()

    def close(self) -> None:
        """As `flush`, where another error may be on its way: what a job has raised is only logged."""
        try:
            self.flush()
        except Exception as error:
            log.warning("pictures: %s", error)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._jobs:
                    self._working = False
                    return
                job = self._jobs[0]
            error = _failure_of(job)
            with self._changed:
                self._error = self._error or error
                self._jobs.popleft()
                if error is not None:
                    self._jobs.clear()
                self._changed.notify_all()


def _failure_of(job: Job) -> BaseException | None:
    """Do the job; returns what it raised."""
    try:
        job()
    except BaseException as error:
        return error
    return None


@dataclass(frozen=True)
class Moment:
    """What is left of the engine for a callback that comes later: the step, and what is due at it."""

    step: int
    total_steps: int

    def is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.total_steps


class AfterPictures(Callback):
    """Calls another callback's `on_start`, `on_validation` of step 0 and `on_step_end` in the writer's thread, behind
    what was given to it before: a report finds the pictures of its step. The other one sees a `Moment` instead of the
    engine.
    """

    def __init__(self, writer: Writer, other: Callback, is_due: Callable[[Training], bool]) -> None:
        self.writer, self.other, self.is_due = writer, other, is_due

    @property
    def name(self) -> str:
        """That of the callback."""
        return self.other.name

    def on_start(self, engine: Training) -> None:
        self._submit(engine, self.other.on_start)

    def on_validation(self, engine: Training) -> None:
        if engine.step == 0:  # those behind a step come with its pictures
            self._submit(engine, self.other.on_validation)

    def on_step_end(self, engine: Training, state: State) -> None:
        if self.is_due(engine):
            self._submit(engine, lambda moment: self.other.on_step_end(moment, {}))

    def _submit(self, engine: Training, hook: Callable[[Any], None]) -> None:
        moment = Moment(engine.step, engine.total_steps)
        self.writer.submit(lambda: hook(moment))

    def on_interrupt(self, engine: Training) -> None:
        self.writer.flush()

    def on_end(self, engine: Training) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
        self.other.close()

    def state_dict(self) -> dict[str, Any]:
        """Returns that of the callback."""
        return self.other.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.other.load_state_dict(state)
