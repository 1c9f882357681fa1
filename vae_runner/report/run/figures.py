"""The few figures that a run is judged by."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from vae_runner.foreign import dig, number
from vae_runner.report.run.findings import DEAD_NATS, latent_kl
from vae_runner.runs.growing.record_table import points
from vae_runner.runs.read import Run
from vae_runner.runs.words import count, duration, moment, nats
from vae_runner.text import plain

__all__ = ["Figure", "figures", "images_per_second", "wall_seconds"]

SHORT = 40  # characters of a file's name


@dataclass(frozen=True)
class Figure:
    """A figure, readable, with its unit or what else there is to say about it."""

    name: str
    value: str
    about: str


def figures(run: Run) -> list[Figure]:
    """Returns those that are known: the test's, the last validation's, the active latents, speed and time."""
    return [*_tested(run), *_validated(run), *_active(run), *_speed(run)]


def images_per_second(run: Run) -> float | None:
    """In training, the median, so that a pause does not count."""
    rates = [rate for _, rate in points(run.train, "images_per_second") if math.isfinite(rate)]
    return median(rates) if rates else None


def wall_seconds(run: Run) -> float | None:
    """Of all processes that the run has had."""
    before, own = _seconds(run)
    return None if own is None else before + own


def _tested(run: Run) -> Iterator[Figure]:
    """-ELBO of the weights that the validation chose, on images that chose nothing."""
    if run.test and (found := points(run.test[-1:], "neg_elbo")):
        step, value = found[0]
        file = plain(run.test[-1].get("checkpoint"), SHORT) if run.test[-1].get("checkpoint") else "the weights"
        yield Figure("Test -ELBO", nats(value), f"nats per image, test; {file} of step {count(step)}")


def _validated(run: Run) -> Iterator[Figure]:
    for key, name, decimals in (("neg_elbo", "-ELBO", 1), ("recon", "Reconstruction", 1), ("kl", "KL", 2)):
        if found := points(run.validation, key):
            about = "nats per image, validation" + (_best(found) if key == "neg_elbo" else "")
            yield Figure(name, nats(found[-1][1], decimals), about)
    if found := points(run.validation, "bits_per_dim"):
        yield Figure("Bits/dim", nats(found[-1][1], 4), "-ELBO for each number of an image, validation")


def _best(neg_elbo: Sequence[tuple[float, float]]) -> str:
    """Where it was lower than it is at the end."""
    finite = [point for point in neg_elbo if math.isfinite(point[1])]
    step, value = min(finite, key=lambda point: point[1], default=neg_elbo[-1])
    return f"; best {nats(value)} at step {count(step)}" if step != neg_elbo[-1][0] else ""


def _active(run: Run) -> Iterator[Figure]:
    if kl := latent_kl(run):
        yield Figure("Active latents", f"{kl.active} of {len(kl.nats)}", f"KL of {DEAD_NATS} nats or more, {kl.split}")


def _speed(run: Run) -> Iterator[Figure]:
    rate = images_per_second(run)
    if rate is not None:
        yield Figure("Images/s", count(rate), "in training, median")
    before, own = _seconds(run)
    if own is not None:
        started = run.status.get("started")
        about = f"{'resumed' if before else 'started'} {moment(started)}" if started else ""
        yield Figure("Time", duration(before + own), about)


def _seconds(run: Run) -> tuple[float, float | None]:
    """Wall time of the processes before this one, if the run was resumed, and of this one: each has its own clock."""
    clock = [point for point in points(run.train, "seconds") if math.isfinite(point[1])]
    *before, last = _ends(clock, _first_steps(run)) or [None]
    own = number(run.status.get("seconds"))
    return math.fsum(before), last if own is None else own


def _ends(clock: Sequence[tuple[float, float]], starts: Sequence[float]) -> list[float]:
    """Where the clock of each process stands in its last record; where its first step is not known, a clock that goes
    back tells of a new one.
    """
    if not starts:
        behind = [seconds for _, seconds in clock[1:]]
        pairs = itertools.zip_longest([seconds for _, seconds in clock], behind, fillvalue=-math.inf)
        return [seconds for seconds, following in pairs if following < seconds]
    ends = [0.0] * len(starts) if clock else []
    for step, seconds in clock:  # in the order of the steps
        ends[max((number for number, start in enumerate(starts) if start < step), default=0)] = seconds
    return ends


def _first_steps(run: Run) -> list[float]:
    """The step that each process of the run has gone on from; empty where not all are known."""
    sessions = run.environment.get("sessions")
    found = [number(dig(session, "from_step")) for session in (sessions if isinstance(sessions, list) else [])]
    return [] if None in found else found
