"""The programs that are compared. Each makes steps when it is told to."""

import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vae_runner.callbacks import Checkpoints, Pictures
from vae_runner.callbacks.pictures import FIRST
from vae_runner.engine import Engine
from vae_runner.engine.machine.compilation import pays
from vae_runner.engine.machine.process_globals import process_globals
from vae_runner.experiment.assemble import assemble
from vae_runner.report import write_report

__all__ = ["PROGRAMS", "Program"]

AS_IT_COMES = {
    "precision": "fp32",
    "compile": False,
    "channels_last": False,
    "fast_convolutions": False,
    "keep_memory": False,
}
NEVER = 10**9  # steps, or jobs
BATCHES = 8  # that the bare loop goes through


class Program(ABC):
    """Makes training steps. `parts` are the seconds that a step spends, on average, on what is not in each step."""

    engine: Engine

    @abstractmethod
    def steps(self, count: int) -> None:
        """Make so many, and wait for the device."""

    def parts(self) -> dict[str, float]:
        """Returns the seconds that parts of a step took, by name, where the program measures them."""
        return {}

    def close(self) -> None:  # noqa: B027 - the bare loop has nothing to close
        """Let go of what it holds."""


class Bare(Program):
    """A loop as one writes it by hand."""

    def __init__(self, config: dict[str, Any]) -> None:
        config = _with(config, **AS_IT_COMES)
        if "fused" in config["optimizer"]:
            config["optimizer"] = {**config["optimizer"], "fused": None}
        self.engine = assemble(config)
        self.model, self.optimizer = self.engine.objective.model, self.engine.optimizer
        self.batches = _endless([self.engine.train.batch(self.engine.order.positions(step)) for step in range(BATCHES)])

    def steps(self, count: int) -> None:
        for _ in range(count):
            x = next(self.batches)
            loss = self.loss(x)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        _wait(self.engine.device)

    def loss(self, x: Tensor) -> Tensor:
        """-ELBO, nats per image; KLs without a closed form are estimated from one sample."""
        posteriors = self.model.posteriors(x)
        samples = [posterior.rsample() for posterior in posteriors]
        raw = self.model.raw(torch.cat(samples, dim=1))
        loss = self.model.likelihood.nll(raw, x).mean()
        for posterior, prior, sample in zip(posteriors, self.model.priors(), samples, strict=True):
            try:
                kl = kl_divergence(posterior, prior)
            except NotImplementedError:
                kl = posterior.log_prob(sample) - prior.log_prob(sample)
            loss = loss + kl.sum(1).mean()
        return loss


class Step(Program):
    """Our step, on one batch."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.engine = assemble(config)
        self.stack = ExitStack()
        self.stack.enter_context(process_globals(self.engine.config.seed, self.engine.device, torch.get_num_threads()))
        self.engine.prepare()
        self.engine.objective.train()
        self.x, partner = self.engine.batches.at(0)
        self.pair = () if partner is None else (partner, partner)

    def steps(self, count: int) -> None:
        step = self.engine.training_step
        for _ in range(count):
            step.update(step.gradients(self.x, self.x, *self.pair))
        _wait(self.engine.device)

    def close(self) -> None:
        self.stack.close()


class Whole(Program):
    """The engine, in a run folder of its own that is thrown away."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.every = {name: config["engine"][f"{name}_every"] for name in ("validate", "picture", "checkpoint")}
        never = {f"{name}_every": NEVER for name in self.every}
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.engine = assemble(_with(config, steps=NEVER, epochs=None, progress=False, **never), self.folder)
        if config["engine"]["compile"] == "auto":
            self.engine.compiled = pays(self.engine.device, config["engine"]["steps"] or NEVER, self.engine.objective)
        self.engine.step = FIRST + 1  # the first pictures are no part of every step
        self.stack.enter_context(self.engine.session())
        for callback in self.engine.callbacks:
            self.stack.callback(callback.close)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.engine.advance()
        _wait(self.engine.device)

    def parts(self) -> dict[str, float]:
        engine = self.engine
        checkpoints = next(part for part in engine.callbacks if isinstance(part, Checkpoints))
        engine.validated = engine.validate()
        seconds = {
            "validate": _seconds(engine.validate),
            "picture": _seconds(self._draw),
            "checkpoint": _seconds(lambda: checkpoints.save(engine)),
        }
        return {name: taken / self.every[name] for name, taken in seconds.items()}

    def close(self) -> None:
        self.stack.close()

    def _draw(self) -> None:
        """All that follows when pictures are due, one after the other, as if there were no core to spare: what the
        training's thread takes from the model; what the writer's makes of it; the report.
        """
        pictures = next(part for part in self.engine.callbacks if isinstance(part, Pictures))
        writer, taken = pictures.writer, threading.Event()
        writer.waiting = NEVER
        writer.submit(lambda: taken.wait() and None)
        try:
            pictures.draw(self.engine)
        finally:
            taken.set()
        writer.submit(lambda: write_report(self.folder))
        writer.flush()


PROGRAMS: Mapping[str, Callable[[dict[str, Any]], Program]] = {"bare": Bare, "step": Step, "engine": Whole}


def _with(config: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    return {**config, "engine": {**config["engine"], **settings}}


def _endless(batches: list[Tensor]) -> Iterator[Tensor]:
    while True:
        yield from batches


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(action: Callable[[], Any]) -> float:
    """Wall time of the second call."""
    action()
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun
