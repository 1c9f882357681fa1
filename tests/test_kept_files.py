"""Config files that are read once in a process: changes are not seen by the next one, and one's own are not kept."""

from pathlib import Path

import pytest
import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from omegaconf import OmegaConf

from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.composing.composer import Composer, composer, without_hydra
from vae_runner.paths import config_dir

HIGGINS = "experiment=higgins2017_celeba"


def plain(configs: Composer, *settings: str) -> dict:
    return OmegaConf.to_container(without_hydra(configs.compose(settings)), resolve=False)


def test_files_of_the_program_are_read_once(configs: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    first, read, load = plain(configs, HIGGINS), [], FileConfigSource.load_config

    def noted(source: FileConfigSource, config_path: str) -> object:
        read.append(source.path)
        return load(source, config_path)

    monkeypatch.setattr(FileConfigSource, "load_config", noted)
    assert plain(configs, HIGGINS) == first
    assert str(config_dir()) not in read


def test_what_is_left_out_of_a_preset_is_there_for_the_next(configs: Composer) -> None:
    preset = yaml.safe_load((config_dir() / "experiment/higgins2017_celeba.yaml").read_text())
    assert "sigma" not in plain(configs, HIGGINS, "likelihood=bernoulli")["likelihood"]
    assert plain(configs, HIGGINS)["likelihood"]["sigma"] == preset["likelihood"]["sigma"]


def test_a_file_of_ones_own_is_read_each_time(inside: Path) -> None:
    file = inside / "mine/divergence/own.yaml"
    file.parent.mkdir(parents=True)
    with composer(read_arguments(["--config-dir", "mine"])) as configs:
        for beta in (2.0, 3.0):
            file.write_text(f"_target_: vae_runner.divergence.beta_kl\nbeta: {beta}\n")
            assert plain(configs, "divergence=own")["divergence"]["beta"] == beta
            assert OmegaConf.select(configs.option("divergence", "own"), "divergence.beta") == beta
