"""What a run says of its time left."""

import logging
from types import SimpleNamespace

import pytest
import torch

from vae_runner.callbacks import progress
from vae_runner.callbacks.progress import Progress
from vae_runner.state import METRICS, SCHEDULED


def test_the_time_left_is_told_by_the_steps_behind_the_first_which_compiles(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    engine = SimpleNamespace(step=40, total_steps=151, is_due=lambda every: False)
    bar = Progress(SimpleNamespace(latest={}, every=100), enabled=False)
    bar.on_start(engine)
    figures = {name: torch.tensor(3.0) for name in ("loss", "recon", "kl")}
    with caplog.at_level(logging.INFO):
        for seconds in (600.0, *[3.0] * 10):
            engine.step += 1
            now[0] += seconds
            bar.on_step(engine, {METRICS: figures, SCHEDULED: {}})
    bar.close()
    first, last = caplog.messages[0], caplog.messages[-1]
    assert first == "step 41 of 151: loss 3.0, recon 3.0, KL 3.00"
    assert last == "step 51 of 151: loss 3.0, recon 3.0, KL 3.00, 05:00 left"
