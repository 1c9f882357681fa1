"""Means over many steps that stay on the device until they are read."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_runner.errors import UserError
from vae_runner.text import plain

__all__ = ["Means"]


class Means:
    """Weighted means of named tensors. `add` never makes the host wait for the device; `read` does, once.

    Sums are kept in float64, so that the mean does not depend on how many steps are summed.

    Example:
        >>> means = Means()
        >>> means.add({"loss": torch.tensor(1.0)}, weight=3)  # a batch of three
        >>> means.add({"loss": torch.tensor(5.0)})
        >>> means.read()
        {'loss': 2.0}
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weight = 0.0
        self._is_loaded = False

    def add(self, metrics: Mapping[str, Tensor], weight: float = 1.0) -> None:
        """Add one step's metrics, () or (D,) each, with that weight (a batch's size, say); a step left out has none."""
        if not metrics:
            return
        for name, value in metrics.items():
            weighted = value.detach() if weight == 1 else value.detach().double() * weight
            if (total := self._sums.get(name)) is None:
                total = self._sums[name] = torch.zeros_like(weighted, dtype=torch.float64)
            elif total.device != weighted.device or self._is_loaded:
                total = self._sums[name] = _fitting(name, total, weighted)
            total += weighted
        self._weight += weight
        self._is_loaded = False

    def read(self) -> dict[str, float | list[float]]:
        """Returns the means, () as floats and (D,) as lists; empty where nothing was added."""
        return {name: (total / self._weight).tolist() for name, total in self._sums.items()}

    def clear(self) -> None:
        """Start again."""
        self._sums, self._weight = {}, 0.0

    def state_dict(self) -> dict[str, Any]:
        """Returns the sums so far."""
        return {"sums": {name: total.clone() for name, total in self._sums.items()}, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was called; the sums follow the metrics that are added to their device."""
        self._sums = {name: total.clone() for name, total in state["sums"].items()}
        self._weight, self._is_loaded = state["weight"], True


def _fitting(name: str, total: Tensor, weighted: Tensor) -> Tensor:
    """A loaded sum where the metric is. Raises `UserError` where it is the sum of another one."""
    if total.shape != weighted.shape:
        raise UserError(
            f"the checkpoint is of another model than the config: its sum of {plain(name)} is {tuple(total.shape)}, "
            f"and the metric {tuple(weighted.shape)}"
        )
    return total.to(weighted.device, torch.float64)
