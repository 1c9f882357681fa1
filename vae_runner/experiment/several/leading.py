"""What the first of several processes does for the others: it hands out the config, and the state to begin with."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.several.shareable import check_shareable
from vae_runner.ranks import Ranks

__all__ = ["begin_together", "call"]

log = logging.getLogger(__name__)


def call(ranks: Ranks, config: Mapping[str, Any]) -> None:
    """Have the others assemble what this process is about to, of the same modules of the user's."""
    ranks.hand_out({"config": dict(config), "modules": list(sys.path)})


def begin_together(engine: Engine, config: Mapping[str, Any]) -> None:
    """Bring the others to where this process is. Raises `UserError` where one of them cannot come."""
    ranks = engine.ranks
    if ranks.world == 1:
        return
    check_shareable(engine, config)
    if faults := ranks.all_faults():
        raise UserError("\n".join(faults))
    ranks.hand_out(engine.state_dict())
    each = engine.config.batch_size // ranks.world
    log.info("ranks %d processes, each of which makes %d of a batch's %d images", ranks.world, each, each * ranks.world)
