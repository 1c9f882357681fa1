"""What a run sets for the whole process while it trains, since in a sweep one process runs many jobs."""

import contextlib
from collections.abc import Iterator

import torch

from vae_runner.randomness import isolated

__all__ = ["own_globals"]


@contextlib.contextmanager
def own_globals(seed: int, device: torch.device, threads: int) -> Iterator[None]:
    """Inside, the number of threads, the generators and cuDNN's choice of kernels are the run's own; afterwards they
    are as they were before.
    """
    before, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    with isolated(seed, device):
        try:
            torch.set_num_threads(threads)
            torch.backends.cudnn.deterministic = True  # else a resumed run differs in the last digits
            yield
        finally:
            torch.set_num_threads(before)
            torch.backends.cudnn.deterministic = deterministic
