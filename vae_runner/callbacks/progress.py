"""Progress for people: a bar on a terminal, a plain line every 30 seconds in the log."""

import logging
import time
from collections.abc import Callable
from typing import ClassVar

from tqdm import tqdm

from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.logs import MetricsLog
from vae_runner.state import State

__all__ = ["Progress"]

log = logging.getLogger(__name__)

SECONDS = 30  # between two lines in the log


class Progress(Callback):
    """Shows step, losses, schedules, images/s and the time left; stands behind `metrics`, whose newest record it shows.

    `enabled` off hides the bar; it is hidden too where standard error is no terminal. Of a run among several at once
    `told` is called in each step, with the step, the number of all, and the images per second that were recorded last.
    """

    told: ClassVar[Callable[[int, int, float], None] | None] = None

    def __init__(self, metrics: MetricsLog, enabled: bool) -> None:
        self.metrics, self.enabled = metrics, enabled
        self._bar: tqdm | None = None
        self._logged = 0.0
        self._first_step, self._started = 0, 0.0

    def on_start(self, engine: Training) -> None:
        self._logged = self._started = time.monotonic()
        self._first_step = engine.step
        self._bar = tqdm(
            total=engine.total_steps,
            initial=engine.step,
            unit="step",
            disable=None if self.enabled else True,
            dynamic_ncols=True,
            mininterval=0.2,
            bar_format="{percentage:3.0f}% |{bar:12}| {n_fmt}/{total_fmt} steps  {remaining} left{postfix}",
        )

    def on_step(self, engine: Training, state: State) -> None:
        if engine.is_due(self.metrics.every):
            self._bar.set_postfix_str(self._figures(), refresh=False)
        self._bar.update()
        if Progress.told is not None:
            Progress.told(engine.step, engine.total_steps, self.metrics.latest.get("images_per_second", 0.0))
        if time.monotonic() - self._logged >= SECONDS and engine.step < engine.total_steps:
            self._logged = time.monotonic()
            log.info("step %s of %s: %s", f"{engine.step:,}", f"{engine.total_steps:,}", self._line(engine))

    def on_validation(self, engine: Training) -> None:
        validated = engine.validated
        log.info(
            "validation at step %s: -ELBO %.1f, recon %.1f, KL %.2f nats per image; %.4g bits per dimension",
            f"{engine.step:,}",
            validated["neg_elbo"],
            validated["recon"],
            validated["kl"],
            validated["bits_per_dim"],
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _line(self, engine: Training) -> str:
        done = engine.step - self._first_step
        left = (time.monotonic() - self._started) / done * (engine.total_steps - engine.step)
        return f"{self._figures()}, {tqdm.format_interval(left)} left"

    def _figures(self) -> str:
        latest = self.metrics.latest
        if "loss" not in latest:  # nothing is recorded yet, or all steps since the last record were left out
            return "no figures yet"
        parts = [f"loss {latest['loss']:.1f}", f"recon {latest['recon']:.1f}", f"KL {latest['kl']:.2f}"]
        parts += [f"{name} {latest[key]:.4g}" for key, name in (("capacity", "C"), ("beta", "beta")) if key in latest]
        return ", ".join([*parts, f"{latest['images_per_second']:,.0f} images/s"])
