"""Turns of several processes, and what can be said of their times."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from vae_runner.bench.gpu import Use
from vae_runner.bench.worker import BORN
from vae_runner.errors import RunError

__all__ = ["Spread", "Timing", "take_turns"]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Returns the spread of these values, two or more."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Timing:
    """What one program took, in all its processes."""

    steps: list[float] = field(default_factory=list)  # seconds a step in each turn
    seconds: list[float] = field(default_factory=list)  # the same with what the parts add to it
    starts: list[dict[str, float]] = field(default_factory=list)  # of each process, the parts' seconds a step
    first_steps: list[float] = field(default_factory=list)  # of each process, seconds from its start
    peak_memory: int = 0  # bytes, of the largest
    gpu: list[Use] = field(default_factory=list)  # of each process that used one

    def add(
        self,
        steps: Sequence[float],
        parts: Mapping[str, float],
        first_step: float,
        peak_memory: int,
        gpu: Mapping[str, Any] | None = None,
    ) -> None:
        """What one process more took."""
        self.steps += steps
        self.seconds += [taken + sum(parts.values()) for taken in steps]
        self.starts.append(dict(parts))
        self.first_steps.append(first_step)
        self.peak_memory = max(self.peak_memory, peak_memory)
        self.gpu += [] if gpu is None else [Use(**gpu)]

    @property
    def parts(self) -> dict[str, float]:
        """Seconds a step of each part, the median over the processes."""
        return {name: statistics.median(parts[name] for parts in self.starts) for name in self.starts[0]}

    @property
    def first_step(self) -> float:
        """Seconds, the median over the processes."""
        return statistics.median(self.first_steps)


def take_turns(
    programs: Mapping[str, Sequence[str]], rounds: int, seconds: float, starts: int = 1
) -> dict[str, Timing]:
    """Time the programs (label -> worker's arguments) in `rounds` turns of about so many `seconds` each, shared out
    evenly over `starts` processes of each program, one after the other.

    Raises `RunError` where one of them does.
    """
    timings = {label: Timing() for label in programs}
    with tqdm(total=len(programs) * (rounds + starts), unit="turn", leave=False, disable=None) as bar:
        for start in range(starts):
            bar.set_description(f"start {start + 1} of {starts}")
            share = rounds * (start + 1) // starts - rounds * start // starts
            _one_start(programs, share, seconds, timings, bar.update)
    return timings


def _one_start(
    programs: Mapping[str, Sequence[str]],
    rounds: int,
    seconds: float,
    timings: Mapping[str, Timing],
    done: Callable[[], object],
) -> None:
    """`done` is called behind each turn, and each program's start and first steps."""
    with ExitStack() as stack:
        workers = {label: stack.enter_context(_worker(label, arguments)) for label, arguments in programs.items()}
        counts: dict[str, int] = {}
        for label, worker in workers.items():
            counts[label] = worker.steps_in(seconds)
            done()
        taken: dict[str, list[float]] = {label: [] for label in programs}
        for _ in range(rounds):
            for label, worker in workers.items():
                taken[label].append(worker.ask(counts[label])["seconds"] / counts[label])
                done()
        for label, worker in workers.items():
            timings[label].add(taken[label], first_step=worker.first_step, **worker.ask("rest"))


class _Worker:
    def __init__(self, label: str, process: subprocess.Popen[str]) -> None:
        self.label, self.process = label, process
        self.first_step = self.answer()["first_step"]

    def ask(self, wish: Any) -> dict[str, Any]:
        print(json.dumps(wish), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"stopped with exit code {self.process.wait()}"}
        if "error" in answer:
            raise RunError(f"{self.label}: {answer['error']}")
        return answer

    def steps_in(self, seconds: float) -> int:
        """How many steps take so long, once the first ones are over."""
        self.ask(2)
        count, taken = 1, 0.0
        while taken < seconds / 4:
            taken = self.ask(count)["seconds"]
            count *= 2
        return max(round(seconds * (count / 2) / taken), 1)


@contextmanager
def _worker(label: str, arguments: Sequence[str]) -> Iterator[_Worker]:
    command = [sys.executable, "-m", "vae_runner.bench.worker", *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, BORN: repr(time.time())},
    )
    try:
        yield _Worker(label, process)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
