"""Searches: sweeps whose jobs are chosen as they go, by `trials=N` or `hydra/sweeper=optuna`."""

import csv
import importlib.util
import json
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from test_cli import Run, toy, vae_train
from test_jobs import done
from test_sweep_resume import stopped_at, weights

from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.judging.hydra_settings import plugin_hint
from vae_runner.cli.searching import optuna_sweeper
from vae_runner.cli.searching.optuna_sweeper import _Conf
from vae_runner.cli.searching.search_faults import search_faults
from vae_runner.cli.searching.search_space import SearchSpace
from vae_runner.cli.searching.trials import Trials
from vae_runner.cli.searching.trials_setting import take_trials
from vae_runner.report.sweep import read_sweep, write_sweep
from vae_runner.runs.ledger import Ledger, read_ledger, write_ledger

__all__ = ["stopped_at", "vae_train"]  # fixtures
needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="needs Optuna")
QUICK = ("engine.steps=4", "engine.threads=1", "visualisation=[]", "evaluation=none", "engine.progress=false")
RATE = "optimizer.lr=tag(log,interval(1e-4,1e-2))"


def space(*settings: str) -> SearchSpace:
    return SearchSpace.of(OverridesParser.create().parse_overrides(list(settings)))


def taken(*arguments: str) -> tuple[list[str], list[str]]:
    request = read_arguments(arguments)
    return take_trials(request), request.overrides


def test_trials_is_a_setting_of_a_sweeper_that_the_list_keeps() -> None:
    own = ["seed=0", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3"]
    assert taken("--multirun", "seed=0", "trials=3") == ([], own)
    assert taken("--multirun", "hydra/sweeper=optuna", "seed=0", "trials=3")[1] == [own[1], own[0], own[2]]
    assert taken("resume=multirun/latest", "trials=3") == ([], ["resume=multirun/latest", *own[1:]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--multirun", "trials=0"], "trials must be how many jobs a search makes, 1 or more; got 0"),
        (["--multirun", "trials=auto"], "1 or more; got auto"),
        (["--multirun", "trials="], "1 or more; got nothing"),
        (["trials=3"], "trials=3 is for a search: add --multirun"),
        (["--multirun", "trials=3", "trials=4"], "trials is given twice"),
        (["--multirun", "trials=3", "hydra/sweeper=basic"], "trials=3 and hydra/sweeper=basic do not go together"),
        (["--multirun", "trials=3", "hydra.sweeper.n_trials=4"], "and hydra.sweeper.n_trials=4 do not go together"),
    ],
)
def test_trials_is_refused_where_it_says_nothing_or_something_twice(arguments: list[str], words: str) -> None:
    (fault,), _ = taken(*arguments)
    assert words in fault


def test_a_search_without_optuna_names_what_brings_it(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydra.core.config_store import ConfigStore

    monkeypatch.setattr(optuna_sweeper, "is_there", lambda: False)
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["sweeper"], "optuna.yaml", raising=False)
    assert plugin_hint("hydra/sweeper", "optuna") == " It comes with pip install 'vae_runner[optuna]'."
    code, _, errors = vae_train(*toy("--multirun", RATE, "trials=2"))
    assert (code, errors.count("\n")) == (2, 1)
    assert "no hydra/sweeper called 'optuna'. It comes with pip install 'vae_runner[optuna]'." in errors
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert any(one.startswith("optuna") for one in project["optional-dependencies"]["optuna"])


@needs_optuna
def test_what_is_searched_is_what_hydras_words_say() -> None:
    found = space("a=int(interval(1,9))", "b=interval(0.5,9)", "c=range(2,9,3)", "d=x,y", "e=tag(log,interval(1e-4,1))")
    kinds = {name: (type(one).__name__, one.__dict__) for name, one in found.distributions().items()}
    assert (kinds["a"][0], kinds["a"][1]["low"], kinds["a"][1]["high"]) == ("IntDistribution", 1, 9)
    assert (kinds["b"][0], kinds["b"][1]["low"], kinds["b"][1]["high"]) == ("FloatDistribution", 0.5, 9)
    assert (kinds["c"][0], kinds["c"][1]["high"], kinds["c"][1]["step"]) == ("IntDistribution", 8, 3)
    assert kinds["d"][1]["choices"] == ("x", "y")
    assert (kinds["e"][1]["log"], kinds["b"][1]["log"]) == (True, False)


def test_a_job_is_made_of_what_is_the_same_in_all_and_of_what_was_chosen() -> None:
    found = space("seed=1", "a=range(0.1,0.5,0.1)", "b=interval(0,1)", "seed=2", "d='x y',z")
    values = {"a": 0.1 + 0.2, "b": 1 / 3, "d": "'x y'"}
    assert found.settings(values) == ["seed=2", "a=0.3", "b=0.333333", "d='x y'"]


@needs_optuna
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_trials_that_are_proposed_follow_from_those_before_and_not_from_who_proposes(
    tmp_path: Path, sampler: str
) -> None:
    of = space("a=interval(0,1)", "b=x,y")
    settings = {"storage": None, "study_name": None, "sampler": sampler, "seed": 0}

    def proposed(folder: str, again: bool) -> list[dict[str, Any]]:
        (tmp_path / folder).mkdir()
        trials, found = Trials(tmp_path / folder, settings, of, "minimize"), []
        for number in range(13):  # past the random ones that tpe begins with
            if again and number in (4, 12):
                trials = Trials(tmp_path / folder, settings, of, "minimize")
            one = trials.propose(is_beside_others=False)
            found.append(dict(one.values))
            trials.tell(one.number, float(one.values["a"]))
        return found

    unbroken = proposed("unbroken", again=False)
    assert proposed("odd {é} 'name' #?% x", again=True) == unbroken
    assert len({str(one) for one in unbroken}) == 13


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["seed=1"],
            "hydra/sweeper=optuna has nothing to search: give a setting values or an interval",
        ),
        (["a=interval(2,1)"], "a=interval(2,1): an interval goes from a number to a larger one"),
        (["a=tag(log,interval(0,1))"], "a=tag(log,interval(0,1)): log needs numbers above 0"),
        (["a=tag(ln,interval(1,2))"], "a=tag(ln,interval(1,2)): of tags, a search knows log alone, got ln"),
        (["a=tag(log,range(1,9))"], "a=tag(log,range(1,9)): log is for an interval(A,B)"),
        ([RATE, "sampler=cmaes"], "hydra.sweeper.sampler must be tpe, random; got cmaes"),
        ([RATE, "objective=mug"], "hydra.sweeper.objective must be neg_elbo or the name of a score, as mig; got mug"),
        (
            [RATE, "objective=mig"],
            "hydra.sweeper.objective=mig: evaluation=none does not make it; add",
        ),
        ([RATE, "seed=-1"], "hydra.sweeper.seed must be a whole number of 0 or more, got -1"),
        ([RATE, "n_jobs=0"], "hydra.sweeper.n_jobs must be a whole number of 1 or more, or null, got 0"),
        ([RATE, "n_trials=1.5"], "hydra.sweeper.n_trials must be a whole number from 1 to 10,000, got 1.5"),
        ([RATE, "storage=5"], "hydra.sweeper.storage must be a text or null, got 5"),
    ],
)
def test_what_is_wrong_with_a_search_is_told_in_one_line(arguments: list[str], line: str) -> None:
    settings, *own = OverridesParser.create().parse_overrides(arguments)
    sweeper = vars(_Conf()) | {one.key_or_group: one.value() for one in own}
    configs = [{"evaluation": {"scores": "none"}}]
    (found,) = search_faults(OmegaConf.create({"hydra": {"sweeper": sweeper}}), [settings], configs)
    assert found.startswith(line)


@needs_optuna
def test_both_ends_of_an_interval_are_checked_before_a_search_begins(vae_train: Run, inside: Path) -> None:
    code, output, errors = vae_train(*toy("--multirun", "trials=3", "optimizer.lr=interval(1e-5,100)"))
    assert (code, output) == (2, "")
    assert errors == "vae-train: error: optimizer.lr must lie between 1e-9 and 10, got 100.0\n"
    assert list(inside.iterdir()) == []


def test_the_list_of_a_search_may_have_no_jobs_yet_and_another_may_not(tmp_path: Path) -> None:
    write_ledger(tmp_path, Ledger("vae-train", "abcd", search=[RATE], objective="mig"))
    ledger = read_ledger(tmp_path)
    assert ledger is not None
    assert (ledger.is_search, list(ledger.search), ledger.objective, ledger.jobs) == (True, [RATE], "mig", [])
    write_ledger(tmp_path, Ledger("vae-train", "abcd"))
    assert read_ledger(tmp_path) is None


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@needs_optuna
@pytest.mark.parametrize(("way", "best"), [("minimize", 1.0), ("maximize", 3.0)])
def test_of_a_study_that_two_searches_have_in_common_each_knows_its_own_best(
    tmp_path: Path, way: str, best: float
) -> None:
    settings = {"storage": f"sqlite:///{tmp_path / 'all.db'}", "study_name": "all", "sampler": "random", "seed": 0}
    mine, theirs = (
        Trials(tmp_path / name, settings, space(searched), way)
        for name, searched in (
            ("mine", "optimizer.lr=interval(0,1)"),
            ("theirs", "distribution.dims=int(interval(4,20))"),
        )
    )
    assert mine.best() is None
    for trials, figures in ((theirs, (0.0, 9.0)), (mine, (2.0, 1.0, 3.0, None))):
        for figure in figures:
            trials.tell(trials.propose(is_beside_others=False).number, figure)
    found = mine.best()
    assert (found.value, list(found.params)) == (best, ["optimizer.lr"])


@needs_optuna
@pytest.mark.slow
def test_a_search_that_was_stopped_is_the_unbroken_one_to_the_bit_and_goes_on_to_more(
    vae_train: Run, inside: Path, stopped_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = toy(*QUICK, "--multirun", RATE, "seed=0,1", "trials=4")
    code, output, errors = vae_train(*arguments, "hydra.sweep.dir=unbroken")
    assert (code, errors) == (0, "")
    assert "search 4 of 4 trials, lowest neg_elbo " in output
    whole = read_ledger(inside / "unbroken")
    assert whole is not None
    assert len({one["optimizer.lr"] for one in map(whole.typed, range(4))}) == 4
    with monkeypatch.context() as here:
        stopped_at(1, 2)  # of the first trial of that seed
        code, _, errors = vae_train(*arguments, "hydra.sweep.dir=s")
        here.undo()
    monkeypatch.undo()
    told = "vae-train: saved step 2; go on with: vae-train resume=s trust=true\n"
    assert (code, errors) == (128 + signal.SIGINT, told)
    code, output, errors = vae_train("resume=s", "trust=true")
    assert (code, errors) == (0, "")
    assert "going on from step 2" in output
    ledger = read_ledger(inside / "s")
    assert ledger is not None
    assert ledger.jobs == whole.jobs
    for one in (inside / "unbroken").glob("*/checkpoints"):
        (other,) = (inside / "s").glob(f"{one.parent.name.split('-')[0]}-*")
        expected = weights(one.parent)
        assert all(torch.equal(value, expected[name]) for name, value in weights(other).items())
    figures = [float(row["neg_elbo"]) for row in table(inside / "s")]
    assert figures == sorted(figures)  # the best comes first
    code, _, errors = vae_train("resume=s", "trust=true")
    assert (code, errors) == (2, "vae-train: error: all 4 trials in s are done; trials=N goes on to N of them\n")
    assert vae_train("resume=s", "trust=true", "trials=5")[0] == 0
    assert [row["status"] for row in table(inside / "s")] == ["done"] * 5
    code, _, errors = vae_train("resume=s", "trust=true", "trials=6", "engine.steps=9")
    assert (code, errors.count("\n")) == (2, 1)
    assert "engine.steps cannot be changed in a search" in errors


@needs_optuna
@pytest.mark.slow
def test_a_search_does_several_trials_at_once_none_twice_and_goes_on_without_those_that_fail(tmp_path: Path) -> None:
    rates = "optimizer.lr=0.001,10"  # with the last one the loss is not finite
    steps = ("engine.steps=60", "engine.validate_every=60")
    arguments = ("--multirun", rates, "hydra.sweeper.sampler=random", "trials=8", "jobs=2", "hydra.sweep.dir=s")
    code, output, errors = done(tmp_path, *toy(*QUICK, *steps, *arguments))
    assert (code, errors.count("\n")) == (1, 1)
    assert "stopped before the update" in errors
    assert "do the rest" not in output
    rows = {row["optimizer.lr"]: row for row in table(tmp_path / "s")}
    assert {rate: (row["status"], row["best"]) for rate, row in rows.items()} == {
        "0.001": ("done", "best"),
        "10": ("failed", ""),
    }
    import optuna

    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's' / 'study.db'}")
    states = {(trial.params["optimizer.lr"], trial.state.name) for trial in study.trials}
    assert (len(study.trials), states) == (8, {("0.001", "COMPLETE"), ("10", "FAIL")})
    assert study.best_value == pytest.approx(float(rows["0.001"]["neg_elbo"]), rel=1e-5)


@needs_optuna
def test_a_page_has_the_best_of_a_search_first_by_what_it_is_by(tmp_path: Path) -> None:
    from test_sweep import make_run

    jobs = [["seed=0"], ["seed=1"]]
    write_ledger(tmp_path, Ledger("vae-train", "abcd", jobs=jobs, search=["seed=0,1"], objective="mig"))
    for number, mig in enumerate((0.1, 0.3)):
        run = make_run(tmp_path / f"{number}-x", config={"seed": number})
        (run / "evaluation.json").write_text(json.dumps({"mig": {"value": mig, "part": "test"}}))
        (run / ".hydra/hydra.yaml").write_text(f"hydra: {{job: {{num: {number}}}}}")
    write_sweep(tmp_path)
    assert [row["name"] for row in table(tmp_path)] == ["1-x", "0-x"]
    sweep = read_sweep(sorted(tmp_path.glob("?-x")), tmp_path)
    assert sweep.ranking.best == "highest mig (test)"


@needs_optuna
def test_a_wrong_number_of_trials_is_all_that_is_told(vae_train: Run) -> None:
    code, _, errors = vae_train(*toy("--multirun", "trials=0", RATE))
    told = "vae-train: error: trials must be how many jobs a search makes, 1 or more; got 0\n"
    assert (code, errors) == (2, told)
