"""What a run reports of itself at its end: figures of images that nothing was chosen by."""

import json
from collections.abc import Callable
from dataclasses import replace
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
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.scoring.at_end import report_end
from vae_runner.experiment.scoring.catalogue import CATALOGUE
from vae_runner.experiment.scoring.cheap import CHEAP, fitting
from vae_runner.experiment.scoring.curve import Live, parts_of
from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate
from vae_runner.experiment.scoring.subject import Settings, Subject
from vae_runner.experiment.scoring.wanted import evaluation_config
from vae_runner.report.sweep import read_sweep
from vae_runner.runs.names import BEST, CHECKPOINTS, EVALUATION, METRICS, STATUS

Make = Callable[..., Engine]
SMALL = ("dataset.test=20", "visualisation=[]", "engine.progress=false")


def records(folder: Path, split: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [record for record in found if record["split"] == split]


def config_of(compose: Callable[..., Any], *overrides: str) -> dict[str, Any]:
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


def test_what_is_reported_is_made_with_the_threads_of_the_run_and_its_float32(
    experiment: Make, compose: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = experiment(*SMALL, "engine.threads=1", folder=tmp_path)
    engine.run()
    seen, measure, before = list[tuple[int, bool]](), engine.measure, torch.get_num_threads()

    def watched(*args: Any) -> Any:
        seen.append((torch.get_num_threads(), torch.backends.cudnn.allow_tf32))
        return measure(*args)

    monkeypatch.setattr(engine, "measure", watched)
    try:
        torch.set_num_threads(2)
        report_end(engine, config_of(compose), Status(tmp_path))
        assert seen == [(1, False)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_scores_are_made_in_float32_on_a_gpu_too(
    experiment: Make, compose: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = experiment(*SMALL, folder=tmp_path)
    engine.run()
    seen, score = list[bool](), CATALOGUE["active_units"]

    def watched(*args: Any) -> Any:
        seen.append(torch.backends.cudnn.allow_tf32)
        return score.make(*args)

    monkeypatch.setitem(CATALOGUE, "active_units", replace(score, make=watched))
    live = Live(
        tmp_path,
        config_of(compose),
        engine.objective.model.eval(),
        engine.step,
        "last",
        engine.device,
        parts_of(engine),
    )
    assert len(list(evaluate(Subject(live, Settings()), ["active_units"]))) == 1
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32


def test_a_run_that_cannot_be_measured_at_its_end_is_done_with_a_line(
    experiment: Make, compose: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = experiment(*SMALL, folder=tmp_path)
    engine.run()
    (tmp_path / METRICS).unlink()
    (tmp_path / METRICS).mkdir()
    report_end(engine, config_of(compose), Status(tmp_path))
    told = [record.message for record in caplog.records if record.message.startswith("the run is done, and not all")]
    assert len(told) == 1
    assert "\n" not in told[0]


def test_without_a_test_part_nothing_is_reported(experiment: Make, compose: Callable[..., Any], tmp_path: Path) -> None:
    engine = experiment("visualisation=[]", folder=tmp_path)
    status = Status(tmp_path)
    engine.run()
    report_end(engine, config_of(compose, "dataset.test=0"), status)
    assert (engine.test, status.file.test, records(tmp_path, "test")) == (None, {}, [])


# Scores.

BARS = ("dataset=bars", "dataset.test=100", "divergence=beta", *TOY[2:], "visualisation=[]", "engine.progress=false")


def scores_of(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / EVALUATION).read_text())
    return {name: {key: value for key, value in one.items() if key != "seconds"} for name, one in found.items()}


def figures_of(folder: Path, *splits: str) -> list[dict[str, Any]]:
    clocks = ("seconds", "images_per_second")
    found = [record for split in splits for record in records(folder, split)]
    return [{key: value for key, value in record.items() if key not in clocks} for record in found]


@pytest.mark.slow
def test_cheap_scores_are_made_at_the_end_and_on_the_way_and_change_nothing_of_the_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def train(name: str, *settings: str) -> Path:
        folder = tmp_path / name
        assert vae_train([OWN_CONFIGS, *BARS, f"hydra.run.dir={folder}", *settings]) == 0
        return folder

    scored, plain = train("scored", "evaluation.every=4"), train("plain", "evaluation=none")
    assert figures_of(scored, "train", "validation", "test") == figures_of(plain, "train", "validation", "test")
    assert not (plain / EVALUATION).exists()
    found = scores_of(scored)
    assert list(found) == list(CHEAP)
    assert {(one["part"], one["checkpoint"]) for one in found.values()} == {("test", "best")}
    same = vae_runner.load(scored, device="cpu", trust=True).evaluate(list(CHEAP))
    assert {name: one["value"] for name, one in same.items()} == {name: one["value"] for name, one in found.items()}
    assert f"score mig {found['mig']['value']:.4g}, modularity" in capfd.readouterr().out
    curve = figures_of(scored, "scores")
    assert [(record["step"], record["part"]) for record in curve] == [(step, "validation") for step in (4, 8, 12)]
    assert set(CHEAP) <= set(curve[0])
    assert "mig of the validation images over the steps" in (scored / "report.html").read_text()

    status = json.loads((scored / STATUS).read_text())  # as a kill between two scores leaves it
    (scored / STATUS).write_text(json.dumps(status | {"state": "running"}))
    kept = {name: record for name, record in json.loads((scored / EVALUATION).read_text()).items() if name != "irs"}
    (scored / EVALUATION).write_text(json.dumps(kept))
    assert vae_train([OWN_CONFIGS, f"resume={scored}", "trust=true"]) == 0
    assert scores_of(scored) == found
    assert json.loads((scored / EVALUATION).read_text())["mig"] == kept["mig"]  # not made again
    assert figures_of(scored, "scores") == curve

    short = train("short", "engine.steps=6", "evaluation.every=4")
    assert vae_train([OWN_CONFIGS, f"resume={short}", "trust=true", "engine.steps=12", "evaluation=[mig]"]) == 0
    assert figures_of(short, "validation")[-1] == figures_of(scored, "validation")[-1]
    assert [record["mig"] for record in figures_of(short, "scores")] == [record["mig"] for record in curve]


def test_what_does_not_fit_into_the_time_is_left_out_with_a_line(
    experiment: Make, compose: Callable[..., Any], tmp_path: Path
) -> None:
    engine = experiment(*BARS)
    live = Live(tmp_path, {}, engine.objective.model.eval(), 0, "best", engine.device, parts_of(engine))
    subject = Subject(live, Settings(samples=50))
    none = list(fitting(subject, ("mig", "factor_vae"), 0.0))
    assert [one.name for one in none] == ["mig", "factor_vae"]
    assert len({one.reason for one in none}) == 1  # which are told in one line
    assert none[0].reason.startswith("more than fits into the 0.0 s that scores may take unasked; vae-evaluate makes")
    names = [one.name if isinstance(one, LeftOut) else one[0] for one in fitting(subject, ("irs", "mig"), 60.0)]
    assert names == ["irs", "mig"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["evaluation=migg"], "evaluation: no score called 'migg'. Did you mean mig? Choices: mig, "),
        (["evaluation=[mig,sapp]"], "evaluation: no score called 'sapp'. Did you mean sap? Choices: mig, "),
        (["evaluation=[]"], "evaluation: evaluation=[] names no score. Choices: "),
        (["evaluation=null"], "evaluation: expected auto, none or names of scores, got null"),
        (["evaluation=[1]"], "evaluation: expected auto, none or names of scores, got [1]"),
        (["evaluation=udr"], "evaluation: udr compares runs; vae-evaluate SWEEP score=udr makes it of a sweep"),
        (["evaluation.every=0"], "evaluation.every must be positive, got 0"),
        (["evaluation.every=often"], "evaluation.every: expected int or null, got 'often'"),
        (["evaluation=none", "evaluation.every=5"], "evaluation.every=5 has nothing to score with evaluation=none"),
        (["evaluation.evry=5"], "no setting called 'evaluation.evry'. Did you mean evaluation.every?"),
        (["evaluation.every=5"], "evaluation.every=5: the data set states no factors, which evaluation=auto needs; "),
        (["evaluation=[mig,irs]", "evaluation.every=5"], "evaluation.every=5: the data set states no factors, which "),
    ],
)
def test_scores_that_cannot_be_made_are_refused_before_training(
    settings: list[str], line: str, inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert vae_train([OWN_CONFIGS, *TOY, *settings]) == 2
    errors = capfd.readouterr().err.splitlines()
    assert [one.startswith(f"vae-train: error: {line}") for one in errors] == [True]
    assert not list(inside.glob("outputs/*/*/metrics.jsonl"))


def test_a_preset_may_say_none_in_a_word_and_a_run_of_before_says_nothing(compose: Callable[..., Any]) -> None:
    cfg = compose(*TOY)
    cfg.evaluation = "none"
    config, problems = check(cfg)
    assert (problems, config["evaluation"]) == ([], {"scores": "none", "every": None, "inception": None})
    del cfg.evaluation
    config, problems = check(cfg)
    assert (problems, evaluation_config(config).names) == ([], ())
