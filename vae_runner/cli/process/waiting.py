"""How long a thread that waits for others spins before it sleeps: set before torch is loaded, and libgomp with it.

libgomp's threads spin for milliseconds at the end of each parallel part. Where another program needs the processor,
they spin in its way, and two threads make a fraction of the images that they make where they sleep soon.
"""

import os
import sys
from collections.abc import MutableMapping

__all__ = ["sleep_soon"]

SPINS = "20000"  # rounds of its loop, a fraction of a millisecond: on a quiet machine 1000 cost a third of the rate
OWN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # what a user may have set about it


def sleep_soon(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have threads sleep soon, in this process and those that it starts, where the user has not said how they wait, and
    torch has not been loaded: it would be too late.
    """
    if "torch" not in sys.modules and not any(name in environment for name in OWN):
        environment[OWN[0]] = SPINS
