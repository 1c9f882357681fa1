"""What a run reports of itself at its end: figures of images that nothing was chosen by."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import OWN_CONFIGS, TOY
from torch.distributions import kl_divergence

import vae_runner
from vae_runner.callbacks import Status
from vae_runner.cli import run as vae_train
from vae_runner.engine import Engine
from vae_runner.experiment.scoring.at_end import report_end
from vae_runner.report.sweep import read_sweep
from vae_runner.runs.names import BEST, CHECKPOINTS, METRICS, STATUS

Make = Callable[..., Engine]
SMALL = ("dataset.test=20", "visualisation=[]", "engine.progress=false")


def records(folder: Path, split: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [record for record in found if record["split"] == split]


def config_of(compose: Callable[..., Any], *overrides: str) -> dict[str, Any]:
    from vae_runner.experiment.checking.check import check

    return check(compose(*TOY, *SMALL, *overrides))[0]


@pytest.mark.slow
def test_a_run_reports_its_best_weights_on_test_images_once_however_often_it_is_killed_behind_its_last_step(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert vae_train([OWN_CONFIGS, *TOY, *SMALL, f"hydra.run.dir={run}"]) == 0
    output = capfd.readouterr().out
    assert "data  toy (made) 140 training + 40 validation + 20 test images" in output
    [found] = records(run, "test")
    saved = vae_runner.load(run, device="cpu", trust=True)
    assert (found["step"], found["checkpoint"], found["images"]) == (saved.step, BEST, 20)
    test = saved.data.test
    assert not set(test.indices.tolist()) & {
        *saved.data.train.indices.tolist(),
        *saved.data.validation.indices.tolist(),
    }
    with torch.no_grad():
        pairs = zip(saved.model.posteriors(test.batch(torch.arange(20))), saved.model.priors(), strict=True)
        kl = sum(float(kl_divergence(q, p).sum(1).mean()) for q, p in pairs)
    assert found["kl"] == pytest.approx(kl, rel=1e-5)
    assert found["neg_elbo"] == pytest.approx(found["recon"] + found["kl"], rel=1e-6)
    figures = f"-ELBO {found['neg_elbo']:.1f}, recon {found['recon']:.1f}, KL {found['kl']:.2f} nats per image"
    assert f"test  {figures}; " in output
    status = json.loads((run / STATUS).read_text())
    assert status["test"]["neg_elbo"] == found["neg_elbo"]
    assert f"{found['neg_elbo']:,.1f}" in (run / "report.html").read_text().split("Test -ELBO")[1][:100]
    [job] = read_sweep([run], tmp_path).jobs
    assert job.scores["neg_elbo", "test"] == found["neg_elbo"]

    (run / STATUS).write_text(json.dumps(status | {"state": "running"}))  # as a kill leaves it
    assert vae_train([OWN_CONFIGS, f"resume={run}", "trust=true"]) == 0
    again = records(run, "test")
    assert [record | {"seconds": 0} for record in again] == [found | {"seconds": 0}]


def test_what_is_reported_are_the_weights_of_the_best_checkpoint_and_measuring_them_moves_nothing(
    experiment: Make, compose: Callable[..., Any], tmp_path: Path
) -> None:
    engine = experiment(*SMALL, folder=tmp_path)
    status = Status(tmp_path)
    engine.run()
    weights = [parameter.detach().clone() for parameter in engine.objective.parameters()]
    torch.manual_seed(3)
    draws = torch.random.get_rng_state()
    report_end(engine, config_of(compose), status)
    assert torch.equal(draws, torch.random.get_rng_state())
    assert all(map(torch.equal, weights, engine.objective.parameters()))
    best = dict(status.file.test)
    with torch.no_grad():
        for parameter in engine.objective.parameters():
            parameter.zero_()
    report_end(engine, config_of(compose), status)
    assert status.file.test == best
    (tmp_path / CHECKPOINTS / BEST).unlink()
    report_end(engine, config_of(compose), status)
    assert (status.file.test["checkpoint"], status.file.test["kl"]) != (BEST, best["kl"])


def test_a_run_that_cannot_be_measured_at_its_end_is_done_with_a_line(
    experiment: Make, compose: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = experiment(*SMALL, folder=tmp_path)
    engine.run()
    (tmp_path / METRICS).unlink()
    (tmp_path / METRICS).mkdir()
    report_end(engine, config_of(compose), Status(tmp_path))
    told = [record.message for record in caplog.records if record.message.startswith("nothing is measured")]
    assert len(told) == 1
    assert "\n" not in told[0]


def test_without_a_test_part_nothing_is_reported(experiment: Make, compose: Callable[..., Any], tmp_path: Path) -> None:
    engine = experiment("visualisation=[]", folder=tmp_path)
    status = Status(tmp_path)
    engine.run()
    report_end(engine, config_of(compose, "dataset.test=0"), status)
    assert (engine.test, status.file.test, records(tmp_path, "test")) == (None, {}, [])
