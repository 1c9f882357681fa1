"""Weights that move by themselves, until the KL or the reconstruction is where it was asked to be.

ControlVAE (Shao et al. 2020, arXiv 2004.05988, equations 4 to 6), with e = C(t) - KL of the batch, sigma the logistic
function, and C any schedule:

    P = Kp sigma(-e),    I = I' - Ki e,    beta = P + I + beta_min         form = position
    beta = beta' + Kp (sigma(-e) - sigma(-e')) - Ki e                      form = velocity, of DynamicVAE (Shao et al.
                                                                       2020, arXiv 2009.06795)

' is the step before. Where beta leaves [beta_min, beta_max] it is clipped, and I stays what it was (anti-windup). The
KL may be a mean over the last `average` steps, as DynamicVAE has it.

GECO (Rezende & Viola 2018, arXiv 1810.00597, algorithm 1): the KL is minimised under the constraint c <= 0,

    c = E[-log p(x|z)] - kappa,    m = a m' + (1 - a) c,    m = c at the first step
    loss = KL + lambda (c + stop_gradient(m - c)),          lambda = lambda' exp(rate m), clipped, after the step

rate c has to be well below 1 at first: else lambda is beyond all bounds before the model can answer, and Adam, which
has seen such gradients, hardly moves for thousands of steps.

What they remember is in buffers, so that checkpoints hold it. It moves in `on_step_training`, on the device; a step
whose figures are not finite leaves it as it is.
"""

import math
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.divergence.base import sum_mean
from vae_runner.divergence.composite import WeightedParts, kl_of
from vae_runner.ranks import whole
from vae_runner.schedule import Schedule
from vae_runner.signature import Limit, enforced, finite, non_negative, positive
from vae_runner.state import RECON, Y_PRED, Y_TRUE, State, StateKey, state_key

__all__ = ["ControlledKL", "ReconstructionConstraint"]

Nats = Annotated[float, non_negative] | Schedule

moving = Limit("must be at least 0 and below 1, for the average to move", lambda value: 0 <= value < 1)
LARGEST, SMALLEST = 1e10, 1e-10  # of the multiplier


@enforced
class ControlledKL(WeightedParts):
    """beta KL of one latent space, beta moved by a controller so that the KL holds the set point C(t), nats.

    Logged: `beta`, as it is in this step, beside the set point.

    Args:
        input_key, target_key: facts of the run, see `vae_runner.objective.facts`.
        set_point: C(t), nats, a number or a schedule.
        kp, ki: the answers to the error now, and to the errors summed up.
        beta_min, beta_max: limits of beta.
        start: beta at the first step; None: `beta_min`.
        form: position, or velocity, which moves beta from where it is.
        average: steps over which the KL is averaged.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Example:
        >>> term = ControlledKL(StateKey("q"), StateKey("p"), set_point=18.0, ki=0.01, beta_min=0.0)
        >>> before = term.beta.item()
        >>> term.move(torch.tensor(30.0))  # a KL above its set point
        >>> term.beta.item() > before
        True
    """

    is_kl = True
    state_key: StateKey  # it moves by the KL that it finds there
    beta: Tensor
    integral: Tensor
    error: Tensor  # of the step before
    recent: Tensor  # the last KLs, a ring
    moves: Tensor

    def __init__(
        self,
        input_key: StateKey,
        target_key: StateKey,
        set_point: Nats = 18.0,
        kp: Annotated[float, non_negative] = 0.01,
        ki: Annotated[float, non_negative] = 0.001,
        beta_min: Annotated[float, non_negative] = 1.0,
        beta_max: Annotated[float, positive] = 100.0,
        start: Annotated[float, non_negative] | None = None,
        form: Literal["position", "velocity"] = "position",
        average: Annotated[int, positive] = 1,
        samples: Annotated[int, positive] | None = None,
    ) -> None:
        super().__init__({"input": input_key, "target": target_key}, {"set_point": set_point})
        if beta_min > beta_max:
            raise ValueError(f"beta_min must be at most beta_max, got {beta_min:g} and {beta_max:g}")
        start = beta_min if start is None else start
        if not beta_min <= start <= beta_max:
            raise ValueError(f"start must lie from beta_min to beta_max, {beta_min:g} to {beta_max:g}, got {start:g}")
        self.kp, self.ki, self.beta_min, self.beta_max = kp, ki, beta_min, beta_max
        self.form, self.samples = form, samples
        self.state_key = state_key("controlled_kl")
        self.register_buffer("beta", torch.tensor(float(start)))
        self.register_buffer("integral", torch.zeros(()))
        self.register_buffer("error", torch.zeros(()))
        self.register_buffer("recent", torch.zeros(average))
        self.register_buffer("moves", torch.zeros((), dtype=torch.int64))

    def compute(self, input: Distribution, target: Distribution) -> Tensor:
        return kl_of(input, target, self.samples)

    def weighted(self, reduced: Tensor) -> Tensor:
        """Returns post(beta KL), with beta as the controller has it; `reduced` is the KL."""
        return super().weighted(self.beta * reduced)

    def loss(self, state: State) -> Tensor:
        term = super().loss(state)
        self.record(state, beta=self.beta.clone())  # the buffer moves before it is logged
        return term

    def on_step_training(self, state: State) -> None:
        """Move beta by the step's KL, and the set point's schedule on by one step."""
        with torch.no_grad():
            self.move(sum_mean(state[self.state_key]).detach().to(self.beta.dtype))
        super().on_step_training(state)

    def move(self, kl: Tensor) -> None:
        """Move beta by a step's KL, (), nats."""
        recent = torch.cat([kl.reshape(1), self.recent[:-1]])
        held = (self.moves + 1).clamp(max=len(recent))
        error = self.weight("set_point").to(kl.dtype) - recent.sum() / held
        integral = self.integral - self.ki * error
        if self.form == "position":
            beta = self.kp * torch.sigmoid(-error) + integral + self.beta_min
        else:
            before = torch.where(self.moves > 0, torch.sigmoid(-self.error), torch.sigmoid(-error))
            beta = self.beta + self.kp * (torch.sigmoid(-error) - before) - self.ki * error
        clipped = beta.clamp(self.beta_min, self.beta_max)
        integral = torch.where(clipped == beta, integral, self.integral)
        values = {"beta": clipped, "integral": integral, "error": error, "recent": recent, "moves": self.moves + 1}
        update(self, torch.isfinite(kl), **values)


@enforced
class ReconstructionConstraint(WeightedParts):
    """The KL over all latent spaces, under the constraint that the reconstruction's error is at most kappa: GECO.

    What is trained is KL + lambda (error - kappa): the reconstruction that every loss starts with is taken off again.

    Logged: `lambda`, and `constraint`, the moving average of error - kappa per image.

    Args:
        input_keys, target_keys: facts of the run, see `vae_runner.objective.facts`.
        kappa: what the error may be, a number or a schedule.
        constraint: nll: -log p(x|z), nats; mse: the squared error of the decoded image, which no width of noise moves.
        unit: of kappa: image, the sum over an image; value, for each number of an image.
        rate: the multiplier grows by it times what is beyond kappa; that is to be well below 1 at first.
        decay: of the constraint's moving average.
        start, smallest, largest: the multiplier at the first step, and its limits.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Example:
        >>> term = ReconstructionConstraint((StateKey("q"),), (StateKey("p"),), kappa=90.0, rate=0.01)
        >>> term.move(torch.tensor(10.0))  # the error is 10 nats too large
        >>> round(term.multiplier.item(), 4)  # e^(0.01 10)
        1.1052
    """

    replaces_recon = True
    puts_rows_together = True
    multiplier: Tensor
    average: Tensor
    moves: Tensor

    def __init__(
        self,
        input_keys: tuple[StateKey, ...],
        target_keys: tuple[StateKey, ...],
        kappa: Annotated[float, finite] | Schedule,
        constraint: Literal["nll", "mse"] = "nll",
        unit: Literal["image", "value"] = "image",
        rate: Annotated[float, positive] = 0.0001,
        decay: Annotated[float, moving] = 0.99,
        start: Annotated[float, positive] = 1.0,
        smallest: Annotated[float, positive] = SMALLEST,
        largest: Annotated[float, positive] = LARGEST,
        samples: Annotated[int, positive] | None = None,
    ) -> None:
        images: dict[str, StateKey] = {"recon": RECON, "decoded": Y_PRED, "target": Y_TRUE}
        super().__init__({"posteriors": input_keys, "priors": target_keys, **images}, {"kappa": kappa})
        self.needs_kl = True
        if smallest > largest:
            raise ValueError(f"smallest must be at most largest, got {smallest:g} and {largest:g}")
        if not smallest <= start <= largest:
            raise ValueError(f"start must lie from smallest to largest, {smallest:g} to {largest:g}, got {start:g}")
        self.constraint, self.unit, self.samples = constraint, unit, samples
        self.rate, self.decay, self.smallest, self.largest = rate, decay, smallest, largest
        self.register_buffer("multiplier", torch.tensor(float(start)))
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("moves", torch.zeros((), dtype=torch.int64))

    def compute_parts(
        self,
        posteriors: tuple[Distribution, ...],
        priors: tuple[Distribution, ...],
        recon: Tensor,
        decoded: Tensor,
        target: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        excess = self.excess(recon, decoded, target)
        average = self.averaged(excess.detach())
        constrained = self.multiplier * (excess + (average - excess).detach())
        term = sum_mean(kl_of(posteriors, priors, self.samples)) + constrained - recon.mean()
        return term, {"lambda": self.multiplier.clone(), "constraint": average}

    def excess(self, recon: Tensor, decoded: Tensor, target: Tensor) -> Tensor:
        """Returns the batch mean of error - kappa per image, (), of nll (B,), decoded and target images (of several
        processes, of this one's rows).
        """
        error = recon if self.constraint == "nll" else whole(_squared_error(decoded, target))
        values = math.prod(target.shape[1:]) if self.unit == "value" else 1
        return error.mean() - self.weight("kappa").to(error.dtype) * values

    def averaged(self, excess: Tensor) -> Tensor:
        """Returns the moving average with the step's own value in it, (); the first value is its own."""
        return torch.where(self.moves > 0, self.decay * self.average + (1 - self.decay) * excess, excess)

    def on_step_training(self, state: State) -> None:
        """Move the multiplier by the step's constraint, and kappa's schedule on by one step."""
        with torch.no_grad():
            self.move(self.excess(state[RECON], state[Y_PRED], state[Y_TRUE]).to(self.average.dtype))
        super().on_step_training(state)

    def move(self, excess: Tensor) -> None:
        """Move the multiplier by a step's error - kappa, ()."""
        average = self.averaged(excess)
        multiplier = (self.multiplier * torch.exp(self.rate * average)).clamp(self.smallest, self.largest)
        update(self, torch.isfinite(excess), multiplier=multiplier, average=average, moves=self.moves + 1)


def _squared_error(decoded: Tensor, target: Tensor) -> Tensor:
    return (decoded.float() - target.float()).square().flatten(1).sum(1)


def update(module: nn.Module, is_finite: Tensor, **values: Tensor) -> None:
    """Set buffers to new values, where those are finite: on the device, so that nobody waits for it."""
    for name, value in values.items():
        buffer = getattr(module, name)
        buffer.copy_(torch.where(is_finite, value, buffer))
