"""One of several processes that make a run together: a group of torch.distributed, over gloo, and NCCL between GPUs."""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

import vae_runner.ranks.gathering  # noqa: F401 - an operator, found by its name
from vae_runner.errors import UserError
from vae_runner.ranks.group import Ranks, Unsent
from vae_runner.ranks.last_words import LastWords, OthersGone, losses_told
from vae_runner.ranks.message import Message
from vae_runner.ranks.share import Share, sharing
from vae_runner.ranks.torchrun import Place

__all__ = ["Several"]

LONGEST = timedelta(days=7)  # that the others wait for the first process, while it validates and draws
PATIENCE = 3.0  # seconds in which all others have read that the first process went


class Several(Ranks):
    """One of the processes that have met. The collectives are called by all, in the same order."""

    def __init__(self, place: Place) -> None:
        self.place, self.rank, self.world = place, place.rank, place.world
        has_gpu = torch.cuda.is_available() and place.local_world <= torch.cuda.device_count()
        if has_gpu:
            torch.cuda.set_device(place.local_rank)
        store, rank, world = next(rendezvous("env://"))
        backend = "cpu:gloo,cuda:nccl" if has_gpu else "gloo"
        group = dist.PrefixStore("group", store)
        dist.init_process_group(backend, store=group, rank=rank, world_size=world, timeout=LONGEST)
        self.last_words = LastWords(dist.PrefixStore("last words", store), world)
        self._threads = self.hand_out(min(torch.get_num_threads(), max(1, _cores() // place.local_world)))

    def rows(self, batch: int) -> slice | None:
        if batch % self.world:
            fitting = max(batch // self.world, 1) * self.world
            raise UserError(
                f"engine.batch_size={batch} cannot be shared out evenly among {self.world} processes; give a multiple, "
                f"such as {fitting} or {fitting + self.world}"
            )
        return Share(self.rank, self.world).rows(batch)

    def taken(self, device: torch.device) -> torch.device:
        gpus = torch.cuda.device_count()
        if device.type == "cuda" and self.place.local_world > gpus:
            raise UserError(
                f"{self.place.local_world} processes on this machine and {gpus} GPU{'s' if gpus > 1 else ''}: start "
                "one for each (--nproc-per-node), or take engine.device=cpu"
            )
        return device

    def threads(self, fixed: int | None) -> int | None:
        return fixed or self._threads

    def sharing(self) -> contextlib.AbstractContextManager[None]:
        return sharing(Share(self.rank, self.world))

    def message(self, parameters: Iterable[nn.Parameter], stop_signal: Callable[[], int | None]) -> Unsent:
        return Message([one for one in parameters if one.requires_grad], self.world, stop_signal)

    def hand_out(self, value: Any = None) -> Any:
        box = [value if self.is_first else None]
        with losses_told():
            dist.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]

    def all_faults(self, fault: str | None = None) -> list[str]:
        said: list[str | None] = [None] * self.world
        with losses_told():
            dist.all_gather_object(said, fault)
        return [words for words in said if words]

    def even(self, tensors: Sequence[Tensor]) -> None:
        with losses_told():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def loss(self, error: Exception) -> str:
        why = self.last_words.failure() if isinstance(error, OthersGone) else None
        return f"{why or error}"

    def fail(self, why: str) -> None:
        self.last_words.fail(why)

    def is_to_tell(self) -> bool:
        return self.is_first or self.last_words.is_to_tell(PATIENCE)

    def leave(self) -> None:
        """The last act of a process in its group."""
        if self.is_first:
            self.last_words.first_leaves()
            self.last_words.wait_till_seen(PATIENCE)
        else:
            self.last_words.see()
        dist.destroy_process_group()


def _cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
