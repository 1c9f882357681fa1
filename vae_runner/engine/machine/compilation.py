"""Compiling the objective, forward and backward, into few kernels (torch.compile).

It pays for itself where the steps are many: the first compilation takes up to a minute on a CPU, a later one of the
same model seconds, for its kernels are kept in the cache folder. On a GPU the step becomes a CUDA graph besides, which
takes the launches, all that a net so small waits for, out of the way.

Random numbers come from torch's own generators, compiled or not, so both draw the same. Kernels ask how many threads
there are when they are used, and so are the same ones where a run takes another number.
"""

import contextlib
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vae_runner.errors import RunError
from vae_runner.ranks.share import is_sharing
from vae_runner.state import State

__all__ = ["Compiled", "pays"]

log = logging.getLogger(__name__)

# Steps from which on compiling pays. On a CPU the default net has made up for its first compilation after 6,100, for a
# later one after 620 (benchmarks/README.md). What is in a cache must not decide: a compiled step rounds otherwise.
MANY = {"cpu": 20_000, "cuda": 500}
JOBS = 256  # of a sweep that are compiled in one process, each different; torch would give up at the ninth
USES = {"cpu": 1, "cuda": 3}  # until nothing is left to fail: a GPU runs the kernels, records them, plays the record


def pays(device: torch.device, steps: int, module: nn.Module) -> bool:
    """Whether a run of so many steps of the module gains by compiling, and can.

    With group norms, on a CPU, it does not: compiled they are slower than `layers.normalisation`, and a step of the
    residual net takes 1.14 times as long.
    """
    if steps < MANY[device.type]:
        return False
    has_norms = any(isinstance(part, nn.GroupNorm) for part in module.modules())
    return device.type != "cpu" or (not has_norms and _has_compiler())


class Compiled:
    """A module that is compiled when it is used first; where that fails, one warning, and the module as it is.

    It is used for a forward and a backward pass together, since the one may be compiled later than the other; and what
    a GPU records of them, it records when they are used next.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module, self.device = module, device
        self._compiled: Callable[..., State] | None = None
        self._unproven = USES[device.type]

    def __call__(self, gradients: Callable[[Callable[..., State]], State]) -> State:
        """Returns `gradients(forward)`, both passes of a step, with the compiled module as `forward`, or the module."""
        if not self._unproven:
            return self._run(gradients)
        generators = _Generators(self.device)
        try:
            if self._compiled is None:
                log.info("compiling the step: up to a minute the first time, seconds from then on")
                self._compiled = self._compile()
            with torch._dynamo.config.patch(recompile_limit=JOBS), warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.")  # of torch to itself
                state = self._run(gradients)
        except RunError:  # no fault of the compiler: another process of the run is gone
            raise
        except Exception as error:  # whatever a compiler, its tools or the module have to say
            log.warning("the step cannot be compiled, going on without: %s", _reason(error))
            self._compiled, self._unproven = None, 0
            generators.restore()
            return gradients(self.module)
        self._unproven -= 1
        return state

    def _compile(self) -> Callable[..., State]:
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # 'no CUDA runtime' is no news on a CPU
        options: dict[str, Any] = {"fallback_random": True, "cpp.dynamic_threads": True}
        if self.device.type == "cuda" and not is_sharing():  # what is gathered of other processes is in no record
            options["triton.cudagraphs"] = True
        return torch.compile(self.module, dynamic=False, options=options)

    def _run(self, gradients: Callable[[Callable[..., State]], State]) -> State:
        if self._compiled is None:
            return gradients(self.module)
        if self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        with _recomputing():
            return gradients(self._compiled)


class _Generators:
    """The state of torch's generators, to go back to."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._cuda: Tensor | None = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)


@contextlib.contextmanager
def _recomputing() -> Iterator[None]:
    """Let the backward pass recompute the signs of activations: on a CPU, kernels that store them as booleans are slow
    (7 ns for each, ten times the activation itself). Only what is on torch's list of operations that may be computed
    again is; `aggressive_recomputation` would draw the noise again, and so be wrong.
    """
    from torch._functorch import config

    with config.patch(
        ban_recompute_used_far_apart=False,
        ban_recompute_long_fusible_chains=False,
        ban_recompute_materialized_backward=False,
    ):
        yield


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++", "c++") if name)


def _reason(error: Exception) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
