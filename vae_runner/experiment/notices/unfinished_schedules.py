"""Schedules that the run is too short for, told before it starts; and a learning rate that it is too long for.

The end of a schedule c is c(10^9), where it rests from there on; one that does not, such as a cyclic one, has no end to
be missed. A run of T steps ends on the way to it where |c(10^9) - c(T)| > 0.01 max(|c(0)|, |c(10^9)|).
"""

import logging

import torch

from vae_runner.engine import Engine

__all__ = ["log_unfinished_schedules", "schedule_advice", "spent_rate", "unfinished_schedules"]

log = logging.getLogger(__name__)

FAR = (10**9, 10**9 + 7_919, 10**9 + 104_729)  # steps


def log_unfinished_schedules(engine: Engine) -> None:
    """Log a line for each schedule that ends later than the run; and a warning where there is nothing to be learned."""
    for line in unfinished_schedules(engine):
        log.info("%s", line)
    if spent := spent_rate(engine):
        log.warning("%s", spent)


def schedule_advice(engine: Engine) -> list[str]:
    """Returns these lines, for the page of the run."""
    return [*unfinished_schedules(engine), *filter(None, [spent_rate(engine)])]


def unfinished_schedules(engine: Engine) -> list[str]:
    """'capacity comes to 2.5 on its way to 25: its schedule is longer than the run's 10,000 steps'."""
    steps = torch.tensor([0, engine.total_steps, *FAR])
    lines = []
    for name, values in engine.schedules(steps).items():
        start, last, *far = values.tolist()
        rests = len(set(far)) == 1
        if rests and abs(far[0] - last) > 0.01 * max(abs(start), abs(far[0])):
            lines.append(
                f"{name} comes to {last:.3g} on its way to {far[0]:.3g}: its schedule is longer than the run's "
                f"{engine.total_steps:,} steps"
            )
    return lines


def spent_rate(engine: Engine) -> str | None:
    """'the learning rate is 0 at all 10,000 steps to come: ...', as of a run that goes on behind a cosine's end."""
    to_come = engine.total_steps - engine.step
    steps = torch.linspace(engine.step, engine.total_steps - 1, min(to_come, 1000), dtype=torch.float64).round().long()
    if to_come <= 0 or engine.schedules(steps)["lr"].any():
        return None
    return (
        f"the learning rate is 0 at all {to_come:,} steps to come, since its schedule is over: nothing more is "
        f"learned; to train longer, start anew with engine.steps={engine.total_steps}"
    )
