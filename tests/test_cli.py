import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from conftest import OWN_CONFIGS, TOY
from photos import write_photos
from PIL import Image
from samples import every

from vae_runner import __version__, cli
from vae_runner.checkpoint import load_checkpoint
from vae_runner.cli import data
from vae_runner.engine import Engine
from vae_runner.errors import RunError
from vae_runner.paths import config_dir
from vae_runner.state import State

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def vae_train(inside: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """vae_train(*arguments) -> exit code, standard output, standard error; in an empty folder of its own."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        capfd.readouterr()
        code = cli.run(list(arguments))
        return (code, *capfd.readouterr())

    return run


def toy(*arguments: str) -> list[str]:
    return [OWN_CONFIGS, *TOY, *arguments]


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("config.yaml") if path.parent.name != ".hydra")


def test_help_lists_every_option_and_setting(vae_train: Run) -> None:
    code, screen, _ = vae_train("--help")
    assert code == 0
    for file in config_dir().rglob("*.yaml"):
        if file.parent != config_dir():
            assert re.search(rf"^ +\*?{file.stem} ", screen, re.M), file.stem
    for name in yaml.safe_load((config_dir() / "train.yaml").read_text())["engine"]:
        assert f"engine.{name}=" in screen
    assert max(map(len, screen.splitlines())) <= 140


def test_help_lists_the_options_of_ones_own_folder(vae_train: Run, inside: Path) -> None:
    (inside / "mine/likelihood").mkdir(parents=True)
    (inside / "mine/likelihood/poisson.yaml").write_text("# Counts of photons.\n_target_: own.Poisson\n")
    code, screen, _ = vae_train("--config-dir", "mine", "--help")
    assert code == 0
    assert re.search(r"^    poisson +Counts of photons\.$", screen, re.M)
    assert "   *bernoulli" in screen


def test_version(vae_train: Run) -> None:
    assert vae_train("--version") == (0, f"vae-train {__version__}\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["dataset=dspritez"],
            "no dataset called 'dspritez'. Did you mean dataset=dsprites? "
            "Choices: arrays, cars3d, celeba, celeba_hq, dsprites, folder, mpi3d, shapes3d, smallnorb, torch, "
            "torchvision",
        ),
        (["architecture/encoder=mpl"], "no architecture/encoder called 'mpl'. Did you mean architecture/encoder=mlp?"),
        (["visualisation=[data,travesal]"], "no visualisation called 'travesal'. Did you mean visualisation="),
        (["epcohs=3"], "no setting called 'epcohs'. Did you mean engine.epochs?"),
        (["+epcohs=3"], "no setting called 'epcohs'. Did you mean engine.epochs?"),
        (["datset=dsprites"], "no setting called 'datset'. Did you mean dataset?"),
        (["--epochs=3"], "settings are written without dashes: engine.epochs=3"),
        (["--epochs", "3"], "settings are written without dashes: engine.epochs=3"),
        (["--batch-size", "3"], "settings are written without dashes: engine.batch_size=3"),
        (["--cfg"], "--cfg needs a value: job, hydra, all"),
        (["-c"], "--cfg needs a value: job, hydra, all"),
        (["seed=1", "--config-dir"], "--config-dir needs a value"),
        (["--zzz"], "no option called 'zzz'; settings are written without dashes: NAME=VALUE"),
        (["divergence.beta=abc"], "divergence.beta: expected float or Schedule, got 'abc'"),
        (["engine.epochs=-3"], "engine.epochs must be positive, got -3"),
        (["engine.steps=3", "engine.epochs=3"], "give either engine.steps or engine.epochs"),
        (["dataset=folder", "dataset.root=a b/Übung (1) #2"], "dataset.root=a b/Übung (1) #2 does not exist"),
        (["dsprites"], "cannot read 'dsprites': settings are written NAME=VALUE. Did you mean dataset=dsprites?"),
        (["seed=/a [b(c"], "cannot read 'seed=/a [b(c'; put quotes around the value: 'seed=\"/a [b(c\"'"),
        (["seed=/a b(c"], "seed: expected int, got '/a b(c'"),
        (["divergence=beta,capacity"], "divergence=beta,capacity holds several values: add --multirun"),
        (["-m", "divergence=beta,capacitor"], "no divergence called 'capacitor'. Did you mean divergence=capacity?"),
        (["--multirun", "seed=1,x"], "seed: expected int, got 'x'"),
        (["architecture.encoder=mlp"], "architecture.encoder is a group, set it by architecture/encoder=OPTION"),
        (["likelihood.sigma=1"], "likelihood.sigma is a setting of likelihood=gaussian|gaussian_learned"),
        (["divergence=beta", "divergence.beta.period=9"],
         "divergence.beta.period is a setting of schedule@divergence.beta=cyclic"),
        (["schedule=cyclic"], "schedule=cyclic: say what it is for, such as schedule@divergence.beta=cyclic"),
        (["schedule@divergence.beta=cylic"],
         "no schedule called 'cylic'. Did you mean schedule@divergence.beta=cyclic? Choices: chain, cosine"),
        (["dataset=celeba", "dataset.download=true"], "dataset.download is a setting of dataset=dsprites"),
        (["visualisation.path.interpolation=linear"], "visualisation.path.interpolation is a setting of visualisation"),
        (["+experiment=smoke"], "experiment is chosen without +: experiment=smoke"),
        (["+engine.steps=3"], "engine.steps is there already; write it without +"),
        (["+optimizer.lr=3"], "optimizer.lr is there already; write it without +"),
        (["~engine.nothing"], "no setting called 'engine.nothing'."),
        (["=3"], "cannot read '=3': settings are written NAME=VALUE."),
        (["seed="], "seed= has no value; null stands for none"),
        (["hydra.run.dir="], "hydra.run.dir= has no value"),
        (["resume="], "resume= has no value"),
        (["dataset.root='a b"], "cannot read \"dataset.root='a b\": its quotes do not match"),
        (["+hydra.run.dirr=x"], "no setting called 'hydra.run.dirr'. Did you mean hydra.run.dir?"),
        (["hydra.foo=3"], "no setting called 'hydra.foo'."),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir is for --multirun; the folder of a single run is hydra.run.dir"),
        (["--run", "--multirun"], "--run and --multirun do not go together; give one of them"),
        (["--cfg", "job", "--multirun"], "--multirun and --cfg do not go together"),
        (["-m", "seed=1,2", "hydra.sweeper.max_batch_size=0"], "hydra.sweeper.max_batch_size must be a positive whole"),
        (["hydra.sweeper.max_batch_size=2"], "hydra.sweeper.max_batch_size is for --multirun"),
        (["-m", "seed=1,2", "hydra.run.dir=x"], "hydra.run.dir is for a single run; the folder of a"),
        (["-m", "seed=1,2", "hydra.sweep.subdir=.."], "hydra.sweep.subdir must be a folder in the sweep's, got '..'"),
        (["-m", "seed=1,2", "hydra.sweep.subdir=/x"], "hydra.sweep.subdir must be a folder in the sweep's, got '/x'"),
        (["-m", "seed=1,2", "hydra.sweep.subdir=x"], "hydra.sweep.subdir=x would be the folder of all 2 jobs"),
        (["-m", "seed=1,1"], "seed=1,1 gives 1 twice: these jobs would be the same"),
        (["-m", "optimizer.lr=1e-3,0.001"], "optimizer.lr=1e-3,0.001 gives 0.001 twice"),
        (["-m", "seed=1,2", "seed=3"], "seed is given twice, once with several values; give all of them at once"),
        (["hydra.job.chdir=true"], "hydra.job.chdir=true would have relative paths lead elsewhere"),
        (["hydra.output_subdir=.."], "hydra.output_subdir must be the name of a folder in the run's, got '..'"),
        (["hydra.mode=MULTIRUN"], "hydra.mode=MULTIRUN: write --multirun instead"),
        (["dataset.root=~nouser"], "dataset.root begins with the home folder of nobody here, got '~nouser'"),
        (["resume=~nouser"], "resume=~nouser: there is no home folder of ~nouser"),
        (["hydra.run.dir=~nouser/x"], "hydra.run.dir=~nouser/x: there is no home folder of ~nouser"),
        (["resume=/"], "resume=/: no run there (no config.yaml)."),
        (["-sc", "install=nope"], "--shell-completion goes with install=SHELL, or uninstall=SHELL; SHELL: bash"),
        (["-sc"], "--shell-completion goes with install=SHELL"),
        (["--experimental-rerun", "/dev/null"], "--experimental-rerun is not taken: it would run whatever code"),
        (["--config-path", "/tmp"], "--config-path is not taken"),
        (["-m", "hydra/launcher=ray"], "no hydra/launcher called 'ray'. It comes with pip install 'vae_runner[ray]'"),
        (["distribution=normal", "distribution.dims=1e8"], "distribution.dims must be at most 100,000, got 100000000"),
        (["divergence.samples=1e9"], "divergence.samples must be at most 10,000, got 1000000000"),
        (["architecture=resnet", "architecture.encoder.blocks=1e6"], "architecture.encoder.blocks must be at most 100"),
        (["architecture=mlp", "architecture.encoder.hidden=[1000000000]"], "architecture.encoder.hidden must list"),
        (["dataset=foldr", "dataset.image_size=64"], "no dataset called 'foldr'. Did you mean dataset=folder?"),
        (["engine.resume=["], "cannot read 'engine.resume=['; put quotes around the value: 'engine.resume=\"[\"'"),
        (["dataset=folder", "dataset.root=nope'"], "cannot read \"dataset.root=nope'\": its quotes do not match"),
        (["visualisation=none"], "no visualisation called 'none'. Did you mean visualisation=[]? Choices: animation, "),
        (["-d", "dsprites"], "settings are written without dashes: dataset=dsprites"),
        (["-l", "btcvae"], "settings are written without dashes: divergence=beta_tc"),
        (["-e", "30"], "settings are written without dashes: engine.epochs=30 engine.steps=null"),
        (["--betaH-B", "4"], "settings are written without dashes: divergence.beta=4 divergence=beta"),
        (["visualisation=null"], "visualisation=null chooses nothing. Choices: animation, "),
        (["dataset.validation=nan"], "dataset.validation must be a part below 1 or a count of images, got nan"),
        (["dataset.validation=inf"], "dataset.validation must be a part below 1 or a count of images, got inf"),
        (["optimizer.lr=-1"], "optimizer.lr must lie between 1e-9 and 10, got -1"),
        (["--multirun", "resume=a,b"], "resume takes one run, without --multirun"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: no such folder"),
        (["resume=nowhere"], "resume=nowhere: no run there (no config.yaml)."),
        (["--config-dir", "x" * 5000], "--config-dir xxxx"),
        ([f"hydra.run.dir={'x' * 5000}"], "cannot make the folder xxxx"),
        (["dataset.source=file"], "no dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz and no imgs.npy in"),
        (toy("engine.batch_size=999"), "engine.batch_size=999 but only 160 images to train on; give 160 or less"),
        (toy("architecture=conv_higgins", "dataset.size=8"),
         "vae_runner.architectures.ConvEncoder: images of 8x8 pixels are too small"),
        (
            toy("visualisation.traversal.dims_to_walk=[77]"),
            "visualisation.traversal.dims_to_walk: 77 is not one of the 10 latent dimensions",
        ),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_line_and_leaves_nothing(
    vae_train: Run, inside: Path, arguments: list[str], line: str
) -> None:
    code, _, errors = vae_train(*arguments)
    assert code == 2
    assert errors.startswith(f"vae-train: error: {line}")
    assert errors.count("\n") == 1
    assert not runs(inside)
    assert not list(inside.rglob("*.log"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["2024_01_02", "1e3", "007", "true", "null", "nan", "photos(1)", "[a]", "1_000", "a(b"]
)
def test_a_folder_is_taken_by_the_name_that_was_typed(
    name: str, inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["check", "dataset=folder", f"dataset.root={name}"]
    assert data.run(arguments) == 2
    assert f"error: dataset.root={name} does not exist" in capfd.readouterr().err
    write_photos(inside / name, 6, (16, 16), ".png")
    assert data.run(arguments) == 0
    assert f"6 files under {name}" in capfd.readouterr().out


@pytest.mark.slow
def test_a_run_of_a_folder_and_one_called_by_a_number_keep_their_names(vae_train: Run, inside: Path) -> None:
    write_photos(inside / "2024_01_02", 24, (16, 16), ".png")
    small = [*PHOTOS, "architecture=mlp", "dataset.root=2024_01_02", "hydra.run.dir=2025_01_02", "engine.steps=2"]
    assert vae_train(*small)[0] == 0
    (inside / "2024_01_02").rename(inside / "1e3")
    assert vae_train("resume=2025_01_02", "dataset.root=1e3", "engine.steps=4")[0] == 0
    assert yaml.safe_load((inside / "2025_01_02/config.yaml").read_text())["dataset"]["root"] == "1e3"


@pytest.mark.slow
def test_no_line_of_a_run_is_said_before_its_mistakes(vae_train: Run, inside: Path) -> None:
    for mistake in (["dataset=folder", "dataset.root=nope"], toy("engine.batch_size=999")):
        assert vae_train(*mistake)[:2] == (2, "")
    (inside / "outputs").write_text("no folder can be made here")
    assert "dataset.root=nope does not exist" in vae_train("dataset=folder", "dataset.root=nope")[2]


@pytest.mark.slow
def test_what_lies_in_a_run_names_the_run(vae_train: Run, inside: Path) -> None:
    (inside / "a/b/checkpoints").mkdir(parents=True)
    (inside / "a/b/config.yaml").touch()
    (inside / "a/b/checkpoints/last.pt").touch()
    for inner in ("a/b/checkpoints/last.pt", "a/b/checkpoints", "a/b/nothing/at/all"):
        code, _, errors = vae_train(f"resume={inner}")
        assert code == 2
        assert errors.endswith("no run there (no config.yaml). It lies in a run: vae-train resume=a/b\n")


def test_a_working_folder_whose_name_would_be_looked_up_is_refused(vae_train: Run, inside: Path) -> None:
    (inside / "${x}").mkdir()
    with contextlib.chdir(inside / "${x}"):
        code, _, errors = vae_train(*toy())
    assert (code, errors.count("\n")) == (2, 1)
    assert "has ${ in its name" in errors


@pytest.mark.slow
def test_no_preset_can_be_chosen(vae_train: Run) -> None:
    for choice in (["experiment=null"], ["experiment=smoke", "experiment=null"]):
        code, output, _ = vae_train("--cfg", "job", *choice)
        assert (code, yaml.safe_load(output)["engine"]["steps"]) == (0, 10_000)


def test_all_mistakes_are_told_together(vae_train: Run) -> None:
    arguments = ["dataset=dspritez", "epcohs=3", "--seed=3", "divergence.beta=abc", "engine.steps=0", "++optimizer.r=1"]
    code, _, errors = vae_train(*arguments)
    assert code == 2
    assert len(errors.splitlines()) == 6
    assert all(line.startswith("vae-train: error: ") for line in errors.splitlines())


def test_the_traceback_is_there_for_those_who_ask(
    vae_train: Run, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert cli.run(["dataset=dspritez"]) == 2
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.slow
def test_a_run_writes_its_folder(vae_train: Run, inside: Path) -> None:
    code, output, errors = vae_train(*toy("seed=3"))
    assert (code, errors) == (0, "")
    (folder,) = runs(inside / "outputs")
    assert re.fullmatch(r"\d\d-\d\d-\d\d-[0-9a-f]{4}-toy-beta", folder.name)
    assert (inside / "outputs/latest").resolve() == folder
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        ".hydra", "checkpoints", "config.yaml", "environment.json", "epochs.csv", "grids", "metrics.jsonl",
        "report.html", "status.json", "train.log",
    }  # fmt: skip
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["step"], status["total_steps"]) == ("done", 12, 12)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["data"]["source"] == "made"
    assert environment["choices"]["divergence"] == "beta"
    assert environment["commands"][0].startswith("vae-train --config-dir")
    assert yaml.safe_load((folder / "config.yaml").read_text())["engine"]["seed"] == 3
    lines = output.splitlines()
    assert lines[0] == f"run   {folder.relative_to(inside)}"
    assert lines[1].startswith(
        "data  toy (made) 160 training + 40 validation images 1x16x16    model conv, 10 normal latents, "
    )
    assert "toy, 160 training + 40 validation images 1 x 16 x 16" in (folder / "report.html").read_text()
    assert {name: environment["data"][name] for name in ("images", "train", "validation")} == {
        "images": 200, "train": 160, "validation": 40,
    }  # fmt: skip
    assert re.fullmatch(r"size  .* parameters, about .* of memory, about .* s a step: 12 steps in .* s", lines[2])
    assert re.search(r"validation at step 12: .* nats per image; 0\.\d+ bits per dimension", output)
    ending = "report outputs/latest/report.html    grids outputs/latest/grids    try it outputs/latest/explore.html"
    assert lines[-1].endswith(ending)
    assert (folder / "train.log").read_text().count("\n") == len(lines)


@pytest.mark.slow
def test_a_run_that_ends_worse_than_it_began_says_so(vae_train: Run, inside: Path) -> None:
    code, output, _ = vae_train(*toy("optimizer.lr=0.3", "visualisation=[]"))
    assert code == 0
    first, last = (
        float(nats.replace(",", "")) for nats in re.findall(r"validation at step .*: -ELBO ([\d.,]+),", output)
    )
    assert last > first
    worse = rf"-ELBO is {last:,.1f} nats per image in the last validation, {first:,.1f} in the first"
    assert re.search(rf"^warning: done .*, but worse than at the start: {worse}; .* report ", output.splitlines()[-1])
    assert f"worse than it was at its beginning: {worse}" in (inside / "outputs/latest/report.html").read_text()


@pytest.mark.slow
def test_the_front_door_leaves_the_environment_as_it_was(vae_train: Run) -> None:
    before = dict(os.environ)
    vae_train(*toy())
    vae_train("dataset=dspritez")
    assert dict(os.environ) == before


def test_cfg_prints_the_config_and_trains_nothing(vae_train: Run, inside: Path) -> None:
    code, output, _ = vae_train("--cfg", "job", "divergence.beta=7")
    assert code == 0
    assert yaml.safe_load(output)["divergence"]["beta"] == 7
    assert not (inside / "outputs").exists()


@pytest.mark.slow
def test_epochs_take_the_place_of_steps(vae_train: Run, inside: Path) -> None:
    assert vae_train(OWN_CONFIGS, *(part for part in TOY if "steps" not in part), "engine.epochs=2")[0] == 0
    assert json.loads((inside / "outputs/latest/status.json").read_text())["step"] == 20


@pytest.mark.slow
def test_a_path_in_the_home_folder_needs_no_quotes(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(inside))
    write_photos(inside / "my-photos", 24, (16, 16), ".png")
    small = ("dataset.image_size=16", "dataset.validation=4", "dataset.test=0", *TOY[1:], "visualisation=[]")
    code, _, errors = vae_train("dataset=folder", "dataset.root=~/my-photos", *small, "architecture=mlp")
    assert (code, errors) == (0, "")
    assert yaml.safe_load((inside / "outputs/latest/config.yaml").read_text())["dataset"]["root"] == "~/my-photos"
    code, _, errors = vae_train("dataset=folder", "dataset.root=~/nothing", *small)
    assert (code, errors.count("\n")) == (2, 1)
    assert "~/nothing" in errors or f"{inside}/nothing" in errors


def test_a_limit_is_told(vae_train: Run, inside: Path) -> None:
    code, output, _ = vae_train(*toy("dataset.limit=60", "dataset.validation=12", "visualisation=[]"))
    assert code == 0
    assert "data  toy (made) 48 training + 12 validation of 200 images 1x16x16" in output
    assert (
        "toy, 48 training + 12 validation of 200 images 1 x 16 x 16"
        in (inside / "outputs/latest/report.html").read_text()
    )


@pytest.mark.slow
def test_resume_goes_on_with_the_saved_config(vae_train: Run, inside: Path) -> None:
    vae_train(*toy("divergence.beta=2"))
    code, output, errors = vae_train("resume=outputs/latest", "trust=true", "engine.steps=20", "engine.log_every=5")
    assert (code, errors) == (0, "")
    assert "going on from step 12" in output
    folder = (inside / "outputs/latest").resolve()
    assert runs(inside) == [folder]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["engine"]["steps"], config["divergence"]["beta"]) == (20, 2)
    assert json.loads((folder / "status.json").read_text())["step"] == 20
    assert len(json.loads((folder / "environment.json").read_text())["commands"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("divergence.beta=5", "divergence.beta cannot be changed on resume"),
        ("distribution.dims=20", "distribution.dims cannot be changed on resume"),
        ("divergence=capacity", "divergence cannot be changed on resume"),
        ("seed=5", "seed cannot be changed on resume"),
        ("engine.stepz=5", "no setting called 'engine.stepz'. Did you mean engine.steps?"),
        ("engine.steps=11", "outputs/latest is at step 12 already; 11 steps are less"),
        ("engine.steps=12", "outputs/latest is complete at step 12 of 12; engine.steps=N trains it longer"),
    ],
)
def test_resume_refuses_what_would_make_another_run(vae_train: Run, inside: Path, change: str, line: str) -> None:
    # the message names the folder that the link points to
    vae_train(*toy())
    folder = (inside / "outputs/latest").resolve()
    before = {path: path.read_bytes() for path in folder.rglob("*.pt")}
    code, _, errors = vae_train("resume=outputs/latest", "trust=true", change)
    assert code == 2
    assert errors.startswith(f"vae-train: error: {line}".replace("outputs/latest", str(folder.relative_to(inside))))
    assert {path: path.read_bytes() for path in folder.rglob("*.pt")} == before


@pytest.mark.slow
def test_resume_tells_where_the_checkpoint_and_the_config_differ(vae_train: Run, inside: Path) -> None:
    vae_train(*toy())
    file = inside / "outputs/latest/config.yaml"
    config = yaml.safe_load(file.read_text())
    config["distribution"]["dims"] = 20
    file.write_text(yaml.safe_dump(config))
    code, _, errors = vae_train("resume=outputs/latest", "engine.steps=20", "trust=true")
    assert code == 2
    assert errors.startswith("vae-train: error: checkpoint has distribution.dims 10, the config 20")


PHOTOS = (*TOY[1:], "dataset=folder", "dataset.image_size=16", "dataset.validation=4", "engine.batch_size=4")
PHOTOS += ("visualisation=[]",)


def trained(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints/last.pt")["objective"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("began_with", "change"),
    [
        ("dataset.store=true", "dataset.cache_dir=other"),
        ("dataset.store=true", "dataset.store=false"),
        ("dataset.store=true", "dataset.root=moved"),
        ("dataset.store=false", "dataset.root=moved"),
    ],
)
def test_where_the_images_are_may_change_on_resume(vae_train: Run, inside: Path, change: str, began_with: str) -> None:
    photos = write_photos(inside / "photos", 16)
    shutil.copytree(photos, inside / "moved", copy_function=shutil.copyfile)
    settings = (*PHOTOS, f"dataset.root={photos}", began_with)
    assert vae_train(*settings, "engine.steps=8", "hydra.run.dir=unbroken")[0] == 0
    assert vae_train(*settings, "engine.steps=4", "hydra.run.dir=broken")[0] == 0
    assert vae_train("resume=broken", "engine.steps=8", change)[::2] == (0, "")
    unbroken, broken = trained(inside / "unbroken"), trained(inside / "broken")
    assert all(torch.equal(broken[name], weights) for name, weights in unbroken.items())
    key, _, value = change.partition("=")
    saved = yaml.safe_load((inside / "broken/config.yaml").read_text())["dataset"][key.removeprefix("dataset.")]
    assert str(saved).lower() == value
    if change == "dataset.cache_dir=other" and began_with == "dataset.store=true":
        assert list((inside / "other").glob("images-*"))


@pytest.mark.slow
@pytest.mark.parametrize("store", ["true", "false"])
def test_other_images_are_refused_on_resume(vae_train: Run, inside: Path, store: str) -> None:
    photos, others = write_photos(inside / "photos", 16), write_photos(inside / "others", 16)
    Image.new("RGB", (40, 30)).save(others / "000001.jpg")
    assert vae_train(*PHOTOS, f"dataset.root={photos}", f"dataset.store={store}", "hydra.run.dir=mine")[0] == 0
    before = (inside / "mine/config.yaml").read_bytes()
    code, _, errors = vae_train("resume=mine", "engine.steps=16", f"dataset.root={others}")
    assert code == 2
    assert errors == (
        f"vae-train: error: the images in {others} are not those that the run was trained on, from {photos}; "
        "set dataset.root to where these are, or start a new run\n"
    )
    assert (inside / "mine/config.yaml").read_bytes() == before


@pytest.mark.slow
def test_a_place_that_the_data_set_does_not_have_is_refused_on_resume(vae_train: Run, inside: Path) -> None:
    assert vae_train(*toy("hydra.run.dir=mine"))[0] == 0
    code, _, errors = vae_train("resume=mine", "trust=true", "engine.steps=16", "dataset.store=false")
    assert code == 2
    assert errors.startswith("vae-train: error: no setting called 'dataset.store'")


@pytest.mark.slow
def test_resume_builds_nothing_dangerous(vae_train: Run, inside: Path) -> None:
    vae_train(*toy())
    file = inside / "outputs/latest/config.yaml"
    config = yaml.safe_load(file.read_text())
    config["dataset"] = {"_target_": "os.system", "command": "touch ran"}
    file.write_text(yaml.safe_dump(config))
    code, _, errors = vae_train("resume=outputs/latest", "engine.steps=20")
    assert code == 2
    assert "names the target 'os.system', outside vae_runner and torch" in errors
    assert not (inside / "ran").exists()


@pytest.mark.slow
def test_a_folder_that_holds_a_run_is_refused(vae_train: Run, inside: Path) -> None:
    assert vae_train(*toy("hydra.run.dir=mine"))[0] == 0
    before = (inside / "mine/metrics.jsonl").read_bytes()
    code, _, errors = vae_train(*toy("hydra.run.dir=mine"))
    assert code == 2
    assert "mine holds a run already; go on with it by vae-train resume=mine" in errors
    assert (inside / "mine/metrics.jsonl").read_bytes() == before


def test_a_folder_of_the_users_is_never_removed(vae_train: Run, inside: Path) -> None:
    (inside / "keep").mkdir()
    (inside / "keep/thesis.txt").write_text("precious")
    code, _, errors = vae_train(*toy("hydra.run.dir=keep", "engine.batch_size=999"))
    assert (code, errors.count("\n")) == (2, 1)
    assert (inside / "keep/thesis.txt").read_text() == "precious"


@pytest.mark.slow
def test_any_seed_and_any_folder_will_do(vae_train: Run, inside: Path) -> None:
    name = "mine {é} $x, [1]"
    code, _, errors = vae_train(*toy(f'hydra.run.dir="{name}"', "seed=99999999999999999999999"))
    assert (code, errors) == (0, "")
    command = json.loads((inside / name / "status.json").read_text())["resume"]
    arguments = shlex.split(command)[1:]
    assert vae_train(*arguments, "trust=true", "engine.steps=15")[0] == 0
    assert json.loads((inside / name / "status.json").read_text())["step"] == 15


@pytest.mark.slow
def test_a_refused_resume_changes_nothing(vae_train: Run, inside: Path) -> None:
    vae_train(*toy())
    folder = inside / "outputs/latest"
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert vae_train("resume=outputs/latest", "trust=true")[0] == 2  # it is complete
    assert vae_train("resume=outputs/latest", "trust=true", "engine.device=cpu", "engine.steps=11")[0] == 2
    after = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} <= {"train.log"}
    assert "Traceback" not in (folder / "train.log").read_text()


@pytest.mark.slow
def test_a_longer_run_keeps_the_schedule_that_it_began_with(vae_train: Run, inside: Path) -> None:
    vae_train(*toy("lr_schedule=cosine", "engine.log_every=1"))
    assert vae_train("resume=outputs/latest", "trust=true", "engine.steps=14")[0] == 0
    records = map(json.loads, (inside / "outputs/latest/metrics.jsonl").read_text().splitlines())
    rates = {record["step"]: record["lr"] for record in records if record["split"] == "train"}
    assert rates[12] < 1e-4
    assert rates[13] == rates[14] == 0


def test_a_failure_under_way_names_the_last_good_checkpoint(vae_train: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Engine.train_step

    def broken(engine: Engine) -> State:
        if engine.step == 9:
            raise RunError("loss is nan at step 9")
        return step(engine)

    monkeypatch.setattr(Engine, "train_step", broken)
    code, _, errors = vae_train(*toy("engine.checkpoint_every=4"))
    assert code == 1
    assert errors == "vae-train: error: loss is nan at step 9; last good checkpoint: step 8\n"


def test_a_full_gpu_is_one_short_line(vae_train: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(engine: Engine) -> State:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.20 GiB "
            "is free. If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF."
        )

    monkeypatch.setattr(Engine, "train_step", broken)
    code, _, errors = vae_train(*toy())
    assert code == 1
    assert errors == (
        "vae-train: error: CUDA out of memory: Tried to allocate 2.00 GiB; "
        "a smaller engine.batch_size or model takes less\n"
    )


@pytest.mark.slow
def test_a_sweep_trains_every_combination(vae_train: Run, inside: Path) -> None:
    arguments = [
        text for text in toy("--multirun", "divergence=beta,capacity", "seed=0,1") if text != "divergence=beta"
    ]
    code, output, errors = vae_train(*arguments)
    assert (code, errors) == (0, "")
    (sweep,) = {folder.parent for folder in runs(inside / "multirun")}
    assert (inside / "multirun/latest").resolve() == sweep
    names = sorted(path.name for path in sweep.iterdir() if path.is_dir())
    assert [re.sub(r"-[0-9a-f]{4}-", "-SUFFIX-", name) for name in names] == [
        "0-SUFFIX-toy-beta", "1-SUFFIX-toy-beta", "2-SUFFIX-toy-capacity", "3-SUFFIX-toy-capacity",
    ]  # fmt: skip
    assert "4 of 4 jobs done" in output
    seeds = [yaml.safe_load((sweep / name / "config.yaml").read_text())["engine"]["seed"] for name in names]
    assert seeds == [0, 1, 0, 1]


@pytest.mark.slow
def test_a_failing_job_is_recorded_and_the_others_go_on(vae_train: Run, inside: Path) -> None:
    code, output, errors = vae_train(*toy("--multirun", "architecture=conv_higgins", "dataset.size=16,8,20"))
    assert code == 1
    assert "2 of 3 jobs done" in output
    assert "job 1 failed: vae_runner.architectures.ConvEncoder: images of 8x8 pixels are too small" in errors
    jobs = sorted(path for path in (inside / "multirun/latest").iterdir() if path.is_dir())
    states = [json.loads((job / "status.json").read_text())["state"] for job in jobs]
    assert states == ["done", "failed", "done"]
    assert "too small" in json.loads((jobs[1] / "status.json").read_text())["reason"]
    assert "Traceback" in (jobs[1] / "train.log").read_text()


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "vae_runner", *toy(*arguments)]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(file: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


LONG = (
    "engine.steps=100000",
    "engine.compile=false",
    "engine.picture_every=100000",
    "engine.checkpoint_every=20",
    "hydra.run.dir=mine",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), every(3, [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
)
def test_a_signal_saves_the_step_and_says_how_to_go_on(
    tmp_path: Path, vae_train: Run, number: signal.Signals, code: int
) -> None:
    process = start(tmp_path, *LONG)
    wait_for(tmp_path / "mine/checkpoints/last.pt", process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code
    told = re.fullmatch(r"vae-train: saved step ([\d,]+); go on with: vae-train resume=mine trust=true\n", errors)
    step = int(told[1].replace(",", ""))
    status = json.loads((tmp_path / "mine/status.json").read_text())
    assert (status["state"], status["step"]) == ("interrupted", step)
    code, output, _ = vae_train("resume=mine", f"engine.steps={step + 3}", "trust=true")
    assert code == 0
    assert f"going on from step {step:,}" in output
    vae_train(*toy(*LONG, f"engine.steps={step + 3}", "hydra.run.dir=unbroken"))
    resumed, unbroken = (load_checkpoint(tmp_path / run / "checkpoints/last.pt") for run in ("mine", "unbroken"))
    assert resumed["step"] == unbroken["step"] == step + 3
    for name, weights in unbroken["objective"].items():
        assert torch.equal(resumed["objective"][name], weights), name


@pytest.mark.slow
def test_two_processes_never_write_into_one_folder(tmp_path: Path, vae_train: Run) -> None:
    process = start(tmp_path, *LONG)
    try:
        wait_for(tmp_path / "mine/checkpoints/last.pt", process)
        code, _, errors = vae_train("resume=mine", "trust=true")
        assert code == 2
        assert f"mine is being written by process {process.pid} on " in errors
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_tab_completion_completes_groups_and_settings(tmp_path: Path) -> None:
    def complete(line: str) -> list[str]:
        environment = {**os.environ, "COMP_LINE": f"vae-train {line}", "COMP_POINT": "99", "COMP_CWORD": "1"}
        command = [sys.executable, "-m", "vae_runner", "--shell-completion", "query=bash"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return sorted(done.stdout.split())

    assert complete("diverg") == ["divergence.", "divergence="]
    options = [file.stem for file in (config_dir() / "divergence").glob("*.yaml")]
    assert complete("divergence=") == sorted(f"divergence={name}" for name in options)
    assert "engine.batch_size=" in complete("engine.")
