from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from vae_runner.callbacks import Collapse, collapse
from vae_runner.engine import Engine
from vae_runner.evaluation import ActiveUnits

Make = Callable[..., Engine]


def test_the_variance_of_the_means_is_that_over_the_whole_set() -> None:
    generator = np.random.default_rng(0)
    means = 1000 + generator.normal(size=(50, 3)) * [1.0, 0.08, 0.13]  # far from 0, where a sum of squares would fail
    active = ActiveUnits()
    for part in np.split(means, [7, 30]):
        active.add([Normal(torch.from_numpy(part), 1.0)])
    result = active.read()
    assert result["mean_variance_dims"] == pytest.approx(means.var(0).tolist(), rel=1e-9)
    assert result["active_units"] == (means.var(0) > 0.01).sum() == 2


def test_each_latent_space_has_its_own() -> None:
    means = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    active = ActiveUnits()
    active.add([Normal(means, 1.0), Normal(2 * means[:, :1], 1.0)])
    assert active.read() == {
        "active_units": 2, "space0/mean_variance_dims": [0.25, 0.0], "space1/mean_variance_dims": [1.0],
    }  # fmt: skip


def test_a_validation_has_them(experiment: Make) -> None:
    engine = experiment()
    validated = engine.validate()
    with torch.no_grad():
        means = engine.objective.model.posteriors(engine.validation.batch(torch.arange(40)))[0].mean.double()
    variances = means.var(0, correction=0)
    assert validated["mean_variance_dims"] == pytest.approx(variances.tolist(), rel=1e-5)
    assert validated["active_units"] == int((variances > 0.01).sum())
    assert len(validated["kl_dims"]) == 10


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """These runs are short."""
    monkeypatch.setattr(collapse, "EARLY", 2)


def told(experiment: Make, caplog: pytest.LogCaptureFixture, folder: Path, *overrides: str, **kl: Any) -> list[str]:
    """What is told by a run whose latents all have so much KL at each validation."""
    settings = ("engine.steps=8", "engine.validate_every=2", "visualisation=[]", *overrides)
    engine = experiment(*settings, folder=folder)
    validate = engine.validate
    engine.validate = lambda: {**validate(), "kl_dims": kl.get("nats", [0.04] * 10)}
    engine.run()
    return [message for message in caplog.messages if "latents are dead" in message]


def test_a_collapse_is_told_once_with_what_to_try(
    experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = told(experiment, caplog, tmp_path)
    assert line.startswith("all 10 latents are dead at step 2, below 0.05 nats of KL each")
    assert "a smaller beta (divergence=beta divergence.beta=" in line
    assert "\n" not in line
    again = Collapse()
    again.load_state_dict(torch.load(tmp_path / "checkpoints/last.pt", weights_only=True)["callbacks"]["Collapse"])
    assert again.told


@pytest.mark.parametrize(
    "overrides",
    [
        ("divergence=beta_annealed", "divergence.beta.steps=100"),  # beta is still falling
        ("divergence=capacity", "divergence.capacity.steps=100"),  # C is still rising
    ],
)
def test_while_a_schedule_will_wake_them_nothing_is_said(
    experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, overrides: tuple[str, ...]
) -> None:
    lines = told(experiment, caplog, tmp_path, *overrides)
    assert [line.split(",")[0] for line in lines] == [
        "all 10 latents are dead at step 8"
    ]  # the end: none will any more


@pytest.mark.parametrize("nats", [[0.04] * 9 + [0.06], [0.04] * 9 + [float("nan")]])
def test_one_live_latent_is_no_collapse(
    experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, nats: list[float]
) -> None:
    assert told(experiment, caplog, tmp_path, nats=nats) == []


@pytest.mark.slow
def test_what_is_proposed_is_a_command_line(compose: Callable[..., Any]) -> None:
    assert compose("divergence=beta", "divergence.beta=0.5").divergence.beta == 0.5
    beta = compose("divergence=beta_annealed", "divergence.beta.start=0", "divergence.beta.end=1").divergence.beta
    assert (beta.start, beta.end) == (0, 1)


def test_of_the_first_steps_nothing_is_told(
    experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collapse, "EARLY", 9)
    assert told(experiment, caplog, tmp_path) == []
