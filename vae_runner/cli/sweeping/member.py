"""The life of a process that does jobs of a sweep beside others: it is given one after another, and tells how it goes.

It never writes to the terminal, and no key pressed there reaches it: both are its leader's, who forwards signals to it.
Where the leader is gone, killed by whatever it was, it stops as if it had been asked to, with its step saved.
"""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from tqdm import tqdm

from vae_runner.cli.hydra_compat import do_job
from vae_runner.errors import in_words

__all__ = ["SIGNALS", "Duty", "serve"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)  # which wait until it is ready for them
OFTEN = 0.5  # seconds between two looks at whether the leader is there, and two words of a job's step


@dataclass(frozen=True)
class Duty:
    """What the jobs of a sweep have in common."""

    context: HydraContext
    config: DictConfig
    task: TaskFunction


def serve(pipe: Connection, duty: Duty, threads: int) -> None:
    """Do the jobs (number, settings) that come by the pipe, each with so many threads, until None comes.

    What goes back: ("line", text) and ("error", text) for the terminal, ("step", step, steps, images a second),
    ("done", figure), ("failed", reason), and at the end, where it was stopped, ("stopped", signal).
    """
    leader = os.getppid()
    os.setpgrp()  # Ctrl-C is for the leader
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # of a fork, they are the leader's
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    tell = _Telling(pipe)
    sys.stdout, sys.stderr = _Relay(tell, "line"), _Relay(tell, "error")  # type: ignore[assignment]
    tqdm.set_lock(threading.RLock())  # the one that it has is held in common with all other processes
    threading.Thread(target=_stop_without, args=(leader,), daemon=True).start()
    _work(pipe, tell, duty, threads)


def _work(pipe: Connection, tell: "_Telling", duty: Duty, threads: int) -> None:
    import torch

    from vae_runner.callbacks import Progress
    from vae_runner.console import warnings_alone
    from vae_runner.experiment.signals import StopSignals

    torch.set_num_threads(threads)
    Progress.told = tell.step
    try:
        with StopSignals().listening(), warnings_alone():
            while (job := pipe.recv()) is not None:
                tell.now(*_outcome(duty, *job))
    except KeyboardInterrupt as stop:
        tell.now("stopped", getattr(stop, "number", signal.SIGINT))
    except (EOFError, OSError):  # the leader is gone
        pass


def _outcome(duty: Duty, number: int, settings: list[str]) -> tuple[str, Any]:
    try:
        return "done", do_job(duty.context, duty.config, duty.task, number, settings)
    except Exception as error:
        return "failed", in_words(error)


class _Telling:
    """The way to the leader, which several threads may go."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock, self._last = pipe, threading.Lock(), 0.0

    def now(self, *message: Any) -> None:
        with self._lock:
            self._pipe.send(message)

    def step(self, step: int, steps: int, rate: float) -> None:
        if time.monotonic() - self._last >= OFTEN or step == steps:
            self._last = time.monotonic()
            self.now("step", step, steps, rate)


class _Relay:
    """A stream whose lines go to the leader."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, tell: _Telling, kind: str) -> None:
        self._tell, self._kind, self._rest = tell, kind, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(None, lines):
            self._tell.now(self._kind, line)
        return len(text)

    def flush(self) -> None:
        """Nothing: whole lines have gone already."""

    def isatty(self) -> bool:
        return False


def _stop_without(leader: int) -> None:
    while os.getppid() == leader:
        time.sleep(OFTEN)
    os.kill(os.getpid(), signal.SIGTERM)
