"""What all terms of a loss have: a weight, a capacity, a reduction, and the step that they are at.

A term is a module that reads distributions, samples or whatever else from the state, and adds to its loss

    post( beta(t) gamma |D - C(t)| ),     D = reduce(compute(...)),

in this order, whatever the order in which it was configured; `reduce` is the batch mean of the sum over dimensions.

    with_beta(4)                 beta = 4                    Higgins et al. 2017, ICLR, OpenReview Sy2fzU9gl
    with_capacity(C, gamma)      |KL - C| weighted by gamma  Burgess et al. 2018, arXiv 1804.03599, equation 8
    with_post_function(post)     last; several are applied in the order in which they were given

t counts training steps only (`on_step_training`), in a buffer, so that device moves, `state_dict` and resuming need
no special code.

A term may have weights of its own, which play against the model's (a discriminator, say). It trains them by `own_loss`,
while `loss` sees them frozen, so that one backward pass of the sum of both gives each player its own gradient.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from vae_runner.schedule import Linear, Scaled, Schedule, as_schedule
from vae_runner.state import LOSS, METRICS, SCHEDULED, State, StateKey

__all__ = ["RESERVED", "DivergenceBase", "sum_mean", "sum_sum"]

Parts = dict[str, Tensor]
# What the runner itself logs: no term's figure has one of these names, so that none can pass for what is measured.
RESERVED = frozenset({"loss", "recon", "kl", "kl_dims", "neg_elbo", "bits_per_dim", "active_units"})
RESERVED |= {"mean_variance_dims", "sigma", "scale", "lr", "step", "epoch", "split", "seconds", "skipped"}
RESERVED |= {"images_per_second"}


def sum_mean(divergence: Tensor) -> Tensor:
    """Returns the mean over the batch of the sum over all other dimensions, nats per image; () is a mean already."""
    return (divergence.flatten(1).sum(1) if divergence.dim() > 1 else divergence).mean()


def sum_sum(divergence: Tensor) -> Tensor:
    """Returns the sum over everything: nats per batch, so it grows with the batch size."""
    return divergence.sum()


class DivergenceBase(nn.Module):
    """Base class: override `compute`, or `compute_parts` where there is more than one figure to log.

    `keys` maps the argument names of `compute` to the state's keys, or to several, for a tuple of values; where
    `state_key` is given, what `compute` returns is stored there. `name` stands before the names of its metrics.
    In a step, all of a term's arithmetic is in float32, whatever the networks' precision.

    Attributes:
        is_kl: whether `compute(input, target)` is KL(input || target) of each dimension, (B, D), exactly or estimated:
            where these are q and p, it is not computed a second time to be measured. A class that overrides `compute`
            says so anew.
        replaces_recon: whether it takes off the reconstruction that every loss starts with, for one of its own: one
            term can.
        trains_recon: of a term that takes it off, whether a gradient goes through it; else it is but measured.
        is_of_numbers: whether its latents have to be numbers of their own, and not a class's.
        takes_partners: whether it trains on pairs of images, which differ in `differ` factors; None: in 1 to all but
            one, drawn for each pair. Both keys, PARTNER and PARTNER_TRUE, are then in the state.
        puts_rows_together: of a term that reads images, what is decoded or the model: whether it knows that each of
            several processes has its own rows of these, and makes one figure of them (`vae_runner.ranks.share`). A
            class that overrides `compute` says so anew.

    Example:
        >>> class Centred(DivergenceBase):  # the codes' squared mean, of each latent
        ...     def compute(self, codes):
        ...         return codes.mean(0).square()
        >>> z = StateKey("z")
        >>> term = Centred({"codes": z}).with_beta(10.0).with_sum_sum_reduction()
        >>> term.loss({z: torch.ones(4, 2), METRICS: {}})  # 10 (1 + 1)
        tensor(20.)
    """

    is_kl: ClassVar[bool] = False
    replaces_recon: ClassVar[bool] = False
    trains_recon: bool = True
    takes_partners: ClassVar[bool] = False
    differ: int | None = None
    is_of_numbers: ClassVar[bool] = False
    puts_rows_together: ClassVar[bool] = False
    step: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if vars(cls).keys() & {"compute", "compute_parts"}:
            cls.is_kl = vars(cls).get("is_kl", False)
            cls.puts_rows_together = vars(cls).get("puts_rows_together", False)

    def __init__(self, keys: Mapping[str, StateKey | Sequence[StateKey]], state_key: StateKey | None = None) -> None:
        super().__init__()
        self.keys = {name: key if isinstance(key, StateKey) else tuple(key) for name, key in keys.items()}
        self.state_key = state_key
        self.name = ""
        self._reduction: Callable[[Tensor], Tensor] = sum_mean
        self._beta: Schedule = as_schedule(1.0)
        self._gamma = 1.0
        self._capacity: Schedule | None = None
        self._post_functions: list[Callable[[Tensor], Tensor]] = []
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def compute(self, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the divergence (batch, distribution dimensions), nats; (batch,) or () where it has no dimensions."""
        raise NotImplementedError(f"{type(self).__name__} has no compute")

    def compute_parts(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Parts]:
        """Returns what `compute` gives, and figures () to log beside it, by name: the parts that it is made of, say."""
        return self.compute(*args, **kwargs), {}

    def forward(self, **kwargs: Any) -> tuple[Tensor, Parts]:
        """As `compute_parts`."""
        return self.compute_parts(**kwargs)

    @property
    def moves_prior(self) -> bool:
        """Whether it has a gradient for a prior that learns."""
        return True

    def all_keys(self) -> set[StateKey]:
        """Returns all keys of the state that it reads."""
        return {one for key in self.keys.values() for one in (key if isinstance(key, tuple) else (key,))}

    def check_spaces(self, posteriors: tuple[Distribution, ...], priors: tuple[Distribution, ...]) -> None:
        """Raises `ValueError` where it cannot be of latent spaces with such q and p; asked once, before training."""

    def loss(self, state: State) -> Tensor:
        """Returns the weighted, scheduled term (), nats; its parts go to the state's metrics, where it has them.

        Metrics (name before them): `divergence` () the term itself, and the parts that `compute_parts` names.
        """
        divergence, parts = self._computed({name: _read(state, key) for name, key in self.keys.items()})
        if self.state_key is not None:
            state[self.state_key] = divergence
        term = self.weighted(self._reduction(divergence))
        self.record(state, divergence=term, **parts)
        if SCHEDULED in state:
            state[SCHEDULED].update(self.scheduled())
        return term

    def own_loss(self, state: State) -> Tensor | None:
        """Returns what the term's own weights are trained by, (), on detached codes; None where it has none.

        `loss` in the metrics stays the model's alone: `record` this one under a name of its own.
        """
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Returns own weights with settings of the optimiser, [{"params": [...], "lr": 1e-4}]: each a group of the
        run's one optimiser, at a rate that no schedule moves, and clipped apart. Weights that are in none are trained
        as the model's are. Without `own_loss` they are trained by the loss.
        """
        return []

    def own_groups(self) -> list[dict[str, Any]]:
        """Returns `parameter_groups`, their weights as lists.

        Raises:
            ValueError: for weights that are not its own.
        """
        groups = [{**group, "params": list(group["params"])} for group in self.parameter_groups()]
        own = set(map(id, self.parameters()))
        if not own.issuperset(id(weights) for group in groups for weights in group["params"]):
            raise ValueError(f"{type(self).__name__}.parameter_groups has weights that are not the term's own")
        return groups

    @property
    def is_player(self) -> bool:
        """Whether it trains its weights by a loss of its own."""
        return type(self).own_loss is not DivergenceBase.own_loss

    def own_weights(self) -> list[nn.Parameter]:
        """Returns the weights that are the term's alone: all of a player, else those with settings of their own."""
        if self.is_player:
            return list(self.parameters())
        return [weights for group in self.own_groups() for weights in group["params"]]

    def weighted(self, reduced: Tensor) -> Tensor:
        """Returns post(beta(t) gamma |reduced - C(t)|), at the current step t."""
        excess = reduced if self._capacity is None else (reduced - self._capacity(self.step)).abs()
        term = self._beta(self.step) * self._gamma * excess
        for post_function in self._post_functions:
            term = post_function(term)
        return term

    def record(self, state: State, **figures: Tensor) -> None:
        """Log figures of this step, () each, under their names with the term's before them, where a log is kept.

        Raises:
            ValueError: for a name that the runner's own figures have.
        """
        if METRICS in state:
            state[METRICS].update({self._full(name): value.detach() for name, value in figures.items()})

    def schedules(self) -> dict[str, Schedule]:
        """Returns each weight, capacity and set point by its name: `beta` (gamma included), `capacity` if there is one.

        A term with more of them adds them here; all are logged, and drawn before the first step.
        """
        beta = {"beta": self._beta if self._gamma == 1 else Scaled(self._beta, self._gamma)}
        return beta if self._capacity is None else {**beta, "capacity": self._capacity}

    def scheduled(self) -> dict[str, Tensor]:
        """Returns the schedules' values at the current step, by the names of `schedules` with the term's before."""
        return self.scheduled_at(self.step)

    def scheduled_at(self, steps: Tensor) -> dict[str, Tensor]:
        """Returns the schedules' values at the given steps, in their shape; names as of `scheduled`."""
        return {self._full(name): schedule(steps) for name, schedule in self.schedules().items()}

    def on_criterion(self, state: State) -> None:
        """Add the term to the state's loss."""
        state[LOSS] = state[LOSS] + self.loss(state)

    def on_criterion_validation(self, state: State) -> None:
        """Add the term to the state's loss; the step does not move."""
        self.on_criterion(state)

    def on_step_training(self, state: State) -> None:
        """Move the schedules on by one step; to be called after the optimiser's step, never in validation.

        It is called for a step that was left out too, whose figures are not finite: whoever keeps sums of them, on the
        device, ignores those.
        """
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

    def _computed(self, arguments: dict[str, Any]) -> tuple[Tensor, Parts]:
        """What `compute_parts` gives; of a player with its weights frozen, through which gradients pass."""
        if not self.is_player:
            return self.compute_parts(**arguments)
        frozen = {name: weights.detach() for name, weights in self.named_parameters()}
        return functional_call(self, frozen, kwargs=arguments)

    def _full(self, name: str) -> str:
        """A figure's name in the log."""
        if name in RESERVED:
            raise ValueError(f"{type(self).__name__} logs '{name}', which is the runner's own; give it another name")
        return f"{self.name}{name}"


def _read(state: State, key: StateKey | tuple[StateKey, ...]) -> Any:
    return tuple(state[one] for one in key) if isinstance(key, tuple) else state[key]
