"""Candidates timed in turns, so that what else the machine does falls on all of them alike."""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection

import numpy as np
import torch

from vae_runner.engine.machine.allocator import keep_freed_memory

__all__ = ["compare", "compare_processes"]

ROUNDS, BURN_IN = 30, 4

Work = Callable[[], object]


def compare(candidates: Mapping[str, tuple[Work, int]], clock: Callable[[], float] = time.perf_counter) -> None:
    """Run the candidates, (work, its images), in turn, and print for each: time an image, images a second, and how
    many times as fast as the first it was in the same round.
    """
    _report(_rounds({name: lambda one=one: _seconds(*one, clock) for name, one in candidates.items()}))


def compare_processes(candidates: Mapping[str, tuple[Work, int, bool]]) -> None:
    """As `compare`, of (work, its images, whether to keep freed memory), each in a process and on a thread of its own,
    in the processor's time.
    """
    with contextlib.ExitStack() as stack:
        ask = {name: stack.enter_context(_process(*one)) for name, one in candidates.items()}
        _report(_rounds(ask))


def _seconds(work: Work, images: int, clock: Callable[[], float]) -> float:
    """Seconds an image."""
    began = clock()
    work()
    return (clock() - began) / images


def _rounds(ask: Mapping[str, Callable[[], float]]) -> dict[str, np.ndarray]:
    """Seconds an image of each candidate in each round that counts."""
    rounds = [{name: seconds() for name, seconds in ask.items()} for _ in range(BURN_IN + ROUNDS)]
    return {name: np.array([one[name] for one in rounds[BURN_IN:]]) for name in ask}


def _report(seconds: Mapping[str, np.ndarray]) -> None:
    first = next(iter(seconds.values()))
    for name, each in seconds.items():
        low, middle, high = np.percentile(each, (25, 50, 75)) * 1e3
        ratios = " ".join(f"{value:.2f}" for value in np.percentile(first / each, (25, 50, 75)))
        print(f"  {name:28s} {middle:7.4f} ms ({low:.4f} to {high:.4f})  {1e3 / middle:9,.0f} images/s  ratio {ratios}")


@contextlib.contextmanager
def _process(work: Work, images: int, keep_memory: bool) -> Iterator[Callable[[], float]]:
    """A fresh process that answers each call with its seconds an image."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, work, images, keep_memory), daemon=True)
    process.start()
    there.close()

    def ask() -> float:
        here.send(True)
        return here.recv()

    yield ask
    here.close()
    process.join()


def _serve(connection: Connection, work: Work, images: int, keep_memory: bool) -> None:
    torch.set_num_threads(1)
    if keep_memory:
        keep_freed_memory()
    with contextlib.suppress(EOFError):
        while connection.recv():
            connection.send(_seconds(work, images, time.process_time))
