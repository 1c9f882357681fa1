"""`trials=N`: a sweep that is a search, of so many jobs; of a search that goes on, how many it is to come to.

It is a setting of Hydra's sweeper `optuna` under a shorter name, so that the sweep's list holds it.
"""

from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from vae_runner.cli.arguments import Request, name_of, taken_out
from vae_runner.cli.searching.optuna_sweeper import SEARCH

__all__ = ["TRIALS", "is_search", "is_sweepers", "take_trials"]

TRIALS = "trials"
SETTING = "hydra.sweeper.n_trials"
SWEEPER = "hydra/sweeper"


def take_trials(request: Request) -> list[str]:
    """Put `trials=N` among the settings in the sweeper's words; returns a line for each thing that is wrong with it."""
    given, value, faults = taken_out(request, TRIALS, "a search")
    if not given:
        return []
    if not (value.isascii() and value.isdecimal() and int(value) > 0):
        faults.append(f"{TRIALS} must be how many jobs a search makes, 1 or more; got {value[:40] or 'nothing'}")
    if other := _other(request.overrides):
        faults.append(f"{given} and {other} do not go together; leave one of them out")
    elif not any(name_of(text) == SWEEPER for text in request.overrides):
        request.overrides.append(f"{SWEEPER}={SEARCH}")  # a search is meant, however many trials
    if not faults:
        request.trials = value
        request.overrides.append(f"{SETTING}={value}")
    return faults


def is_sweepers(setting: str) -> bool:
    """Whether a setting is what `trials=N` stands for, of all settings the one of a search that may be given anew."""
    return name_of(setting) in (SWEEPER, SETTING)


def is_search(settings: Sequence[Override]) -> bool:
    """Whether they choose that sweeper."""
    return any(one.key_or_group == SWEEPER and one.value() == SEARCH for one in settings)


def _other(settings: Sequence[str]) -> str | None:
    """A setting that says otherwise what sweep it is, or how long."""
    for text in settings:
        if name_of(text) == SETTING or (name_of(text) == SWEEPER and text.partition("=")[2] != SEARCH):
            return text
    return None
