"""What the processes of a run tell one another in every step: one message of all gradients, side by side, of who was
asked to stop, and of the loss.

    (g, s, L) = sum_r (g_r, s_r, L_r) / N,     s_r a place for each signal: 1 where process r was sent it, else 0

So all make the same update, to the bit, and find in the same step that they are to stop. It is sent between the
backward pass and the norm of the gradients, so that clipping and the search for what is not finite see those of the
whole batch. The loss is that of the whole batch on each; where it is not, a part of the user's has drawn other random
numbers than it does elsewhere, and the run ends before its terms drift apart.
"""

import math
import signal
from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vae_runner.errors import RunError
from vae_runner.ranks.group import Unsent
from vae_runner.ranks.last_words import losses_told

__all__ = ["STOPS", "Message"]

LOOK = 16  # steps between two times that a GPU is asked
ALIKE = 1e-3  # relative; other processors sum in another order

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


class Message(Unsent):
    """The gradients of these parameters, and signals, of `world` processes. Its memory is laid out once."""

    def __init__(self, parameters: Sequence[nn.Parameter], world: int, stop_signal: Callable[[], int | None]) -> None:
        super().__init__(stop_signal)
        self.parameters, self.world = list(parameters), world
        first = self.parameters[0]
        sizes = [parameter.numel() for parameter in self.parameters]
        self._flat = first.new_zeros(sum(sizes) + len(STOPS) + 1, requires_grad=False)
        *parts, self._stops, self._loss = self._flat.split([*sizes, len(STOPS), 1])
        self._own_loss = torch.zeros_like(self._loss)
        self._is_far = first.device.type != "cpu"
        self._views = [part.view_as(one) for part, one in zip(parts, self.parameters, strict=True)]

    def exchange(self, loss: Tensor) -> None:
        """Put the mean of all processes' gradients in the place of this one's."""
        pairs = [(view, one.grad) for view, one in zip(self._views, self.parameters, strict=True)]
        views, gradients = zip(*((view, grad) for view, grad in pairs if grad is not None), strict=True)
        torch._foreach_copy_(views, gradients)
        self._stops.zero_()
        if (asked := self.stop_signal()) in STOPS:
            self._stops[STOPS.index(signal.Signals(asked))] = 1
        self._own_loss.copy_(loss.detach())
        self._loss.copy_(self._own_loss)
        with losses_told():
            dist.all_reduce(self._flat)
        self._flat.div_(self.world)
        torch._foreach_copy_(gradients, views)

    def asked(self, step: int) -> int | None:
        """Returns the signal that a process was sent, as of the last message, that of the `step`; a GPU, for which the
        host has to wait, is not asked each time.

        Raises:
            RunError: where the processes have not the same loss.
        """
        if self._is_far and step % LOOK:
            return None
        mean, own = float(self._loss), float(self._own_loss)
        if math.isfinite(mean) and abs(mean - own) > ALIKE * abs(mean) + ALIKE:
            raise RunError(
                f"the {self.world} processes have not the same loss at step {step} ({own:.6g} here, {mean:.6g} in the "
                "mean): some part draws random numbers that depend on the images; start it in one process"
            )
        return next((number for number, part in zip(STOPS, self._stops.tolist(), strict=True) if part), None)
