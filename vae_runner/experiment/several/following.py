"""What another process than the first does of a run: its part of every step, and nothing that is seen.

It has its config and the state to begin with from the first one, and ends with it. What goes wrong here alone is told
by the first one, as far as that is still there.
"""

import logging
from pathlib import Path
from typing import Any

from vae_runner.engine import Engine, Interrupted
from vae_runner.errors import RunError, in_words
from vae_runner.experiment.assemble import assemble
from vae_runner.experiment.signals import StopSignals
from vae_runner.paths import make_importable
from vae_runner.ranks import Ranks
from vae_runner.ranks.last_words import OthersGone

__all__ = ["follow"]


def follow(ranks: Ranks) -> int:
    """Train with the first process; returns the exit code. Raises `RunError` where this is the process that has to tell
    that another one is gone.
    """
    logging.disable(logging.WARNING)  # the first one says the same
    signals = StopSignals()
    with signals.listening():
        signals.defer()  # until all find it in the same message
        try:
            return _followed(ranks, signals)
        except Interrupted:
            return 0  # the first one saves the step, and says so
        except OthersGone as gone:
            if not ranks.is_to_tell():
                return 0  # the first one has told why
            raise RunError(f"{gone}; the first of {ranks.world}, which keeps the run's folder, says no more") from gone
        except Exception as error:
            ranks.fail(_of(ranks, error))
            return 1


def _followed(ranks: Ranks, signals: StopSignals) -> int:
    called = ranks.hand_out()
    make_importable(*map(Path, filter(None, called["modules"])))
    engine, fault = _assembled(called["config"], ranks, signals)
    if ranks.all_faults(fault) or engine is None:
        return 0
    engine.load_state_dict(ranks.hand_out())
    engine.run()
    return 0


def _assembled(config: dict[str, Any], ranks: Ranks, signals: StopSignals) -> tuple[Engine | None, str | None]:
    """The engine, or why there is none here."""
    try:
        return assemble(config, None, lambda: signals.number, None, ranks), None
    except OthersGone:
        raise
    except Exception as error:
        return None, _of(ranks, error)


def _of(ranks: Ranks, error: Exception) -> str:
    return f"process {ranks.rank} of {ranks.world}: {in_words(error)}"
