"""What a run sets for the whole process while it trains and reports what came of it, since in a sweep one process runs
many jobs.
"""

import contextlib
from collections.abc import Iterator

import torch

from vae_runner.randomness import isolated

__all__ = ["process_globals", "whole_float32"]


@contextlib.contextmanager
def process_globals(seed: int, device: torch.device, threads: int) -> Iterator[None]:
    """Inside, the number of threads, the generators and cuDNN's choice of kernels are the run's own; afterwards they
    are as they were before.

    Float32 is `whole_float32`. On the CPU, numbers below 1e-38 are 0: a processor takes a hundred times as long for
    each of these, and where a net is sure of a pixel, at logits beyond 87, its probability and the gradient are such.
    """
    cudnn = torch.backends.cudnn
    before, deterministic, flushed = torch.get_num_threads(), cudnn.deterministic, _is_flushing()
    with isolated(seed, device), whole_float32():
        try:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(True)
            cudnn.deterministic = True  # else a resumed run differs in the last digits
            yield
        finally:
            torch.set_flush_denormal(flushed)
            torch.set_num_threads(before)
            cudnn.deterministic = deterministic


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """Inside, a GPU's float32 is that in convolutions too, where torch would round the factors to TF32, 10 bits of
    mantissa.
    """
    cudnn = torch.backends.cudnn
    rounded = cudnn.allow_tf32
    try:
        cudnn.allow_tf32 = False
        yield
    finally:
        cudnn.allow_tf32 = rounded


def _is_flushing() -> bool:
    """Whether a product that is no normal number is 0; torch can be told so, and not be asked."""
    return float(torch.full((1,), torch.finfo(torch.float32).tiny) / 4) == 0
