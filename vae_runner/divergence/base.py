"""What all divergences have: a weight, a capacity, a reduction, and the step that they are at.

A divergence is a module that reads distributions from the state, and adds to its loss

    post( beta(t) gamma |KL - C(t)| ),     KL = reduce(compute(...)),

in this order, whatever the order in which it was configured; `reduce` is the batch mean of the sum over dimensions.

    with_beta(4)                 beta = 4                    Higgins et al. 2017, beta-VAE
    with_capacity(C, gamma)      |KL - C| weighted by gamma  Burgess et al. 2018, equation 8
    with_post_function(post)     last; several are applied in the order in which they were given

t counts training steps only (`on_step_training`), in a buffer, so that device moves, `state_dict` and resuming need
no special code.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.schedule import Linear, Schedule, as_schedule
from vae_runner.state import LOSS, METRICS, SCHEDULED, State, StateKey

__all__ = ["DivergenceBase", "sum_mean", "sum_sum"]


def sum_mean(divergence: Tensor) -> Tensor:
    """Returns the mean over the batch of the sum over all other dimensions, nats per image; () is a mean already."""
    return (divergence.flatten(1).sum(1) if divergence.dim() > 1 else divergence).mean()


def sum_sum(divergence: Tensor) -> Tensor:
    """Returns the sum over everything: nats per batch, so it grows with the batch size."""
    return divergence.sum()


class DivergenceBase(nn.Module):
    """Base class: override `compute`.

    `keys` maps the argument names of `compute` to the state's keys; where `state_key` is given, what `compute` returns
    is stored there. `name` stands before the names of its metrics, for models with several latent spaces.
    """

    step: Tensor

    def __init__(self, keys: dict[str, StateKey], state_key: StateKey | None = None) -> None:
        super().__init__()
        self.keys = dict(keys)
        self.state_key = state_key
        self.name = ""
        self._reduction: Callable[[Tensor], Tensor] = sum_mean
        self._beta: Schedule = as_schedule(1.0)
        self._gamma = 1.0
        self._capacity: Schedule | None = None
        self._post_functions: list[Callable[[Tensor], Tensor]] = []
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def compute(self, **kwargs: Distribution) -> Tensor:
        """Returns the divergence (batch, distribution dimensions), nats."""
        raise NotImplementedError(f"{type(self).__name__} has no compute")

    def loss(self, state: State) -> Tensor:
        """Returns the weighted, scheduled term (), nats; its parts go to the state's metrics, where it has them.

        Metrics (name before them): `kl` () and `kl_dims` (D,), nats per image whatever the reduction; `divergence` ()
        the term itself.
        """
        divergence = self.compute(**{name: state[key] for name, key in self.keys.items()})
        if self.state_key is not None:
            state[self.state_key] = divergence
        reduced = self._reduction(divergence)
        term = self.weighted(reduced)
        self._report(state, divergence.detach(), term.detach())
        return term

    def weighted(self, reduced: Tensor) -> Tensor:
        """Returns post(beta(t) gamma |reduced - C(t)|), at the current step t."""
        excess = reduced if self._capacity is None else (reduced - self._capacity(self.step)).abs()
        term = self._beta(self.step) * self._gamma * excess
        for post_function in self._post_functions:
            term = post_function(term)
        return term

    def scheduled(self) -> dict[str, Tensor]:
        """Returns the schedules' values at the current step: `beta` (gamma included), `capacity` where there is one."""
        return self.scheduled_at(self.step)

    def scheduled_at(self, steps: Tensor) -> dict[str, Tensor]:
        """Returns the schedules' values at the given steps, in their shape; names as of `scheduled`."""
        values = {f"{self.name}beta": self._beta(steps) * self._gamma}
        if self._capacity is not None:
            values[f"{self.name}capacity"] = self._capacity(steps)
        return values

    def on_criterion(self, state: State) -> None:
        """Add the term to the state's loss."""
        state[LOSS] = state[LOSS] + self.loss(state)

    def on_criterion_validation(self, state: State) -> None:
        """Add the term to the state's loss; the step does not move."""
        self.on_criterion(state)

    def on_step_training(self, state: State) -> None:
        """Move the schedules on by one step; to be called after the optimiser's step, never in validation."""
        self.step.add_(1)  # not `+=`: to set a module's attribute takes ten times as long

    def with_post_function(self, post_fcn: Callable[[Tensor], Tensor]) -> "DivergenceBase":
        """Apply `post_fcn` to the weighted term; returns self."""
        self._post_functions.append(post_fcn)
        return self

    def with_reduction(self, reduction_fcn: Callable[[Tensor], Tensor]) -> "DivergenceBase":
        """Reduce what `compute` returns to a single value by `reduction_fcn`; returns self."""
        self._reduction = reduction_fcn
        return self

    def with_sum_mean_reduction(self) -> "DivergenceBase":
        """Reduce by `sum_mean` (default); returns self."""
        return self.with_reduction(sum_mean)

    def with_sum_sum_reduction(self) -> "DivergenceBase":
        """Reduce by `sum_sum`, which depends on the batch size; returns self."""
        return self.with_reduction(sum_sum)

    def with_beta(self, beta: float | Schedule) -> "DivergenceBase":
        """Multiply by `beta`, a number or a schedule (Higgins et al. 2017); returns self."""
        self._beta = as_schedule(beta)
        return self

    def with_capacity(self, capacity: float | Schedule, gamma: float = 1000.0) -> "DivergenceBase":
        """Train |KL - C(t)| weighted by `gamma`, C a number or a schedule, nats (Burgess et al. 2018); returns self."""
        self._capacity, self._gamma = as_schedule(capacity), float(gamma)
        return self

    def with_linear_capacity(
        self, min_c: float = 0, max_c: float = 25, steps: int = 100000, gamma: float = 1000
    ) -> "DivergenceBase":
        """`with_capacity` with C going linearly from `min_c` to `max_c` nats over `steps` steps; returns self."""
        return self.with_capacity(Linear(float(min_c), float(max_c), steps), gamma)

    def _report(self, state: State, divergence: Tensor, term: Tensor) -> None:
        if METRICS in state:
            each = divergence.reshape(len(divergence), -1) if divergence.dim() else divergence.reshape(1, 1)
            state[METRICS][f"{self.name}kl"] = each.sum(1).mean()
            state[METRICS][f"{self.name}kl_dims"] = each.mean(0)
            state[METRICS][f"{self.name}divergence"] = term
        if SCHEDULED in state:
            state[SCHEDULED].update(self.scheduled())
