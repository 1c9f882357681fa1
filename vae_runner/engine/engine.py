"""The training engine: one step, one loop.

A step: turns of latent frames that are due, the batch of (seed, epoch, position), noise of (seed, step),
`objective(corruption(x), x)`, backward, optimiser, hooks. Nothing in it but a turn makes the host wait for a GPU. All
that a run has to remember is `state_dict()`, so that a resumed run is equal to the unbroken one, bit for bit (on the
same machine, with as many threads: a resumed run takes those of its checkpoint).
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from vae_runner.augmentation import Augmentation
from vae_runner.callbacks import Callback
from vae_runner.corruption import Clean, Corruption
from vae_runner.datasets.split import EpochOrder, Partners, Subset
from vae_runner.engine.batches import Batches
from vae_runner.engine.config import EngineConfig, choose_device, choose_precision
from vae_runner.engine.finite import NonFinite, gradient_norm
from vae_runner.engine.fitting import load_optimizer, load_weights
from vae_runner.engine.interrupted import Interrupted
from vae_runner.engine.machine.allocator import keep_freed_memory
from vae_runner.engine.machine.compilation import pays
from vae_runner.engine.machine.process_globals import process_globals
from vae_runner.engine.machine.threads import ThreadChoice
from vae_runner.engine.rates import Rates
from vae_runner.engine.step import TrainingStep
from vae_runner.engine.step_values import StepValues
from vae_runner.engine.trial import Trial
from vae_runner.engine.turning import Turning
from vae_runner.errors import UserError
from vae_runner.latent_frame import Turn
from vae_runner.objective import Evidence, Objective
from vae_runner.randomness import isolated, reseed, seed_for
from vae_runner.ranks import ALONE, Ranks
from vae_runner.schedule import Constant, Schedule
from vae_runner.state import DEVICE, LOSS, METRICS, SCHEDULED, STEP, TURNS, State

__all__ = ["Engine"]

LONG = 0.1  # of the steps between two validations: epochs below that are not validated one by one


class Engine:
    """Trains `objective` on `train`, validates it on `validation`, and calls the callbacks. What becomes of it may be
    measured on `test`, which is not looked at before.

    `optimizer` is made of the objective's `parameter_groups()` by the caller; `lr_schedule` gives the factor of its
    learning rate at each step. `stop_signal()`, asked between steps, returns the number of a signal to stop at, or
    None. `corruption` makes the model's input from the clean images, which stay the target;
    `augmentation` changes input and target of a training step alike. Of several processes that train together, `ranks`
    is what this one is to the others: each makes its part of every step, and the first one validates.
    """

    def __init__(
        self,
        config: EngineConfig,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        train: Subset,
        validation: Subset,
        lr_schedule: Schedule | None = None,
        callbacks: Sequence[Callback] = (),
        stop_signal: Callable[[], int | None] = lambda: None,
        corruption: Corruption | None = None,
        test: Subset | None = None,
        augmentation: Augmentation | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.config, self.ranks = config, ranks
        self.device = ranks.taken(choose_device(config.device))
        self.precision = choose_precision(config.precision, self.device)
        self.objective = objective.to(self.device)
        self.optimizer, self.stop_signal = optimizer, stop_signal
        self.train, self.validation = train.to(self.device), validation.to(self.device)
        self.test = None if test is None or not len(test) else test.to(self.device)
        self.lr_schedule = lr_schedule or Constant(1.0)
        self.callbacks = list(callbacks)
        self.corruption = corruption or Clean()
        self.order = EpochOrder(len(train), config.batch_size, config.seed, self.train.indices.device)
        self.total_steps = config.steps or config.epochs * self.order.steps_per_epoch
        self.step = 0
        self.nonfinite = NonFinite(config.on_nonfinite, self.device)
        self.validated: dict[str, float | list[float]] = {}  # the newest validation
        self.message = ranks.message(self.objective.parameters(), lambda: self.stop_signal())
        self._rates = Rates(self.objective, optimizer)
        self._players = self.objective.players()
        self._step_values = StepValues(config.seed)
        self.turning = Turning(objective.model, self.train, self.corruption, config.seed, config.batch_size)
        images = self.train, self.order, self.total_steps, self._partners()
        self.batches = Batches(*images, augmentation, self.corruption, ranks.rows(config.batch_size))
        self.compiled = pays(self.device, self.total_steps, objective) if config.compile == "auto" else config.compile
        self.thread_choice = ThreadChoice(ranks.threads(config.threads), self.device, self._timed_trial)
        self.training_step = TrainingStep(self.objective, optimizer, config, self.device, self.precision)

    @property
    def epoch(self) -> float:
        """How often the training set has been seen."""
        return self.step / self.order.steps_per_epoch

    @property
    def threads(self) -> int | None:
        """How many threads make a step; None until they are chosen."""
        return self.thread_choice.count

    def run(self) -> dict[str, float | list[float]]:
        """Train to the end; returns the last validation. Raises what `advance` raises."""
        with self.session():
            if self.step == 0:
                self._validate()
            while self.step < self.total_steps:
                self.advance()
            for callback in self.callbacks:
                callback.on_end(self)
        return self.validated

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Inside, all is ready to `advance`: what is global is the run's own, and the callbacks have started."""
        self.prepare()
        with process_globals(seed_for(self.config.seed, "run"), self.device, self.threads):
            for callback in self.callbacks:
                callback.on_start(self)
            yield

    def advance(self) -> None:
        """One step, with all that is due behind it. Raises `Interrupted` behind a saved step."""
        begun = time.perf_counter()
        state = self.train_step()
        self.thread_choice.watch(time.perf_counter() - begun, self.step)
        for callback in self.callbacks:
            callback.on_step(self, state)
        if self.is_due(self.config.validate_every) or self._ends_epoch(self.step):
            self._validate()
        for callback in self.callbacks:
            callback.on_step_end(self, state)
        self._stop_if_asked()

    def prepare(self) -> None:
        """Make ready to train: choose the threads by trial, and have the step compiled. Again, it does nothing."""
        if self.config.keep_memory and self.device.type == "cpu":
            keep_freed_memory()
        self.thread_choice.choose()
        if self.compiled:
            self.training_step.compile()

    def trial(self) -> Trial:
        """Steps of a copy, which leave no trace in the run."""
        return Trial(self.objective, self.optimizer, self.config, self.train, self.device, self.precision)

    @property
    def skipped(self) -> int:
        """Steps that were left out since they were not finite."""
        return self.nonfinite.skipped

    def is_due(self, every: int) -> bool:
        """Whether something that happens every so many steps, and at the end, happens now."""
        return self.step % every == 0 or self.step == self.total_steps

    def schedules(self, steps: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns the value of every schedule at these steps (N,), by name: (N,) each; `lr` of the first group."""
        return {**self.objective.scheduled_at(steps), "lr": self._rates.base[0] * self.lr_schedule(steps)}

    def train_step(self) -> State:
        """Make one optimiser step; returns its state, without metrics where the step had to be left out.

        Raises `RunError` before the update if loss or gradient are not finite, and that is to end the run.
        """
        config, turns = self.config, self._turned()
        factor, seed = self._step_values.at(self.step, self.total_steps, self.lr_schedule)
        self._rates.set(factor)
        reseed(seed, self.device)
        images = self.batches.given(self.step)
        if not self.objective.training:
            self.objective.train()
        with self.ranks.sharing():
            state = self.training_step.gradients(*images)
            state[STEP], state[DEVICE], state[TURNS] = self.step, self.device, turns
            self.message.exchange(state[LOSS])
            norm = gradient_norm(self._players, config.clip_norm)
            if self.nonfinite.is_sound(state, norm, self.step, self._is_read):
                self.training_step.update(state)
            else:
                self._leave_out(state)
        state[SCHEDULED]["lr"] = self.optimizer.param_groups[0]["lr"]
        self.step += 1
        return state

    def validate(self) -> dict[str, float | list[float]]:
        """Returns the means over all validation images, as `measure` does."""
        measured = self.measure(self.validation, "validation", self.objective)
        self.objective.train()
        return measured

    @torch.no_grad()
    def measure(self, images: Subset, purpose: str, objective: Objective) -> dict[str, float | list[float]]:
        """Returns the means over those images: nats per image, in fp32, one noise sample per image, drawn by (seed,
        `purpose`). The objective is left in evaluation mode.

        Neither schedules nor generators move. What is measured is `Evidence`, whatever the terms and their weights.
        """
        objective.eval()
        evidence = Evidence(objective.model.likelihood, len(objective.model.spaces))
        with isolated(seed_for(self.config.seed, purpose), self.device):
            every = torch.arange(len(images), device=images.indices.device)
            for positions in every.split(self.config.batch_size):
                x = images.batch(positions)
                evidence.add(objective(self.corruption(x), x), len(x))
        return evidence.read(images.data.image_shape)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, in plain containers and tensors."""
        return {
            "step": self.step,
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "validated": self.validated,
            "threads": self.threads,
            "compiled": self.compiled,
            "device": self.device.type,
            "processes": self.ranks.world,
            "nonfinite": self.nonfinite.state_dict(),
            "callbacks": {callback.name: callback.state_dict() for callback in self.callbacks},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state_dict` was called. Raises `UserError` where the checkpoint is of another model."""
        load_weights(self.objective, state["objective"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.training_step.arrange()
        self.thread_choice.restore(state.get("threads"))
        if self.config.compile == "auto" and state.get("device", self.device.type) == self.device.type:
            self.compiled = state.get("compiled", self.compiled)
        self.nonfinite.load_state_dict(state.get("nonfinite", {}))
        for callback in self.callbacks:
            try:
                callback.load_state_dict(state["callbacks"].get(callback.name, {}))
            except KeyError as error:
                raise UserError(f"the checkpoint has nothing of {error} in callbacks.{callback.name}") from error
        self.step, self.validated = state["step"], state["validated"]
        self.batches.rewind()

    def _partners(self) -> Partners | None:
        """Where terms train on pairs, who makes these. Raises `UserError` where the images have no such partners."""
        numbers = self.objective.pairings()
        if len(numbers) > 1:
            raise UserError("terms on pairs of images have one `differ` in common; divergence has several")
        return Partners(self.train, self.order, numbers.pop()) if numbers else None

    def _turned(self) -> dict[str, Turn]:
        """The turns that are due, which all processes make of the same images, to the same frames."""
        turns = self.turning.behind(self.step)
        if turns:
            self.ranks.even([space.frame for space in self.turning.spaces.values()])
        return turns

    def _ends_epoch(self, step: int) -> bool:
        """Whether so many steps end an epoch that is long enough for a validation of its own."""
        length = self.order.steps_per_epoch
        return step % length == 0 and length >= LONG * self.config.validate_every

    def _validate(self) -> None:
        if not self.ranks.is_first:
            return
        self.validated = self.validate()
        for callback in self.callbacks:
            callback.on_validation(self)

    def _timed_trial(self) -> Callable[[], float]:
        trial = self.trial()
        return lambda: trial.seconds(self.config.batch_size)

    def _is_read(self) -> bool:
        """Whether the host waits for the device anyway behind this step: for a record, a validation, pictures, a
        checkpoint, or the end.
        """
        config, behind = self.config, self.step + 1
        due = (config.log_every, config.validate_every, config.picture_every, config.checkpoint_every, self.total_steps)
        return behind == 1 or any(behind % every == 0 for every in due) or self._ends_epoch(behind)

    def _leave_out(self, state: State) -> None:
        """Of a step that is not finite, only the schedules go on."""
        for divergence in self.objective.divergences:
            divergence.on_step_training(state)
        state[METRICS] = {}

    def _stop_if_asked(self) -> None:
        number = self.message.asked(self.step)
        if number is not None and self.step < self.total_steps:
            for callback in self.callbacks:
                callback.on_interrupt(self)
            raise Interrupted(number, self.step)
