"""What holds for every objective of the field: it goes on exactly, compiles as one graph, and is measured alike."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from samples import sampled
from test_terms import graphs_alone, weights

from vae_runner.checkpoint import load_latest
from vae_runner.engine import Engine
from vae_runner.state import METRICS, SCHEDULED

__all__ = ["graphs_alone"]  # a fixture
Make = Callable[..., Engine]
PAIRS = ["ada_gvae", "ada_ml_vae"]
OPTIONS = [*PAIRS, "beta_tc", "control", "dip_i", "dip_ii", "factor", "free_bits", "geco", "info", "iwae", "wae"]
SMALL = ("architecture=mlp", "engine.threads=1", "visualisation=[]")
SMALLER = {"factor": ("divergence.layers=2", "divergence.units=16"), **dict.fromkeys(PAIRS, ("dataset=bars",))}
FIGURES = {
    "ada_gvae": {"shared"},
    "ada_ml_vae": {"shared"},
    "beta_tc": {"mi", "tc", "dwkl"},
    "control": {"beta"},
    "dip_i": {"dip_od", "dip_d"},
    "dip_ii": {"dip_od", "dip_d"},
    "factor": {"tc", "d_loss", "d_accuracy"},
    "free_bits": {"free"},
    "geco": {"lambda", "constraint"},
    "info": {"mmd"},
    "iwae": {"bound", "ess"},
    "wae": {"mmd"},
}
SCHEDULES = {
    "ada_gvae": {"beta"},
    "ada_ml_vae": {"beta"},
    "beta_tc": {"alpha", "beta", "gamma"},
    "control": {"set_point"},
    "dip_i": {"beta", "lambda_od", "lambda_d"},
    "dip_ii": {"beta", "lambda_od", "lambda_d"},
    "factor": {"beta", "gamma"},
    "free_bits": {"beta", "floor"},
    "geco": {"kappa"},
    "info": {"alpha", "lambda_mmd"},
    "iwae": set(),
    "wae": {"alpha", "lambda_mmd"},
}


@pytest.fixture
def run(experiment: Make) -> Make:
    """run(option, *overrides, folder=None) -> the engine of a small run of that objective."""
    return lambda option, *overrides, folder=None: experiment(
        f"divergence={option}", *SMALL, *SMALLER.get(option, ()), *overrides, folder=folder
    )


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_whatever_is_trained_the_same_is_measured(option: str, run: Make) -> None:
    """At the first step the weights are the same, so that KL and reconstruction are those of the plain bound."""
    data = [f"dataset={'bars' if option in PAIRS else 'toy'}"]
    plain, found = (run(name, *data).train_step()[METRICS] for name in ("kl", option))
    for name in ("recon", "kl", "kl_dims"):
        torch.testing.assert_close(found[name], plain[name])
    torch.testing.assert_close(found["loss"], found["recon"] + found["divergence"])


@pytest.mark.parametrize("option", OPTIONS)
def test_its_parts_are_logged_and_its_schedules_drawn_beforehand(option: str, run: Make) -> None:
    engine = run(option)
    ahead = engine.objective.scheduled_at(torch.arange(3))
    assert ahead.keys() == SCHEDULES[option]
    state = engine.train_step()
    assert state[METRICS].keys() >= FIGURES[option] | {"divergence"}
    assert state[SCHEDULED].keys() >= SCHEDULES[option]


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_any_weight_may_be_a_schedule(option: str, run: Make) -> None:
    names = sorted(SCHEDULES[option] - {"alpha"})
    schedule = ("start=1", "end=1.5", "steps=2")
    chosen = [f"schedule@divergence.{name}=linear" for name in names]
    engine = run(option, *chosen, *(f"divergence.{name}.{setting}" for name in names for setting in schedule))
    seen = [engine.train_step()[SCHEDULED] for _ in range(3)]
    for name in names:
        assert [float(scheduled[name]) for scheduled in seen] == [1, 1.25, 1.5]
        assert engine.objective.scheduled_at(torch.arange(3))[name].tolist() == [1, 1.25, 1.5]


@pytest.mark.slow
@pytest.mark.parametrize("option", sampled(OPTIONS, "factor", "control", "iwae", "beta_tc"))
def test_a_resumed_run_is_the_unbroken_one(option: str, run: Make, tmp_path: Path) -> None:
    arguments = ("engine.steps=6", "engine.checkpoint_every=3", "lr_schedule=cosine", "engine.clip_norm=50")
    unbroken = run(option, *arguments, folder=tmp_path / "a")
    with unbroken.session():
        for _ in range(3):
            unbroken.advance()
    content = load_latest(tmp_path / "a" / "checkpoints")
    assert content["step"] == 3
    with unbroken.session():
        for _ in range(3):
            unbroken.advance()
    resumed = run(option, *arguments, folder=tmp_path / "b")
    resumed.load_state_dict(content)
    with resumed.session():
        for _ in range(3):
            resumed.advance()
    one, other = weights(unbroken), weights(resumed)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("option", sampled(OPTIONS, "factor", "control", "iwae", "beta_tc"))
def test_it_compiles_as_one_graph(option: str, run: Make, graphs_alone: None, caplog: pytest.LogCaptureFixture) -> None:
    compiled, plain = (run(option, f"engine.compile={choice}") for choice in ("true", "false"))
    compiled.prepare()
    torch._dynamo.utils.counters.clear()
    found, expected = ([engine.train_step() for _ in range(4)] for engine in (compiled, plain))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 1  # none, where `prepare` has made it
    assert "going on without" not in caplog.text
    for one, other in zip(found, expected, strict=True):
        for name, value in other[METRICS].items():
            torch.testing.assert_close(one[METRICS][name], value, rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in ("control", "free_bits")])
def test_it_goes_over_all_latent_spaces(option: str, run: Make) -> None:
    spaces = ["distribution=mixed", *(["distribution@distribution.space1=normal"] if option in PAIRS else [])]
    metrics = run(option, *spaces).train_step()[METRICS]
    torch.testing.assert_close(metrics["loss"], metrics["recon"] + metrics["divergence"])


@pytest.mark.parametrize("option", ["control", "free_bits"])
def test_it_is_one_for_each_latent_space(option: str, run: Make) -> None:
    metrics = run(option, "distribution=mixed").train_step()[METRICS]
    parts = metrics["space0/divergence"] + metrics["space1/divergence"]
    torch.testing.assert_close(metrics["loss"], metrics["recon"] + parts)
    assert metrics.keys() >= {f"space{number}/{name}" for number in (0, 1) for name in FIGURES[option]}


TINY = (
    "dataset.count=1000",
    "architecture=mlp",
    "architecture.encoder.hidden=[64]",
    "architecture.decoder.hidden=[64]",
)
TINY += ("optimizer.lr=2e-3", "engine.batch_size=64", "engine.threads=1", "visualisation=[]")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "figure", "wanted", "steps"),
    [
        (["divergence=control", "divergence.set_point=6", "divergence.ki=0.005"], "kl", 6, 2500),
        (["divergence=geco", "divergence.kappa=30"], "recon", 30, 5000),
    ],
    ids=["control", "geco"],
)
def test_a_controller_reaches_what_it_was_set_within_5_percent(
    overrides: list[str], figure: str, wanted: float, steps: int, experiment: Make
) -> None:
    engine = experiment(*TINY, *overrides, f"engine.steps={steps}")
    figures = [float(engine.train_step()[METRICS][figure]) for _ in range(steps)]
    last = torch.tensor(figures[-500:]).mean().item()
    assert last == pytest.approx(wanted, rel=0.05)
    assert figures[20] != pytest.approx(wanted, rel=0.1)
