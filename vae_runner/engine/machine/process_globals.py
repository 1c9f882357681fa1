"""What a run sets for the whole process while it trains and reports what came of it, since in a sweep one process runs
many jobs.
"""

import contextlib
from collections.abc import Iterator

import torch

from vae_runner.randomness import isolated

__all__ = ["process_globals"]


@contextlib.contextmanager
def process_globals(seed: int, device: torch.device, threads: int) -> Iterator[None]:
    """Inside, the number of threads, the generators and cuDNN's choice of kernels are the run's own; afterwards they
    are as they were before.

    A GPU's float32 is that in convolutions too, where torch would round the factors to TF32, 10 bits of mantissa. On
    the CPU, numbers below 1e-38 are 0: a processor takes a hundred times as long for each of these, and where a net is
    sure of a pixel, at logits beyond 87, its probability and the gradient are such.
    """
    cudnn = torch.backends.cudnn
    before, deterministic, rounded = torch.get_num_threads(), cudnn.deterministic, cudnn.allow_tf32
    flushed = _is_flushing()
    with isolated(seed, device):
        try:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(True)
            cudnn.deterministic = True  # else a resumed run differs in the last digits
            cudnn.allow_tf32 = False
            yield
        finally:
            torch.set_flush_denormal(flushed)
            torch.set_num_threads(before)
            cudnn.deterministic, cudnn.allow_tf32 = deterministic, rounded


def _is_flushing() -> bool:
    """Whether a product that is no normal number is 0; torch can be told so, and not be asked."""
    return float(torch.full((1,), torch.finfo(torch.float32).tiny) / 4) == 0
