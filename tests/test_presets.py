"""Presets: what they set goes with the options that they choose."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from photos import write_photos
from samples import every
from test_cli import Run, toy, vae_train

from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.composing.presets import LEFT_OUT
from vae_runner.cli.composing.suited import SUITED
from vae_runner.cli.precheck import Composer, composer, without_hydra
from vae_runner.experiment.checking.check import check
from vae_runner.paths import config_dir

__all__ = ["vae_train"]  # a fixture
Compose = Callable[..., DictConfig]
CONF = config_dir()
PRESETS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((CONF / "experiment").glob("*.yaml"))}
ONE_EACH = ["distribution=mixed"]  # one divergence for each of two spaces
BESIDES = {"per_space": ONE_EACH, "capacity_per_space": ONE_EACH}
PAIRED, UNKNOWN = ("ada_gvae", "ada_ml_vae"), ("celeba", "celeba_hq", "folder")  # the second know no factors
HIGGINS = "experiment=higgins2017_celeba"


def chosen(preset: str) -> dict[str, str]:
    """The option that the preset chooses of each group."""
    choices = {key: value for item in PRESETS[preset]["defaults"] for key, value in item.items()}
    return {key.removeprefix("override /"): value for key, value in choices.items()}


def cases() -> Iterator[tuple[str, str, str]]:
    """Each preset with every option of each group that it chooses of, or sets a value in."""
    for preset, content in PRESETS.items():
        for group in sorted({*chosen(preset), *content.keys()} - {"defaults", "engine", "visualisation"}):
            for file in sorted((CONF / group).glob("*.yaml")):
                yield preset, group, file.stem


def plain(cfg: DictConfig, group: str) -> Any:
    return OmegaConf.to_container(OmegaConf.select(cfg, group.replace("/", ".")), resolve=False)


def told(configs: Composer, *overrides: str) -> list[str]:
    return configs.compose(overrides).hydra.job.env_set.get(LEFT_OUT, "").splitlines()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("presets") / "photos", 3)


@pytest.fixture(scope="module")
def option_alone(configs: Composer) -> Callable[[str, str], Any]:
    """option_alone(group, option) -> what the option is without a preset, composed once."""
    return cache(lambda group, option: plain(configs.compose([f"{group}={option}", "visualisation=[]"]), group))


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "group", "option"), every(9, cases()))
def test_every_preset_goes_with_every_option(
    preset: str, group: str, option: str, compose: Compose, option_alone: Callable[[str, str], Any], photos: Path
) -> None:
    fake = "torchvision.datasets.FakeData"
    data = {"dataset": {"_target_": fake}} if option == "torch" else {"root": str(photos)}
    where = [f"dataset.dataset._target_={fake}" if option == "torch" else f"dataset.root={photos}"]
    if option == "torchvision":
        data["name"] = "MNIST"
        where.append("dataset.name=MNIST")
    if option == "arrays":
        data["images"] = "x.npz"
        where.append("dataset.images=x.npz")
    besides = ["visualisation=[]", *where, *BESIDES.get(option, [])]
    cfg = compose(f"experiment={preset}", f"{group}={option}", *besides)
    refused = ["architecture/decoder=linear"] * ((preset, option) == ("squires2019_weibull", "bernoulli"))
    if preset == "dupont2018_dsprites" and group == "distribution" and option not in ("joint", "mixed"):
        refused = ["divergence has 2 parts, but distribution has 1"]
    if option in PAIRED and chosen(preset).get("dataset") in UNKNOWN:
        refused = ["divergence"]
    assert [line.partition(":")[0] for line in check(cfg)[1]] == refused
    alone = option_alone(group, option) | (data if group == "dataset" else {})
    values = {} if group in chosen(preset) and chosen(preset)[group] != option else PRESETS[preset].get(group, {})
    expected = OmegaConf.to_container(OmegaConf.merge(alone, values))
    if option == "mlp" and group == "architecture" and preset == "squires2019_weibull":
        expected["decoder"] = option_alone("architecture/decoder", "linear")
    assert plain(cfg, group) == expected
    assert cfg.engine.steps == PRESETS[preset].get("engine", {}).get("steps", 10_000)


def test_there_are_presets_that_set_values_of_each_kind() -> None:
    assert {"distribution", "divergence", "likelihood", "optimizer", "lr_schedule", "dataset"} <= {
        group for content in PRESETS.values() for group in content
    }


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        ([HIGGINS], []),
        ([HIGGINS, "likelihood=gaussian", "likelihood.sigma=0.3"], []),
        ([HIGGINS, "likelihood=bernoulli"], ["likelihood.sigma=0.1 goes with likelihood=gaussian and is left out"]),
        ([HIGGINS, "optimizer=adamw", "optimizer.lr=1"], []),
        ([HIGGINS, "optimizer=adamw", "divergence=kl"],
         ["optimizer.lr=0.0001 goes with optimizer=adam and is left out",
          "divergence.beta=250.0 goes with divergence=beta and is left out"]),
        (["experiment=higgins2017_dsprites", "optimizer=adam"],
         ["optimizer.lr=0.01, optimizer.initial_accumulator_value=0.1 go with optimizer=adagrad and are left out"]),
        (["experiment=squires2019_weibull", "architecture=conv"],
         ["architecture/decoder=linear goes with architecture=mlp and is left out"]),
        (["experiment=squires2019_weibull", "architecture=conv", "architecture/decoder=linear"], []),
        (["experiment=squires2019_weibull", "architecture/decoder=mlp", "distribution/prior=gamma"], []),
        (["experiment=smoke", "dataset=folder"], []),
    ],
)  # fmt: skip
def test_what_is_left_out_is_told(configs: Composer, overrides: list[str], lines: list[str]) -> None:
    assert told(configs, *overrides) == [f"{overrides[0]}: its {line}" for line in lines]


def brought(dataset: str, preset: str) -> str:
    return (
        f"dataset={dataset} brings experiment={preset}, settings that suit such images, for all that is not chosen "
        "here; experiment=null leaves them out"
    )


@pytest.mark.parametrize(("dataset", "preset"), SUITED.items())
def test_a_data_set_brings_the_preset_that_suits_it(configs: Composer, dataset: str, preset: str) -> None:
    alone = without_hydra(configs.compose([f"dataset={dataset}"]))
    assert told(configs, f"dataset={dataset}") == [brought(dataset, preset)]
    assert alone == without_hydra(configs.compose([f"dataset={dataset}", f"experiment={preset}"]))
    assert alone != without_hydra(configs.compose([f"dataset={dataset}", "experiment=null"]))


@pytest.mark.parametrize(
    "settings",
    [
        ("experiment=null",),
        ("experiment=NULL",),
        ("experiment=smoke",),
        ("dataset.channels=1",),
        ("dataset=arrays",),
    ],
)
def test_no_preset_is_brought_where_one_is_chosen_or_the_images_may_be_of_any_kind(
    configs: Composer, settings: tuple[str, ...]
) -> None:
    arguments = [argument for argument in settings if not argument.startswith("dataset.")]
    assert told(configs, "dataset=folder", *settings) == []
    expected = configs.compose(["experiment=null", "dataset=folder", *arguments])
    given = configs.compose(["dataset=folder", *settings])
    assert given.optimizer == expected.optimizer
    assert given.likelihood == expected.likelihood


def test_what_is_chosen_goes_before_the_preset_that_is_brought(configs: Composer) -> None:
    chosen = ["dataset=shapes3d", "divergence=beta", "divergence.beta=6", "engine.steps=5", "optimizer.lr=1"]
    cfg = configs.compose(chosen)
    assert (cfg.divergence.beta, cfg.engine.steps, cfg.optimizer.lr) == (6, 5, 1)
    assert cfg.distribution.align == PRESETS["shapes3d"]["distribution"]["align"]
    assert told(configs, *chosen)[0] == brought("shapes3d", "shapes3d")


@pytest.mark.slow
def test_in_a_sweep_each_job_takes_what_suits_its_data(vae_train: Run, tmp_path: Path, cache: Path) -> None:
    small = ("architecture=mlp", "engine.steps=2", "dataset.limit=300", "dataset.validation=20", "visualisation=[]")
    code, out, errors = vae_train("--multirun", "dataset=dsprites,shapes3d", *small, f"dataset.cache_dir={cache}")
    assert code == 0, errors
    assert out.count(brought("shapes3d", "shapes3d")) == 1
    of_jobs = [yaml.safe_load(file.read_text()) for file in sorted(tmp_path.glob("multirun/latest/*/config.yaml"))]
    assert [len(config["distribution"].get("align", [])) for config in of_jobs] == [6, 5]


@pytest.mark.slow
def test_a_node_of_a_space_goes_with_the_choice_for_that_space(tmp_path: Path) -> None:
    """Presets of the user's own: with a part for each space, with a prior, and built on another preset."""
    folder = tmp_path / "experiment"
    folder.mkdir()
    mixed = "defaults:\n  - override /distribution: mixed\n  - override /distribution@distribution.space1: gamma\n"
    mixed += "  - override /divergence: per_space\n"
    mixed += "distribution:\n  space0:\n    dims: 3\n  space1:\n    dims: 2\n    prior:\n      k: 2.0\n"
    (folder / "two.yaml").write_text("# @package _global_\n" + mixed)
    built = "defaults:\n  - higgins2017_celeba\n  - override /likelihood: laplace\n"
    (folder / "own.yaml").write_text("# @package _global_\n" + built)
    deep = "defaults:\n  - override /architecture: mlp\n"
    deep += "architecture:\n  encoder:\n    hidden: [7]\n  decoder:\n    hidden: [5]\n"
    (folder / "deep.yaml").write_text("# @package _global_\n" + deep)
    with composer(read_arguments(["--config-dir", str(tmp_path)])) as configs:
        cfg = configs.compose(["experiment=deep", "architecture/encoder=conv"])
        assert cfg.architecture.encoder == configs.compose(["architecture/encoder=conv"]).architecture.encoder
        assert cfg.architecture.decoder.hidden == [5]
        space = "distribution@distribution.space1"
        cfg = configs.compose(["experiment=two", f"{space}=weibull"])
        assert cfg.distribution.space0.dims == 3
        weibull = plain(configs.compose(["distribution=weibull"]), "distribution")
        assert plain(cfg, "distribution.space1") == weibull | {"dims": 4}  # as distribution=mixed has it
        assert told(configs, "experiment=two", f"{space}=weibull") == [
            f"experiment=two: its distribution.space1.dims=2, distribution.space1.prior.k=2.0 "
            f"go with {space}=gamma and are left out"
        ]
        assert configs.compose(["experiment=two"]).distribution.space1.prior.k == 2
        cfg = configs.compose(["experiment=own"])
        assert cfg.likelihood == configs.compose(["likelihood=laplace"]).likelihood
        assert (cfg.divergence.beta, cfg.distribution.dims) == (250, 32)
        assert check(without_hydra(cfg))[1] == []


def test_a_value_is_told_as_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    values = "optimizer:\n  lr: ${engine.steps}\n  betas: [0.5, 0.9]\n  fused: null\n"
    (folder / "own.yaml").write_text(f"# @package _global_\ndefaults:\n  - override /optimizer: adam\n{values}")
    with composer(read_arguments(["--config-dir", str(tmp_path)])) as configs:
        (line,) = told(configs, "experiment=own", "optimizer=adagrad")
    assert "its optimizer.lr=${engine.steps}, optimizer.betas=[0.5, 0.9], optimizer.fused=null go with" in line


@pytest.mark.slow
def test_a_sweep_over_options_takes_of_the_preset_what_goes_with_each(vae_train: Run, inside: Path) -> None:
    settings = [
        *toy(HIGGINS, "divergence=beta,kl", "likelihood=gaussian,laplace"),
        "engine.steps=2",
        "visualisation=[]",
    ]
    settings = [setting for setting in settings if setting != "divergence=beta"]
    code, output, errors = vae_train("--multirun", *settings, "engine.threads=1", "architecture=mlp")
    assert (code, errors) == (0, "")
    jobs = sorted(path.parent for path in (inside / "multirun/latest").resolve().glob("*/config.yaml"))
    configs = [yaml.safe_load((job / "config.yaml").read_text()) for job in jobs]
    assert [config["divergence"].get("beta") for config in configs] == [250, 250, 1, 1]  # as kl has it
    assert [config["likelihood"].get("sigma") for config in configs] == [0.1, None, 0.1, None]
    assert [config["optimizer"]["lr"] for config in configs] == [1e-4] * 4
    sigma, beta = "its likelihood.sigma=0.1 goes with", "its divergence.beta=250.0 goes with"
    logs = [(job / "train.log").read_text() for job in jobs]
    assert [(sigma in log, beta in log) for log in logs] == [
        (False, False), (True, False), (False, True), (True, True),
    ]  # fmt: skip
    assert output.count(sigma) == output.count(beta) == 2
    hydra = yaml.safe_load((jobs[1] / ".hydra/config.yaml").read_text())
    assert "sigma" not in hydra["likelihood"]


@pytest.mark.slow
def test_a_run_says_it_first_and_goes_on_as_it_was(vae_train: Run, inside: Path) -> None:
    chosen = ("divergence", "architecture", "engine.steps")
    settings = [setting for setting in toy() if not setting.startswith(chosen)]
    settings += [HIGGINS, "likelihood=bernoulli", "architecture=mlp", "engine.steps=2", "visualisation=[]"]
    code, output, _ = vae_train(*settings, "engine.threads=1")
    line = f"{HIGGINS}: its likelihood.sigma=0.1 goes with likelihood=gaussian and is left out"
    assert code == 0
    assert output.splitlines()[0] == f"note  {line}"
    code, output, errors = vae_train("resume=outputs/latest", "engine.steps=3", "trust=true")
    assert (code, errors) == (0, "")
    assert "left out" not in output
    config = yaml.safe_load((inside / "outputs/latest/config.yaml").read_text())
    assert config["likelihood"] == {"_target_": "vae_runner.likelihood.Bernoulli"}


def test_the_config_that_is_printed_is_that_of_the_run(vae_train: Run) -> None:
    code, output, errors = vae_train("experiment=higgins2017_dsprites", "optimizer=adam", "--cfg", "job")
    assert code == 0
    assert "initial_accumulator_value" not in yaml.safe_load(output)["optimizer"]
    assert errors.startswith("vae-train: experiment=higgins2017_dsprites: its optimizer.lr=0.01, ")
    assert errors.count("\n") == 1
