"""A request is composed and checked once, and what is done is what Hydra's own front door would do."""

import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

import vae_runner.cli.precheck
import vae_runner.cli.sweeping.sweep
import vae_runner.experiment.run
from vae_runner import cli
from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.composing.composer import Composer, composer, path_value
from vae_runner.cli.composing.presets import PresetLoader
from vae_runner.cli.job import _notes
from vae_runner.paths import config_dir

OWN_CONFIGS = f"--config-dir={Path(__file__).parent / 'conf'}"
TINY = ("dataset=toy", "engine.steps=1", "engine.batch_size=8", "engine.device=cpu", "engine.threads=1")
TINY += ("engine.progress=false", "visualisation=[]", OWN_CONFIGS)


class Counts:
    """How many configs were composed and checked."""

    composed = 0
    checked = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    found, compose = Counts(), PresetLoader._load_configuration_impl

    def counted(*arguments: Any, **settings: Any) -> DictConfig:
        found.composed += 1
        return compose(*arguments, **settings)

    def counting(check: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **settings: Any) -> Any:
            found.checked += 1
            return check(*arguments, **settings)

        return counted

    monkeypatch.setattr(PresetLoader, "_load_configuration_impl", counted)
    for module in (vae_runner.cli.precheck, vae_runner.experiment.run):
        monkeypatch.setattr(module, "check", counting(module.check))
    return found


@pytest.mark.parametrize(
    "preset", [[], ["experiment=smoke", "dataset=toy", "dataset.validation=20"]], ids=["plain", "preset"]
)
def test_a_run_is_composed_twice_and_checked_once(inside: Path, counts: Counts, preset: list[str]) -> None:
    assert cli.run([*preset, *TINY]) == 0
    assert 0 < counts.composed <= 2
    assert counts.checked == 1


@pytest.mark.slow
def test_a_resumed_run_is_composed_twice(inside: Path, counts: Counts) -> None:
    assert cli.run([*TINY, "hydra.run.dir=run"]) == 0
    counts.composed = counts.checked = 0
    assert cli.run(["resume=run", "engine.steps=2", "trust=true", OWN_CONFIGS]) == 0
    assert 0 < counts.composed <= 2
    assert counts.checked == 2  # the request, and what the run has saved, with the changes


@pytest.fixture
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vae_runner.cli.sweeping.sweep, "task", lambda cfg: 0.0)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_training")
@pytest.mark.parametrize(
    ("settings", "jobs"),
    [
        (["seed=1,2,3,4,5,6"], 6),
        (["seed=1,2,3", "distribution.dims=2,3"], 6),
        (["divergence=beta,capacity,kl", "likelihood=bernoulli,laplace", "hydra.sweeper.max_batch_size=2"], 6),
        (["optimizer.lr=1e-3, 1e-4", "seed= 7", "distribution.dims=2"], 2),
        (["experiment=null", "seed=1,2"], 2),
        (["seed=4"], 1),
    ],
)
def test_each_job_of_a_sweep_is_composed_once(inside: Path, counts: Counts, settings: list[str], jobs: int) -> None:
    assert cli.run(["--multirun", *TINY, *settings, "hydra.sweep.dir=sweep"]) == 1  # no job leaves a run
    assert jobs < counts.composed <= jobs + 2


def test_a_job_in_another_process_has_been_composed(inside: Path, counts: Counts) -> None:
    with _opened() as compose:
        sweep = compose.compose(["seed=1,2"], multirun=True)
        job = compose.compose_job([], ["seed=2"])
        before = counts.composed
        there: PresetLoader = pickle.loads(pickle.dumps(compose._hydra.config_loader))
        assert plain(there.load_sweep_config(sweep, ["seed=2"])) == plain(job)
        assert counts.composed == before
        assert there.load_sweep_config(sweep, ["seed=1"]).seed == 1
        assert counts.composed == before + 1


@pytest.mark.slow
def test_a_job_of_a_sweep_with_other_settings_of_hydras_is_composed_anew(inside: Path) -> None:
    with _opened() as compose:
        compose.compose_job([], ["seed=2"])
        for setting in ("hydra.job.name=other", "hydra/job_logging=stdout"):
            sweep = compose.compose([setting, "seed=1,2"], multirun=True)
            job = compose._hydra.config_loader.load_sweep_config(sweep, ["seed=2"])
            assert plain(job) == plain(compose.compose([setting, "seed=2"]))


def plain(cfg: DictConfig) -> Any:
    """As it is written, nothing looked up."""
    return OmegaConf.to_container(cfg, resolve=False)


def _opened() -> Any:
    return composer(read_arguments([]))


@pytest.fixture
def by_hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[dict[str, str]]]]:
    """by_hydra(*arguments) -> what Hydra itself, with a loader of its own, makes of each job, as it is written down."""

    def make(*arguments: str) -> list[dict[str, str]]:
        monkeypatch.setattr(sys, "argv", ["vae-train", *arguments])
        notes: list[dict[str, str]] = []
        GlobalHydra.instance().clear()  # of a composer that the whole session has
        main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
        main(lambda cfg: notes.append(_notes(cfg)))()
        return notes

    return make


def _composed(compose: Composer, settings: Sequence[str], folder: Path, multirun: bool) -> list[dict[str, str]]:
    notes: list[dict[str, str]] = []
    cfg = compose.compose(settings, multirun)
    start = compose.sweep if multirun else compose.run
    start(cfg, folder, lambda job: notes.append(_notes(job)))
    return notes


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["seed=3", "divergence=beta", "divergence.beta=2", "optimizer.lr=1e-3"],
        ["seed=${hydra:job.id}", "hydra.job.id='7'", "hydra.mode=RUN", "+hydra.job.env_set.A=5", "hydra.verbose=true"],
        ["dataset.root='a b, c'", "hydra.run.dir='x${seed}'", "hydra/job_logging=stdout", "~corruption"],
    ],
    ids=["plain", "settings", "hydra", "odd"],
)
def test_a_run_writes_down_what_hydra_would(
    inside: Path, by_hydra: Callable[..., list[dict[str, str]]], settings: list[str]
) -> None:
    folder = inside / "odd d,x"
    expected = by_hydra(*settings, f"hydra.run.dir={path_value(folder)}")
    with _opened() as compose:
        assert _composed(compose, settings, folder, multirun=False) == expected
    assert len(expected) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["seed=1,2", "divergence.beta=4,8", "divergence=beta"],
        ["likelihood=bernoulli,laplace", "hydra.sweeper.max_batch_size=1"],
        ["seed=1", "hydra.mode=MULTIRUN", "hydra.sweep.subdir='${hydra:job.num}-${seed}'"],
    ],
)
def test_a_sweep_writes_down_what_hydra_would(
    inside: Path, by_hydra: Callable[..., list[dict[str, str]]], settings: list[str]
) -> None:
    folder = inside / "sweep"
    expected = by_hydra("--multirun", *settings, f"hydra.sweep.dir={path_value(folder)}")
    whole = (folder / "multirun.yaml").read_text()
    (folder / "multirun.yaml").unlink()
    with _opened() as compose:
        assert _composed(compose, settings, folder, multirun=True) == expected
    assert (folder / "multirun.yaml").read_text() == whole


@pytest.mark.slow
def test_a_job_that_looks_up_what_hydra_sets_for_it_gets_that(inside: Path) -> None:
    look_up = "seed='${oc.decode:${oc.env:OWN_SEED,1}}'"
    assert cli.run([*TINY, "+hydra.job.env_set.OWN_SEED=5", look_up, "hydra.run.dir=run"]) == 0
    assert yaml.safe_load(Path("run/config.yaml").read_text())["seed"] == 5
    wrong = [*TINY, "+hydra.job.env_set.OWN_SEED=many", look_up, "hydra.run.dir=other"]
    assert cli.run(wrong) == 2  # checked anew, as it is another one
    assert not Path("other").exists()


def test_an_own_option_hides_ours_of_that_name_in_the_check_and_in_the_run(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path("mine/divergence/beta.yaml")
    file.parent.mkdir(parents=True)
    file.write_text((config_dir() / "divergence/beta.yaml").read_text().replace("beta: 4", "beta: 77"))
    assert cli.run(["--config-dir", "mine", "divergence=beta", "--cfg", "job", "--package", "divergence"]) == 0
    assert "beta: 77" in capsys.readouterr().out
    with composer(read_arguments(["--config-dir", "mine"])) as compose:
        (note,) = _composed(compose, ["divergence=beta"], inside / "run", multirun=False)
    assert "beta: 77" in note["config.yaml"]
