"""Where torchrun, or another launcher that sets its environment variables, has put this process.

RANK, WORLD_SIZE                  its number among all processes of the run, and how many they are
LOCAL_RANK, LOCAL_WORLD_SIZE      the same on this machine: the number of its GPU
MASTER_ADDR, MASTER_PORT          where they meet
"""

from collections.abc import Mapping
from typing import NamedTuple

from vae_runner.errors import UserError

__all__ = ["Place"]


class Place(NamedTuple):
    """A process's number among `world`, and among the `local_world` of its machine.

    Example:
        >>> meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
        >>> Place.told({"RANK": "1", "WORLD_SIZE": "2", **meeting})
        Place(rank=1, world=2, local_rank=1, local_world=2)
    """

    rank: int
    world: int
    local_rank: int
    local_world: int

    @classmethod
    def told(cls, environment: Mapping[str, str]) -> "Place | None":
        """Returns the place; None of a process that is alone.

        Raises:
            UserError: where there are others, and the environment does not say where they meet.
        """
        rank, world = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
        if rank is None or world is None or world < 2 or rank >= world:
            return None
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environment.get(name)]
        if missing and rank == 0:
            raise UserError(
                f"started {world} times at once (WORLD_SIZE={world}) without {' and '.join(missing)}: start one run on "
                "several devices by torchrun, which sets them, or by setting them alike for all processes"
            )
        if missing:
            raise SystemExit(2)  # the first one says so
        local_rank, local_world = _number(environment, "LOCAL_RANK"), _number(environment, "LOCAL_WORLD_SIZE")
        return cls(rank, world, rank if local_rank is None else local_rank, local_world or world)


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None
