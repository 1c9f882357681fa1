"""A decoder as a list of steps that a few lines of any language can run, and as plain containers for a page.

Registers hold numbers, float32, row by row; register 0 the code, (D,). A step reads registers and constants and writes
one register. What each `op` means stands in `drawing/explorer/decode.js`, which runs them; `in` lists registers from 0,
constants as -1, -2, ..., and null for what there is not. Shapes are those of one image and never change.

Constants of many numbers are kept as half floats, others as they are: a page of half a million weights is 1.3 MB.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["MANY", "Program", "packed"]

MANY = 16_384  # numbers of a constant from which it is kept as half floats
LARGEST = 60_000.0  # of a half float, nearly


@dataclass
class Program:
    """Steps, their constants, and the `size` of each register.

    Example:
        >>> program = Program([2])
        >>> program.emit("map", [0], (1, 2), name="relu", given=[])
        1
        >>> program.plain()["steps"]
        [{'op': 'map', 'in': [0], 'out': 1, 'shape': [1, 2], 'name': 'relu', 'given': []}]
    """

    sizes: list[int]
    steps: list[dict[str, Any]] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    result: int = 0
    shape: tuple[int, ...] = ()

    def constant(self, values: Tensor) -> int:
        """Keep a constant as it is now; returns how a step names it."""
        self.constants.append(values.detach().to("cpu", torch.float32, copy=True).contiguous())
        return -len(self.constants)

    def emit(self, op: str, inputs: Sequence[int | None], shape: Sequence[int], **given: Any) -> int:
        """Write a step down, whose result has that shape; returns its register."""
        self.sizes.append(int(np.prod(shape)))
        self.steps.append({"op": op, "in": list(inputs), "out": len(self.sizes) - 1, "shape": list(shape), **given})
        return len(self.sizes) - 1

    def plain(self) -> dict[str, Any]:
        """Returns it as JSON holds it; the weights are one text of base64."""
        data, table = bytearray(), []
        for values in self.constants:
            kind = _kind(values)
            table.append({"kind": kind, "start": len(data), "size": values.numel()})
            data += values.flatten().numpy().astype(f"<{kind}").tobytes()
        known = {"sizes": self.sizes, "steps": self.steps, "result": self.result, "shape": list(self.shape)}
        return {**known, "constants": table, "weights": base64.b64encode(data).decode()}


def packed(values: Tensor) -> str:
    """Returns numbers as a text of base64 of half floats; what these do not hold becomes their largest."""
    clipped = values.detach().cpu().float().clamp(-LARGEST, LARGEST).nan_to_num()
    return base64.b64encode(clipped.contiguous().numpy().astype("<f2").tobytes()).decode()


def _kind(values: Tensor) -> str:
    is_small = bool(torch.isfinite(values).all()) and (values.numel() == 0 or float(values.abs().max()) < LARGEST)
    return "f2" if values.numel() >= MANY and is_small else "f4"
