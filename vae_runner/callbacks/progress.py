"""Progress for people: a bar on a terminal, a plain line every 30 seconds in the log."""

import logging
import time
from collections.abc import Callable
from typing import ClassVar

from tqdm import tqdm

from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.logs import MetricsLog
from vae_runner.state import METRICS, SCHEDULED, State

__all__ = ["Progress"]

log = logging.getLogger(__name__)

SECONDS = 30  # between two lines in the log
FIRST = 5  # seconds to the first one
SHOWN = 1  # seconds between two looks at the figures: who looks waits for the device


class Progress(Callback):
    """Shows step, losses, schedules, images/s and the time left: figures of the last step, at most once in a second.
    Stands behind `metrics`, whose newest record knows the speed.

    `enabled` off hides the bar; it is hidden too where standard error is no terminal. Of a run among several at once
    `told` is called in each step, with the step, the number of all, and the images per second that were recorded last.
    """

    told: ClassVar[Callable[[int, int, float], None] | None] = None

    def __init__(self, metrics: MetricsLog, enabled: bool) -> None:
        self.metrics, self.enabled = metrics, enabled
        self._bar: tqdm | None = None
        self._told = self._looked = 0.0
        self._figures = "no figures yet"
        self._first_step, self._began = 0, 0.0  # of the steps whose time is measured

    def on_start(self, engine: Training) -> None:
        self._told = time.monotonic() - SECONDS + FIRST
        self._first_step = engine.step + 1  # the first one warms up, and compiles
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
        now = time.monotonic()
        if engine.step == self._first_step:
            self._began = now
        is_told = now - self._told >= SECONDS and engine.step < engine.total_steps
        if is_told or (not self._bar.disable and (now - self._looked >= SHOWN or engine.is_due(self.metrics.every))):
            self._looked, self._figures = now, self._seen(state)
            self._bar.set_postfix_str(self._figures, refresh=False)
        self._bar.update()
        if Progress.told is not None:
            Progress.told(engine.step, engine.total_steps, self.metrics.latest.get("images_per_second", 0.0))
        if is_told:
            self._told = now
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
        if done < 1:
            return self._figures
        left = (time.monotonic() - self._began) / done * (engine.total_steps - engine.step)
        return f"{self._figures}, {tqdm.format_interval(left)} left"

    def _seen(self, state: State) -> str:
        """The figures of this step; of one that was left out, those of the last that was not."""
        values = {**state[METRICS], **state[SCHEDULED]}
        if "loss" not in values:
            return self._figures
        parts = [f"loss {float(values['loss']):.1f}", f"recon {float(values['recon']):.1f}"]
        parts.append(f"KL {float(values['kl']):.2f}")
        shown = (("capacity", "C"), ("beta", "beta"))
        parts += [f"{name} {float(values[key]):.4g}" for key, name in shown if key in values]
        speed = self.metrics.latest.get("images_per_second")
        return ", ".join([*parts, *([f"{speed:,.0f} images/s"] if speed is not None else [])])
