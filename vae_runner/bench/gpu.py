"""What a GPU does while steps are made: for how much of each it is busy, and the memory that it takes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["Use", "covered", "use"]

STEPS = 50  # that are looked at


@dataclass(frozen=True)
class Use:
    """busy      seconds of a step in which a kernel or a copy runs
    memory    bytes that the process holds on the GPU at most, free ones that it keeps included
    """

    busy: float
    memory: int


def use(steps: Callable[[int], None], device: torch.device) -> Use | None:
    """What so many calls of `steps`, which makes steps and waits for the device, take of a GPU; None of a CPU."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiled:
        steps(STEPS)
    events = (e for e in profiled.events() if e.device_type.name == "CUDA" and not e.is_user_annotation)
    busy = covered((event.time_range.start, event.time_range.end) for event in events)  # microseconds
    return Use(busy / 1e6 / STEPS, torch.cuda.max_memory_reserved(device))


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals (start, end)."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(end - max(start, reached), 0)
        reached = max(reached, end)
    return total
