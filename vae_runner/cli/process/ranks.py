"""One process, one run: what starts N of them for one run, as torchrun does, would train it N times over."""

import os

from vae_runner.errors import UserError

__all__ = ["refuse_ranks"]


def refuse_ranks() -> None:
    """Raises `UserError` in the first of several processes that torchrun has started; the others exit in silence."""
    world, rank = (os.environ.get(name, "") for name in ("WORLD_SIZE", "RANK"))
    if not (world.isdecimal() and rank.isdecimal() and int(world) > 1):
        return
    if int(rank) > 0:
        raise SystemExit(2)
    raise UserError(
        f"started {world} times at once (WORLD_SIZE={world}), as torchrun does it: one run takes one process and one "
        "device. Start vae-train by itself; --multirun ... jobs=N spreads several runs over the devices"
    )
