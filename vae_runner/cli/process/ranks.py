"""One run by several processes: which of them leads, and what they cannot do together."""

import os
from collections.abc import Callable

from vae_runner.cli.arguments import Request
from vae_runner.errors import UserError

__all__ = ["led", "refuse_sweep"]


def led(request: Request, lead: Callable[[], int]) -> int:
    """Do what the request says, which is `lead`; of several processes that torchrun has started for one run the first
    one does it, and the others follow. Returns the exit code.
    """
    if "WORLD_SIZE" not in os.environ:
        return lead()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else it tells of a process that is gone in a hundred lines
    from vae_runner.ranks.joining import joined  # loads torch
    from vae_runner.ranks.torchrun import Place

    place = Place.told(os.environ)
    if place is not None and "--cfg" in request.flags:
        return lead() if place.rank == 0 else 0
    with joined(place) as ranks:
        if ranks.is_first:
            return lead()
        from vae_runner.experiment.several.following import follow

        return follow(ranks)


def refuse_sweep() -> None:
    """Raises `UserError` where several processes are to do several runs."""
    from vae_runner.ranks import current

    if (world := current().world) > 1:
        raise UserError(
            f"started {world} times at once (WORLD_SIZE={world}), as torchrun does it, which is for one run on several "
            "devices; start a sweep by itself: --multirun ... jobs=N spreads its runs over the devices"
        )
