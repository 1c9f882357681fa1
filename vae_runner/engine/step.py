"""One training step on given images: forward, backward, update, as fast as this machine makes it.

Nothing in it makes the host wait for a GPU.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vae_runner.engine.config import EngineConfig
from vae_runner.engine.machine.compilation import Compiled
from vae_runner.layers import accelerate
from vae_runner.objective import Objective
from vae_runner.state import LOSS, OWN_LOSS, State

__all__ = ["TrainingStep", "suits_channels_last"]


class TrainingStep:
    """Makes steps of `objective` on the device it is on.

    The objective's weights are rearranged for it: channels last, and convolutions with a faster equal. Neither changes
    a parameter.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        config: EngineConfig,
        device: torch.device,
        precision: str,
    ) -> None:
        self.objective, self.optimizer, self.device, self.precision = objective, optimizer, device, precision
        last = suits_channels_last(objective, device) if config.channels_last == "auto" else config.channels_last
        self.memory_format = torch.channels_last if last else torch.contiguous_format
        if last:
            objective.to(memory_format=torch.channels_last)
        if config.fast_convolutions and device.type == "cpu":
            accelerate(objective)
        self._compiled: Compiled | None = None

    def arrange(self) -> None:
        """Lay loaded sums of the optimiser out in memory as the weights are: a fused one takes that for granted."""
        for parameter, sums in self.optimizer.state.items():
            for name, value in sums.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    laid_out = torch.empty_like(parameter, dtype=value.dtype, device=value.device)
                    sums[name] = laid_out.copy_(value)  # where it was: of a plain Adam's steps, on the CPU

    def compile(self) -> None:
        """Have the objective compiled at the next step."""
        if self._compiled is None:
            self._compiled = Compiled(self.objective, self.device)

    def gradients(self, x: Tensor, target: Tensor, *pair: Tensor) -> State:
        """Forward and backward: returns the state, with the gradients in the parameters' `grad`. `pair`: the images'
        partners, and what is to be reconstructed of them, for terms on pairs.
        """
        laid_out = self._laid_out(x, target) + (self._laid_out(*pair) if pair else ())

        def gradients(forward: Callable[..., State]) -> State:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                state = forward(*laid_out)
            self.optimizer.zero_grad(set_to_none=True)
            _total(state).backward()
            return state

        return gradients(self.objective) if self._compiled is None else self._compiled(gradients)

    def _laid_out(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        laid_out = x.contiguous(memory_format=self.memory_format)
        return laid_out, laid_out if target is x else target.contiguous(memory_format=self.memory_format)

    def update(self, state: State) -> None:
        """The optimiser's step, and what follows on it."""
        self.optimizer.step()
        self.objective.on_step_training(state)


def suits_channels_last(module: nn.Module, device: torch.device) -> bool:
    """Whether to keep the module's convolutions channel by channel for each pixel.

    With one channel both layouts are the same memory, of which torch's compiler takes one and cuDNN the other: a step
    with such a convolution cannot be compiled on a GPU (torch 2.11), which makes it several times faster.
    """
    return device.type == "cpu" or not any(one.dim() == 4 and 1 in one.shape[:2] for one in module.parameters())


def _total(state: State) -> Tensor:
    """The model's loss and what terms train weights of their own by: each weight has its gradient from one of them."""
    return state[LOSS] + state[OWN_LOSS] if OWN_LOSS in state else state[LOSS]
