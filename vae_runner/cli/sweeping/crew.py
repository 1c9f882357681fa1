"""Several jobs of a sweep at once: the processes that do them, and the one that leads them and alone speaks to people.

On Linux the processes are forks: they share torch as it was imported, and all images that are kept in memory, page by
page, and one begins in a few milliseconds. Where a fork is not safe, beside a GPU, on macOS, or in a process that has
trained before, each is started anew, and reads its own images.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from vae_runner.cli.hydra_compat import job_config
from vae_runner.cli.job import say
from vae_runner.cli.process.own_process import Program
from vae_runner.cli.sweeping.jobs_bar import JobsBar
from vae_runner.cli.sweeping.jobs_setting import number_of_jobs
from vae_runner.cli.sweeping.member import SIGNALS, Duty, serve
from vae_runner.datasets.reading.parallel import usable_cores
from vae_runner.runs.words import duration

__all__ = ["Crew", "lead"]

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK = 0.5  # seconds to wait for a word
DATA = ("dataset", "experiment", "seed")  # how the settings begin that decide which images a job reads


class _Member:
    """A process, as its leader sees it: the job that it is at, and how far that is."""

    def __init__(self, duty: Duty, threads: int, device: str | None, forked: bool) -> None:
        context: Any = multiprocessing.get_context("fork" if forked else "spawn")
        self.pipe, theirs = context.Pipe()
        read = {VISIBLE: device, "OMP_NUM_THREADS": str(threads)}  # by torch, when it is imported
        with _environment(read), _signals_waiting(forked):
            self.process = context.Process(target=serve, args=(theirs, duty, threads), daemon=True)
            self.process.start()
        theirs.close()
        self.job: int | None = None
        self.begun = 0.0
        self.step, self.steps, self.rate = 0, 0, 0.0

    @property
    def share(self) -> float:
        """What is done of its job."""
        return self.step / self.steps if self.steps and self.job is not None else 0.0

    def give(self, number: int, settings: list[str]) -> None:
        self.job, self.step, self.steps, self.rate = number, 0, 0, 0.0
        self.begun = time.monotonic()
        with contextlib.suppress(OSError):  # it has just died, which is seen next
            self.pipe.send((number, settings))

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """What it has said since it was listened to last."""
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                yield self.pipe.recv()


class Crew:
    """`do` does the jobs, by number, as many at once as `wanted` says."""

    def __init__(self, wanted: int | str, duty: Duty, jobs: Mapping[int, list[str]]) -> None:
        self.duty, self.jobs = duty, jobs
        self.devices = _devices(duty, jobs)
        self.size = number_of_jobs(wanted, len(jobs), len(self.devices))
        self.threads = max(usable_cores() // self.size, 1)
        self.forked = sys.platform == "linux" and not self.devices and Program.is_alone
        self.waiting = deque(jobs)
        self.members: list[_Member | None] = [None] * self.size
        self.figures: dict[int, float] = {}
        self.is_stopping = False

    def do(self) -> dict[int, float]:
        """Do all of them; returns what each came to, nan where it failed.

        Raises `Interrupted` where this process was asked to stop, when all jobs have saved their step and ended.
        """
        self.bar = JobsBar(len(self.jobs), self.size, bool(self.duty.config.engine.progress))
        self.bar.tell(self._described())
        if self.forked:
            _look_up_images(self.duty, self.jobs, self.size)
        try:
            self._follow()
        except KeyboardInterrupt as stop:
            self._stop(getattr(stop, "number", signal.SIGINT))
            raise
        finally:
            self._end()
            self.bar.close()
        return self.figures

    def _described(self) -> str:
        where = f" on {len(self.devices)} GPU{'s'[: len(self.devices) > 1]}" if self.devices else ""
        threads = f"{self.threads} thread{'s'[: self.threads > 1]} each"
        return f"sweep {len(self.jobs)} jobs, {self.size} at once in processes of their own{where}, {threads}"

    def _follow(self) -> None:
        while len(self.figures) < len(self.jobs):
            for place, member in enumerate(self.members):
                if self.waiting and (member is None or member.job is None):
                    self._give(place)
            self._listen()

    def _give(self, place: int) -> None:
        member = self.members[place]
        if member is None:
            device = self.devices[place % len(self.devices)] if self.devices else None
            member = self.members[place] = _Member(self.duty, self.threads, device, self.forked)
        number = self.waiting.popleft()
        member.give(number, self.jobs[number])

    def _listen(self) -> None:
        """Hear what the members have to say, for as long as it takes until one speaks."""
        members = [member for member in self.members if member is not None]
        wait([end for member in members for end in (member.pipe, member.process.sentinel)], LOOK)
        for place, member in enumerate(self.members):
            if member is not None:
                is_over = member.process.exitcode is not None  # before what it said last is read
                for message in member.messages():
                    self._take(member, *message)
                if is_over:
                    self._miss(place, member)
        self.bar.show(len(self.figures), [(one.share, one.rate) for one in self.members if one and one.job is not None])

    def _take(self, member: _Member, kind: str, *values: Any) -> None:
        if kind == "step":
            member.step, member.steps, member.rate = values
        elif kind == "done":
            if math.isfinite(values[0]):  # else it has said why
                took = duration(time.monotonic() - member.begun)
                self.bar.tell(f"job {member.job}   done, -ELBO {values[0]:.2f}, {took}")
            self._note(member, values[0])
        elif kind == "failed":
            self._fail(member, values[0])
        elif kind == "stopped" and not self.is_stopping and member.job is not None:
            self._fail(member, f"stopped by {signal.Signals(values[0]).name}")
        elif kind in ("line", "error") and not self.is_stopping:
            self.bar.tell(values[0], is_error=kind == "error")

    def _note(self, member: _Member, figure: float) -> None:
        assert member.job is not None
        self.figures[member.job], member.job = figure, None

    def _fail(self, member: _Member, reason: str) -> None:
        with self.bar.aside():
            say(f"error: job {member.job} failed: {reason}")
        self._note(member, float("nan"))

    def _miss(self, place: int, member: _Member) -> None:
        """A process has ended; another will take its place."""
        self.members[place] = None
        if member.job is not None and not self.is_stopping:
            code = member.process.exitcode or 0
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            hint = "; is there memory for so many at once?" if -code == signal.SIGKILL else ""
            self._fail(member, f"its process was {how}{hint}")

    def _stop(self, number: int) -> None:
        """Have all jobs save their step and end, and wait for that; a second signal ends them at once."""
        self.is_stopping = True
        for member in filter(None, self.members):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.process.pid, number)
        with contextlib.suppress(KeyboardInterrupt):
            while any(self.members):
                self._listen()

    def _end(self) -> None:
        """Let the processes go: those without a job by themselves, those that are still at one at once."""
        for member in filter(None, self.members):
            with contextlib.suppress(OSError):
                member.pipe.send(None)
            if member.job is not None:
                member.process.kill()
        for member in filter(None, self.members):
            member.process.join()
            member.pipe.close()


def lead(
    wanted: int | str, context: HydraContext, cfg: DictConfig, task: TaskFunction, jobs: Mapping[int, list[str]]
) -> dict[int, float]:
    """Do the jobs of the composed sweep, which are known by their numbers; returns what each came to, as `Crew.do`."""
    return Crew(wanted, Duty(context, cfg, task), jobs).do()


def _devices(duty: Duty, jobs: Mapping[int, list[str]]) -> list[str]:
    """The GPUs that the jobs use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    chosen = {
        next((text.partition("=")[2] for text in reversed(settings) if "engine.device=" in text), "")
        for settings in jobs.values()
    }
    if {one or duty.config.engine.device for one in chosen} == {"cpu"} or not torch.cuda.is_available():
        return []
    given = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return given or [str(number) for number in range(torch.cuda.device_count())]


def _look_up_images(duty: Duty, jobs: Mapping[int, list[str]], most: int) -> None:
    """Have the images in memory that the first jobs read, for all processes to share. What is wrong with them is told
    by the jobs.
    """
    from vae_runner.experiment.assemble import build_set

    kinds: dict[tuple[str, ...], int] = {}
    for number, settings in jobs.items():
        kinds.setdefault(tuple(text for text in settings if text.lstrip("+~").startswith(DATA)), number)
    for number in list(kinds.values())[:most]:
        with contextlib.suppress(Exception):
            build_set(job_config(duty.context, duty.config, jobs[number])["dataset"])


@contextlib.contextmanager
def _signals_waiting(forked: bool) -> Iterator[None]:
    """Inside, signals wait, and go on waiting in a process that is started: of Ctrl-C in the midst of its imports it
    would print a traceback.
    """
    if not forked:
        resource_tracker.ensure_running()  # which lets signals through where it begins
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Inside, those variables are set that have a value here."""
    before = {name: os.environ.get(name) for name, value in values.items() if value is not None}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
