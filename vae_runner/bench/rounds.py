"""Turns of several processes, and what can be said of their times."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

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
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Timing:
    """What one program took: seconds a step in each turn, seconds a step of the parts, and once for all the rest."""

    steps: list[float] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    first_step: float = 0.0
    peak_memory: int = 0

    @property
    def seconds(self) -> list[float]:
        """Seconds a step in each turn, with what the parts add to it."""
        return [taken + sum(self.parts.values()) for taken in self.steps]


def take_turns(programs: Mapping[str, Sequence[str]], rounds: int, seconds: float) -> dict[str, Timing]:
    """Time the programs (label -> worker's arguments) in `rounds` turns of about so many `seconds` each.

    Raises `RunError` where one of them does.
    """
    with ExitStack() as stack:
        workers = {label: stack.enter_context(_worker(label, arguments)) for label, arguments in programs.items()}
        timings = {label: Timing(first_step=worker.first_step) for label, worker in workers.items()}
        counts = {label: worker.steps_in(seconds) for label, worker in workers.items()}
        for _ in range(rounds):
            for label, worker in workers.items():
                timings[label].steps.append(worker.ask(counts[label])["seconds"] / counts[label])
        for label, worker in workers.items():
            answer = worker.ask("parts")
            timings[label].parts, timings[label].peak_memory = answer["parts"], answer["peak_memory"]
    return timings


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
