"""Randomness as a function of (seed, purpose, number), so that nothing random has to be saved to resume exactly."""

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

__all__ = ["all_isolated", "isolated", "permutation", "reseed", "reseed_all", "seed_for"]


def seed_for(seed: int, purpose: str, number: int = 0) -> int:
    """A seed of 63 bits of its own for each (seed, purpose, number): independent streams, the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def permutation(size: int, seed: int) -> Tensor:
    """Returns a random order of range(size), (size,) int64, without touching the global generator."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))


def reseed(seed: int, device: torch.device) -> None:
    """Start the generators that a step on this device draws from, as `torch.manual_seed` does for all there are; where
    there is no GPU, that one keeps a note of each call for ever.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def reseed_all(seed: int) -> None:
    """Start the global generators of torch (on the CPU), NumPy and Python, from all of which a user's code may draw."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - that one is meant


@contextlib.contextmanager
def isolated(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, the global generators start from `seed`; afterwards they are as if nothing had happened."""
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        reseed(seed, device)
        yield


@contextlib.contextmanager
def all_isolated(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """As `isolated`, with the global generators of Python and NumPy too."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with isolated(seed, device):
            reseed_all(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
