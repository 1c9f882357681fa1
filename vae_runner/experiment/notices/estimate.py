"""What a run will take, before it starts: parameters, memory and time, measured on a few real steps of a copy.

A copy of the objective and of its optimiser is trained on a few small batches and thrown away, so that the run is the
same to the bit with an estimate and without one. For B images in a batch,

    memory(B) = what the process has + gradients + optimiser's state + held(B) + 4 largest(B),
    seconds(B) = seconds(b) + (B - b) (seconds(b) - seconds(a)) / (b - a),

where a and b are the last of the batches of 4, 16, 64, ... images that are timed, until one takes a quarter of a second
or is as large as the run's: an update of millions of weights takes its time whatever the batch.

`held` is what autograd keeps for the backward pass, counted by its own hooks, and what is in the step's state, each
storage once; counted for 2 and for 4 images, and in a straight line from there. Its largest part counts four times
more: the backward pass holds the gradients of a layer's input and output beside it, and libraries rearrange both.
Validation and pictures come on top of the time.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vae_runner.datasets.reading.parallel import memory_bytes
from vae_runner.engine import Engine
from vae_runner.engine.trial import Trial
from vae_runner.runs.words import duration

__all__ = ["Estimate", "describe_estimate", "estimate", "tell_size", "too_large"]

log = logging.getLogger(__name__)

FEW, MORE = 2, 4  # images of the batches whose memory is counted
GROWTH = 4  # times as many images in the next batch that is timed
PATIENCE = 0.25  # seconds: a larger batch than one that takes so long is not timed


@dataclass(frozen=True)
class Estimate:
    """Memory in bytes: `fixed` whatever the batch, `per_image` more for each of its images; `seconds` for a step."""

    parameters: int
    fixed: int
    per_image: float
    batch_size: int
    seconds: float

    @property
    def memory(self) -> float:
        """Bytes at the batch size."""
        return self.fixed + self.batch_size * self.per_image


def tell_size(engine: Engine) -> None:
    """Log what the run will take, and a warning where there is too little memory for it."""
    steps = engine.total_steps - engine.step
    try:
        measured = estimate(engine)
    except Exception as error:  # a part that cannot be copied, say: no reason not to train
        log.info("size  %s parameters; memory and time are unknown: %s", _millions(_count(engine)), error)
        return
    log.info("%s", describe_estimate(measured, steps))
    if problem := too_large(measured, memory_room(engine.device), engine.ranks.world):
        log.warning("%s", problem)


def estimate(engine: Engine) -> Estimate:
    """Measure steps of a copy of the engine's parts, under the run's own number of threads."""
    threads = torch.get_num_threads()
    engine.prepare()
    try:
        torch.set_num_threads(engine.threads)
        return _measured(engine, engine.config.batch_size // engine.ranks.world)
    finally:
        torch.set_num_threads(threads)


def describe_estimate(estimate: Estimate, steps: int) -> str:
    """The line that says what `steps` steps will take."""
    return (
        f"size  {_millions(estimate.parameters)} parameters, about {_gigabytes(estimate.memory)} of memory, "
        f"about {estimate.seconds:.2g} s a step: {steps:,} steps in {duration(steps * estimate.seconds)}"
    )


def too_large(estimate: Estimate, room: int | None, processes: int = 1) -> str | None:
    """What to do where each of the processes needs more than `room` bytes; None where it does not, or nobody knows the
    room.
    """
    if room is None or estimate.memory <= room:
        return None
    fitting = processes * int((room - estimate.fixed) / estimate.per_image)
    advice = f"engine.batch_size={fitting} would fit" if fitting > 0 else "take a smaller model or smaller images"
    return f"this will hardly fit into memory, {_gigabytes(room)} in all; {advice}"


def memory_room(device: torch.device) -> int | None:
    """Bytes that this process can have on the device: of a GPU what it has and what is free, else the machine's or its
    container's.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device)
    try:
        return memory_bytes()
    except (ValueError, OSError):
        return None


def _measured(engine: Engine, batch_size: int) -> Estimate:
    present = _present_memory(engine.device)
    step = _Step(engine.objective, engine.optimizer, engine.config, engine.train, engine.device, engine.precision)
    few, more = step.held(FEW), step.held(MORE)
    per_image = (more - few) / (MORE - FEW)
    gradients = sum(_bytes(parameter) for parameter in engine.objective.parameters() if parameter.requires_grad)
    kept = _state_bytes(step.step.optimizer) - _state_bytes(engine.optimizer)  # a resumed run has its state already
    return Estimate(
        parameters=_count(engine),
        fixed=int(present + gradients + kept + few - FEW * per_image),
        per_image=per_image,
        batch_size=batch_size,
        seconds=_seconds(step.least_seconds, batch_size),
    )


def _seconds(measured: Callable[[int], float], batch_size: int) -> float:
    """Seconds of a step, in a straight line from those of smaller ones where it is too long to be tried."""
    size = min(MORE, batch_size)
    taken = measured(size)
    each = 0.0
    while size < batch_size and (size == MORE or taken < PATIENCE):
        larger = min(GROWTH * size, batch_size)
        longer = measured(larger)
        each = max(longer - taken, 0.0) / (larger - size)
        size, taken = larger, longer
    return taken + (batch_size - size) * each


class _Step(Trial):
    """Training steps of a copy of the engine's parts, on images of its training set."""

    def held(self, size: int) -> int:
        """Bytes that a step on `size` images needs beside parameters and the like."""
        own = {_place(tensor) for tensor in self.step.objective.state_dict().values()}
        sizes: dict[int, int] = {}
        with _saved_tensors(sizes):
            state = self(size)
        tensors = [value for value in state.values() if isinstance(value, Tensor)]
        sizes |= {_place(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}
        held = [count for place, count in sizes.items() if place not in own]
        return sum(held) + 4 * max(held)

    def least_seconds(self, size: int) -> float:
        """Wall time of a step on `size` images, the faster of two; one before chooses kernels and takes memory."""
        return min([self.seconds(size) for _ in range(3)][1:])


@contextmanager
def _saved_tensors(sizes: dict[int, int]) -> Iterator[None]:
    """Inside, note the bytes of each storage that autograd keeps, by its address."""

    def keep(tensor: Tensor) -> Tensor:
        sizes[_place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _present_memory(device: torch.device) -> int:
    """Bytes that this process has on the device now: torch itself, the images, the weights."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _state_bytes(optimizer: torch.optim.Optimizer) -> int:
    tensors = (value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor))
    return sum(map(_bytes, tensors))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _count(engine: Engine) -> int:
    return sum(parameter.numel() for parameter in engine.objective.parameters())


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
