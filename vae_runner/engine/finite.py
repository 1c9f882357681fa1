"""Steps whose loss or gradient is no finite number: found before the update, and the end of the run, or left out.

One nan in one gradient is all over the weights after one update. What tells it is the norm over all parameters,

    |g| = sqrt(sum_i g_i^2),

which is finite where every g_i is, and below 1e19 (what is larger would be lost in Adam's squares). Clipping has it
already; weights that a term has for itself are clipped apart from the model's, and judged with them. On a CPU every
step is looked at. A GPU's host would have to wait for it: where such a step ends the run, the first one is noted on the
device and read where something is written anyway, so that no record and no checkpoint comes after it; where it is left
out, the host does wait.

A step that is left out changes no weight, no moment of the optimiser and no mean of the logs; the step counter and the
schedules go on, so that every other step has the images and the noise that it would have had.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vae_runner.errors import RunError
from vae_runner.state import LOSS, METRICS, State

__all__ = ["NonFinite", "gradient_norm"]

log = logging.getLogger(__name__)

FEW = 10  # steps that may be left out in a row, and in all
SHARE = 0.01  # of the steps that may be left out, where that is more


class NonFinite:
    """Judges every step before its update; `skipped` counts those left out.

    `stop`: a step that is not finite ends the run. `skip`: it is left out, but no more than `FEW` in a row, nor more
    than a `SHARE` of all.
    """

    def __init__(self, policy: Literal["stop", "skip"], device: torch.device) -> None:
        self.policy = policy
        self.waits = device.type == "cpu" or policy == "skip"
        self.skipped = self._in_a_row = 0
        self._first = torch.full((3,), -1.0, dtype=torch.float64, device=device)  # step, loss, norm of the first one

    def is_sound(self, state: State, norm: Tensor, step: int, is_read: Callable[[], bool]) -> bool:
        """Whether to make the update of this step; on a GPU known for certain only where the device `is_read()`.

        Raises `RunError` where the run has to end.
        """
        loss = state[LOSS].detach()
        if not self.waits:
            self._note(step, loss, norm)
            if is_read() and (found := self._first.tolist())[0] >= 0:
                first, loss_then, norm_then = found
                raise RunError(f"{_cause(loss_then, norm_then)} at step {first:.0f}; seen and stopped at step {step}")
            return True
        if math.isfinite(float(loss)) and math.isfinite(float(norm)):
            self._in_a_row = 0
            return True
        told = f"{_cause(float(loss), float(norm))} at step {step} ({_parts(state)})"
        if self.policy == "stop":
            raise RunError(f"{told}; stopped before the update (engine.on_nonfinite=skip leaves such steps out)")
        self._skip(step, told)
        return False

    def state_dict(self) -> dict[str, int]:
        """Returns what a resumed run goes on counting from."""
        return {"skipped": self.skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was called; older checkpoints have none."""
        self.skipped, self._in_a_row = state.get("skipped", 0), state.get("in_a_row", 0)

    def _skip(self, step: int, told: str) -> None:
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row > FEW:
            raise RunError(f"{told}; stopped, since the {FEW} steps before it were left out too")
        if self.skipped > max(FEW, SHARE * (step + 1)):
            raise RunError(
                f"{told}; stopped, since {self.skipped - 1} steps were left out before, more than {SHARE:.0%}"
            )
        log.warning("%s; the step is left out", told)

    def _note(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Keep the first bad step on the device, without waiting for it."""
        found = torch.stack([torch.full_like(self._first[0], step), loss.double(), norm.double()])
        is_first = ~(found.isfinite().all()) & (self._first[0] < 0)
        self._first = torch.where(is_first, found, self._first)


def gradient_norm(players: Sequence[Sequence[Tensor]], largest: float | None = None) -> Tensor:
    """Returns the norm of all gradients, (), of parameters on one device; those of each player are scaled down to the
    `largest`, if given.
    """
    norms = [_norm(parameters, largest) for parameters in players]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))


def _norm(parameters: Sequence[Tensor], largest: float | None) -> Tensor:
    if largest is not None:
        return nn.utils.clip_grad_norm_(parameters, largest)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:  # a player that has not played
        return parameters[0].new_zeros(())
    # as `nn.utils.get_total_norm`, without its search for devices and types, which takes a third of the time
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def _cause(loss: float, norm: float) -> str:
    return f"loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"


def _parts(state: State) -> str:
    names = (name for name, value in state[METRICS].items() if value.dim() == 0 and name != "loss")
    return ", ".join(f"{name} {float(state[METRICS][name]):.6g}" for name in names)
