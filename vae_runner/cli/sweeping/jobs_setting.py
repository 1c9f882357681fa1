"""`jobs=N`: how many jobs of a sweep run at once, each in a process of its own; `auto` as many as this machine is for.

It is a setting of Hydra's launcher `processes` under a shorter name, so that the sweep's list holds it, and a resumed
sweep may be given another one.
"""

import contextlib
from collections.abc import Iterator

from vae_runner.cli.arguments import Request, name_of, taken_out
from vae_runner.datasets.reading.parallel import memory_bytes, usable_cores
from vae_runner.errors import UserError

__all__ = ["AUTO", "JOBS", "jobs_fault", "number_of_jobs", "serial_hint", "take_jobs", "told_together"]

JOBS, AUTO = "jobs", "auto"
LAUNCHER = "processes"
MEMORY = 1_500_000_000  # bytes that a job may take of its own, beside the images, which all share


def take_jobs(request: Request) -> list[str]:
    """Put `jobs=N` among the settings in the launcher's words; returns a line for each thing that is wrong with it."""
    given, value, faults = taken_out(request, JOBS, "a sweep")
    if not given:
        return []
    faults += [fault] if (fault := jobs_fault(value)) else []
    others = [text for text in request.overrides if name_of(text).startswith(("hydra/launcher", "hydra.launcher"))]
    if others:
        faults.append(f"{given} and {others[0]} both say where jobs run; give one of them")
    if not faults:
        request.jobs = value
        one = value == "1"  # one after another, in this process
        request.overrides += ["hydra/launcher=basic"] if one else [f"hydra/launcher={LAUNCHER}"]
        request.overrides += [] if one else [f"hydra.launcher.{JOBS}={value}"]
    return faults


@contextlib.contextmanager
def told_together(faults: list[str]) -> Iterator[None]:
    """Raises `UserError` with those lines, and behind them with what is found inside."""
    try:
        yield
    except UserError as error:
        raise UserError("\n".join([*faults, str(error)])) from error
    if faults:
        raise UserError("\n".join(faults))


def jobs_fault(value: object) -> str | None:
    """What is wrong with a number of jobs at once."""
    text = str(value)
    if text == AUTO or (text.isascii() and text.isdecimal() and int(text) > 0):
        return None
    return f"{JOBS} must be {AUTO}, or how many run at once, 1 or more; got {text[:40] or 'nothing'}"


def serial_hint(jobs: int) -> str | None:
    """What to tell of a sweep of so many jobs that runs them one after another where it need not."""
    at_once = number_of_jobs(AUTO, jobs, 0)
    return f"sweep {jobs} jobs, one after another; {JOBS}={AUTO} runs {at_once} at once" if at_once > 1 else None


def number_of_jobs(wanted: int | str, jobs: int, devices: int) -> int:
    """How many of so many jobs run at once; `devices` are the GPUs that they use, 0 on a CPU.

    `auto` is one for each GPU, or for each core that this process may use, as far as they find memory.
    """
    if wanted != AUTO:
        return min(int(wanted), jobs)
    return min(devices or min(usable_cores(), max(memory_bytes() // MEMORY, 1)), jobs)
