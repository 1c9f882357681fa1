"""Which colour and which dashes a run's curve has: runs that differ by their seed alone share the colour."""

from vae_runner.drawing.palette import RUNS_LIGHT
from vae_runner.report.sweep.jobs import Sweep

__all__ = ["COLOURS", "DASHES", "colours"]

COLOURS = len(RUNS_LIGHT)
DASHES = 4  # as many as the style sheet has


def colours(sweep: Sweep) -> list[str]:
    """Returns classes of the style sheet, 'c0 d1', one for each run; of more groups than there are colours, 'many'."""
    by_seed_alone = set(sweep.keys) <= {"seed"}
    groups: dict[object, int] = {}
    members: dict[object, int] = {}
    found = []
    for job in sweep.jobs:
        group = job.name if by_seed_alone else tuple(item for item in job.apart.items() if item[0] != "seed")
        members[group] = members.get(group, -1) + 1
        found.append((groups.setdefault(group, len(groups)), members[group]))
    if len(groups) > COLOURS:
        return ["best" if job.is_best else "many" for job in sweep.jobs]
    return [f"c{colour} d{min(dash, DASHES - 1)}" for colour, dash in found]
