"""How long, how and on what to train; and what `auto` stands for on this machine."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch

from vae_runner.errors import UserError
from vae_runner.signature import Limit, any_size, enforced, positive

__all__ = ["EngineConfig", "choose_device", "choose_precision"]

Count = Annotated[int, positive]
Norm = Annotated[float, Limit("must be at least 1e-6: smaller gradients train nothing", lambda n: n >= 1e-6, positive)]


@enforced
@dataclass(frozen=True)
class EngineConfig:
    """How long, how and on what to train. Exactly one of `steps` and `epochs` is given, the other is None.

    batch_size        images per step
    seed              of the weights, the order of the images and the noise
    device            auto: the first GPU if there is one
    precision         of the networks in training; weights, losses, KL and validation are always fp32.
                      auto: bf16 where the processor has it in hardware, else fp32
    threads           CPU threads of torch; None: what is fastest in a short trial, made again where others come or go
    compile           torch.compile of the step; auto: where the run is long enough to gain by it
    channels_last     keep images and convolutions channel by channel for each pixel: faster, for the same figures;
                      auto: but for nets that make or take gray images on a GPU
    fast_convolutions on a CPU, faster equals of torch's layers: the same up to the order of summation
    keep_memory       of a step's memory, give nothing back to the system before the end (glibc)
    clip_norm         gradients are scaled down to this norm, 1e-6 or more; None: never
    on_nonfinite      what becomes of a step whose loss or gradient is not finite: stop, the run ends before the update;
                      skip, the step is left out, with a warning, and too many of them end the run
    *_every           steps between two of them; pictures come once earlier, after 100 steps at most, and all at the end
    progress          whether to show a progress bar on a terminal
    tensorboard       whether to write figures and pictures for TensorBoard too
    resume            a run's folder to go on with, whose saved config is then taken
    """

    steps: Count | None = 10_000
    epochs: Count | None = None
    batch_size: Count = 64
    seed: Annotated[int, any_size] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Count | None = None
    compile: bool | Literal["auto"] = "auto"
    channels_last: bool | Literal["auto"] = "auto"
    fast_convolutions: bool = True
    keep_memory: bool = True
    clip_norm: Norm | None = None
    on_nonfinite: Literal["stop", "skip"] = "stop"
    log_every: Count = 50
    validate_every: Count = 2000
    picture_every: Count = 1000
    checkpoint_every: Count = 1000
    progress: bool = True
    tensorboard: bool = False
    resume: str | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either engine.steps or engine.epochs, and set the other to null")


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`. Raises `UserError` where there is no such device."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: expected one of auto, cpu, cuda, got {name!r}; CUDA_VISIBLE_DEVICES chooses a GPU")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("engine.device=cuda but torch sees no GPU; engine.device=cpu works")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(name: str, device: torch.device) -> str:
    """The precision for `auto`: bf16 where the device multiplies it in hardware, else fp32."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch before 2.12 cannot tell
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"
