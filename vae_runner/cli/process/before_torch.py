"""What has to be in the environment before torch is loaded: how threads wait, and where compiled kernels are kept.

libgomp's threads spin for milliseconds at the end of each parallel part. Where another program needs the processor,
they spin in its way, and two threads make a fraction of the images that they make where they sleep soon.

torch keeps kernels in the folder of temporary files, unless it is told otherwise by the time that it is loaded; there
the next start of the machine takes them.
"""

import os
import sys
from collections.abc import MutableMapping

from vae_runner.paths import cache_dir

__all__ = ["prepare_environment"]

SPINS = "20000"  # rounds of its loop, a fraction of a millisecond: on a quiet machine 1000 cost a third of the rate
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # what a user may have set about it
KERNELS = "TORCHINDUCTOR_CACHE_DIR"


def prepare_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have threads sleep soon, and kernels kept in the cache folder, in this process and those that it starts, where
    the user has not said otherwise, and torch has not been loaded: it would be too late.
    """
    if "torch" in sys.modules:
        return
    if not any(name in environment for name in WAITING):
        environment[WAITING[0]] = SPINS
    environment.setdefault(KERNELS, str(cache_dir() / "compiled"))
