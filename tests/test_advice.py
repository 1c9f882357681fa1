"""What is refused since it cannot learn, and what is only advised against."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TOY
from photos import write_photos

import vae_runner
from vae_runner.architectures import LinearDecoder
from vae_runner.cli import run as vae_train
from vae_runner.engine import Engine
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.notices.advice import advice
from vae_runner.experiment.run import resume
from vae_runner.likelihood import Bernoulli

LINEAR = "architecture/decoder=linear"
NO_DARK = (
    "architecture/decoder=linear: with weights and latents of 0 or above, likelihood=bernoulli makes no pixel darker "
    "than 0.5; set likelihood=gaussian, or architecture.decoder.non_negative=false"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["distribution=weibull"], [NO_DARK]),
        (["distribution=exponential", "architecture.decoder.bias=true"], [NO_DARK]),
        (["distribution=gamma"], [NO_DARK]),
        (["distribution=uniform", "distribution.prior.low=0"], [NO_DARK]),
        (["distribution=mixed", "distribution@distribution.space0=gamma"], [NO_DARK]),
        (["distribution=weibull", "likelihood=gaussian"], []),
        (["distribution=weibull", "architecture.decoder.non_negative=false"], []),
        (["distribution=uniform"], []),
        (["distribution=mixed"], []),
        ([], []),
    ],
)
def test_parts_that_can_only_brighten_are_refused_as_logits(
    compose: Callable[..., Any], overrides: list[str], lines: list[str]
) -> None:
    assert check(compose(LINEAR, *overrides))[1] == lines
    assert check(compose(LINEAR, *overrides), to_train=False)[1] == []


@pytest.mark.parametrize("family", ["weibull", "exponential", "gamma"])
def test_what_is_refused_never_makes_a_dark_pixel(family: str, experiment: Callable[..., Engine]) -> None:
    torch.manual_seed(0)
    engine = experiment(f"distribution={family}", LINEAR, "likelihood=gaussian")
    decoder = LinearDecoder(10, (1, 16, 16), bias=True)
    decoder.constrain()
    codes = engine.objective.model.encode(torch.rand(100, 1, 16, 16))
    assert Bernoulli().mean(decoder(codes)).min() >= 0.5


def test_a_run_of_before_the_refusal_can_be_looked_at(
    compose: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vae_runner.experiment import run

    cfg = compose("dataset=toy", LINEAR, "distribution=weibull", "engine.steps=2", "visualisation=[]")
    with monkeypatch.context() as patch:
        patch.setattr(run, "check", lambda cfg: check(cfg, to_train=False))
        run.start(cfg, tmp_path / "run", {}, "")
    assert vae_runner.load(tmp_path / "run", "last", "cpu", trust=True).sample(3).shape == (3, 1, 16, 16)
    with pytest.raises(vae_runner.errors.UserError, match=r"^architecture/decoder=linear: "):
        resume(tmp_path / "run", {"engine.steps": 4}, "", trust=True)
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "done"


def test_parts_as_logits_are_advised_against_where_latents_can_be_negative(experiment: Callable[..., Engine]) -> None:
    ((level, line),) = advice(experiment(LINEAR), {})
    assert level == logging.WARNING
    assert line.startswith("architecture/decoder=linear: with weights of 0 or above, likelihood=bernoulli makes dark ")
    assert list(advice(experiment(LINEAR, "likelihood=gaussian"), {})) == []
    assert list(advice(experiment(LINEAR, "architecture.decoder.non_negative=false"), {})) == []
    assert list(advice(experiment(), {})) == []


@pytest.mark.slow
def test_of_colour_photos_a_new_run_without_a_preset_is_told_what_suits_them(
    experiment: Callable[..., Engine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos", 40, (20, 20), ".png")
    chosen = ["dataset=folder", "experiment=null", f"dataset.root={photos}", "dataset.image_size=16"]
    ((level, line),) = advice(experiment(*chosen), {})
    assert level == logging.INFO
    assert line.endswith("; try experiment=photos64, or likelihood=gaussian_optimal")
    assert list(advice(experiment(*chosen), {"experiment": "photos"})) == []
    assert list(advice(experiment(*chosen, "likelihood=gaussian_optimal"), {})) == []
    assert list(advice(experiment(*chosen, "dataset.channels=1"), {})) == []
    assert list(advice(experiment("dataset.channels=3"), {})) == []  # no photos
    small = [
        *TOY[1:],
        *chosen,
        "architecture=mlp",
        "engine.steps=2",
        "visualisation=[]",
        f"hydra.run.dir={tmp_path}/run",
    ]
    assert vae_train(small) == 0
    assert capsys.readouterr().out.count(line) == 1
    assert vae_train([f"resume={tmp_path}/run", "engine.steps=4"]) == 0
    assert line not in capsys.readouterr().out
