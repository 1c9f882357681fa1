"""One run by several processes: equal to one process of the same batch, and to the bit among themselves."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import OWN_CONFIGS, TOY
from omegaconf import DictConfig, OmegaConf
from ranked import environments, in_two_processes
from stopping import wait_until

from vae_runner import cli
from vae_runner.checkpoint import load_checkpoint
from vae_runner.cli.precheck import Composer, without_hydra
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import assemble
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.several.shareable import check_shareable
from vae_runner.ranks import ALONE, own, whole
from vae_runner.ranks.torchrun import Place

MLP = ("architecture=mlp",)
BARS = ("dataset=bars", *MLP)
RUNS = {
    "kl": ("divergence=kl",),
    "aligned": ("distribution=normal_aligned", "distribution.align=[2]", "distribution.threshold=0", *MLP),
    "gamma": (*MLP, "distribution=gamma"),  # as many random numbers as its parameters want
    "beta_tc": (*MLP, "divergence=beta_tc", "engine.clip_norm=0.5"),
    "dreg": (*MLP, "divergence=iwae", "divergence.estimator=dreg", "divergence.chunk=2"),
    "pairs": (*BARS, "divergence=ada_ml_vae", "likelihood=gaussian_optimal", "corruption=gaussian_noise"),
}
MORE = {
    "joint": (*MLP, "distribution=joint", "divergence=per_space"),
    "vamp": (*MLP, "distribution/prior=vamp", "divergence.samples=4"),
    "summed": (*MLP, "divergence.reduction=sum_sum"),
    "capacity": (*MLP, "divergence=capacity"),
    "factor": (*MLP, "divergence=factor", "divergence.units=20"),
    "dip_ii": (*MLP, "divergence=dip_ii"),
    "info": (*MLP, "divergence=info"),
    "free_bits": (*MLP, "divergence=free_bits"),
    "control": (*MLP, "divergence=control"),
    "geco": (*MLP, "divergence=geco", "divergence.kappa=0.1", "divergence.constraint=mse"),
    "iwae": (*MLP, "divergence=iwae", "likelihood=gaussian_optimal"),
    "iwae_of_one": (*MLP, "divergence=iwae", "divergence.gradient_from=one", "likelihood=gaussian_optimal"),
    "gaussian_learned": (*MLP, "likelihood=gaussian_learned"),
    "gaussian_optimal": (*MLP, "likelihood=gaussian_optimal"),
    "cropped": (*MLP, "augmentation=crop"),
    "resnet": ("architecture=resnet", "engine.precision=bf16"),
    "compiled": ("divergence=beta_tc", "engine.compile=true"),
}
CASES = [*RUNS, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in MORE)]
NEAR = {"resnet": 3e-2, "pairs": 1e-4}  # else 2e-5: sums in another order; of bf16, of differences
SHORT = (OWN_CONFIGS, *TOY, *MLP, "visualisation=[]", "engine.log_every=1")
PROGRAMS = {
    "unbroken": (*SHORT, "hydra.run.dir=unbroken"),
    "first half": (*SHORT, "hydra.run.dir=halves", "engine.steps=6"),
    "second half": ("resume=halves", "trust=true", "engine.steps=12"),
    "uneven": (*SHORT, "hydra.run.dir=uneven", "engine.batch_size=15"),
    "sweep": (*SHORT, "--multirun", "seed=0,1"),
    "mixing": (*SHORT, "hydra.run.dir=mixing", "architecture.encoder._target_=mixing.Normed"),
}

Said = list[dict[str, Any]]


def told(configs: Composer, folder: Path, runs: dict[str, tuple[str, ...]], programs: Any) -> Said:
    checked = {name: check(without_hydra(configs.compose([*TOY, *settings]))) for name, settings in runs.items()}
    assert [problems for _, problems in checked.values() if problems] == []
    return in_two_processes(folder, {name: config for name, (config, _) in checked.items()}, programs)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two processes ran."""
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def said(configs: Composer, place: Path) -> Said:
    """What each of two processes says of the runs and the programs."""
    return told(configs, place, {**RUNS, "stop": MLP}, PROGRAMS)


@pytest.fixture(scope="module")
def said_more(configs: Composer, tmp_path_factory: pytest.TempPathFactory) -> Said:
    return told(configs, tmp_path_factory.mktemp("more"), MORE, {})


def about(name: str, request: pytest.FixtureRequest) -> Said:
    return [one[name] for one in request.getfixturevalue("said" if name in RUNS else "said_more")]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_step_of_two_processes_is_that_of_one_with_the_whole_batch(request: Any, name: str) -> None:
    for process in about(name, request):
        assert process["images"] == [16, 8]
        for figure in ("gradient", "figures", "buffers"):
            assert process[figure] <= NEAR.get(name, 2e-5), figure


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_come_to_the_same_weights_to_the_bit(request: Any, name: str) -> None:
    first, second = about(name, request)
    assert first["digest"] == second["digest"]
    assert first["losses"][1] == second["losses"][1]
    assert all(map(math.isfinite, first["losses"][1]))


@pytest.mark.slow
def test_both_processes_stop_behind_the_step_in_which_one_was_asked_to(said: Said) -> None:
    assert [one["stop"] for one in said] == 2 * [{"number": signal.SIGTERM, "step": 3}]


@pytest.mark.slow
def test_a_run_of_two_processes_is_resumed_to_the_bit_and_tells_how_many_they_are(said: Said, place: Path) -> None:
    leading, following = said
    assert [leading[name]["code"] for name in ("unbroken", "first half", "second half")] == [0, 0, 0], leading
    assert "ranks 2 processes, each of which makes 8 of a batch's 16 images" in leading["unbroken"]["out"]
    assert [following[name] for name in PROGRAMS] == len(PROGRAMS) * [{"code": 0, "out": "", "errors": ""}]
    whole, halves = (load_checkpoint(place / name / "checkpoints" / "last.pt") for name in ("unbroken", "halves"))
    assert whole["processes"] == json.loads((place / "halves" / "environment.json").read_text())["processes"] == 2
    assert [name for name in whole["objective"] if not whole["objective"][name].equal(halves["objective"][name])] == []
    assert "2 processes" in (place / "halves" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "uneven",
            "engine.batch_size=15 cannot be shared out evenly among 2 processes; give a multiple, such as 14",
        ),
        (
            "sweep",
            "started 2 times at once (WORLD_SIZE=2), as torchrun does it, which is for one run on",
        ),
        ("mixing", "architecture.encoder (mixing.Normed) mixes the images of a batch in training"),
    ],
)
def test_what_several_processes_cannot_do_is_refused_in_one_line_by_the_first(
    said: Said, place: Path, name: str, line: str
) -> None:
    code, errors = said[0][name]["code"], said[0][name]["errors"]
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith(f"vae-train: error: {line}")
    assert not (place / name).exists()


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all_with_one_line_and_leaves_a_run_that_resumes(
    inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    long = ("engine.steps=5000", "engine.checkpoint_every=5", "engine.validate_every=5000")
    settings = (*SHORT, "hydra.run.dir=run", *long)
    command = [sys.executable, "-m", "vae_runner", *settings]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first, second = (subprocess.Popen(command, env=environment, **pipes) for environment in environments())
    wait_until((inside / "run" / "checkpoints" / "last.pt").exists, first)
    second.kill()
    (_, errors), silent = first.communicate(timeout=300), second.communicate()
    assert (first.returncode, errors.count("\n"), silent) == (1, 1, ("", "")), errors
    assert "another process of this run has ended, without which it cannot go on; last good checkpoint: step " in errors
    capfd.readouterr()
    step = load_checkpoint(inside / "run" / "checkpoints" / "last.pt")["step"]
    assert cli.run(["resume=run", "trust=true", f"engine.steps={step + 1}"]) == 0
    assert "processes is 1 now and was 2: figures may differ in their last digits" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("key", "part", "line"),
    [
        ("architecture.encoder", "Normed", "architecture.encoder mixes the images of a batch in training"),
        ("architecture.encoder", "Dropped", "architecture.encoder draws random numbers of its own in training"),
        ("likelihood", "MeanScaled", "likelihood mixes the images of a batch in training, and each of several"),
        ("divergence", "Bright", "divergence (mixing.Bright) reads y_pred, of which each of several processes"),
    ],
)
def test_a_part_that_mixes_the_images_of_a_batch_is_not_shared_out(
    compose: Callable[..., DictConfig], key: str, part: str, line: str
) -> None:
    cfg = compose(*TOY, *MLP, "likelihood=gaussian")
    OmegaConf.update(cfg, key, {"_target_": f"mixing.{part}"}, merge=False)
    config, problems = check(cfg)
    assert problems == []
    engine = assemble(config)
    before = torch.get_rng_state()
    with pytest.raises(UserError) as refused:
        check_shareable(engine, {})
    assert torch.equal(torch.get_rng_state(), before)  # nor does what is told hang on it
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_a_process_alone_has_the_whole_batch() -> None:
    x = torch.rand(4, 3)
    assert whole(x) is x
    assert own(x) is x
    assert ALONE.rows(15) is None


def test_several_processes_that_are_not_told_where_to_meet_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"started 2 times at once \(WORLD_SIZE=2\) without MASTER_ADDR and"):
        Place.told({"RANK": "0", "WORLD_SIZE": "2"})
    with pytest.raises(SystemExit):
        Place.told({"RANK": "1", "WORLD_SIZE": "2"})


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": "2", "RANK": "x"}])
def test_a_process_that_torchrun_has_not_started_with_others_is_alone(environment: dict[str, str]) -> None:
    assert Place.told(environment) is None
