"""Config files that are read once in a process: changes are not seen by the next one, and one's own are not kept."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.composing import kept_files
from vae_runner.cli.composing.composer import Composer, composer, without_hydra
from vae_runner.paths import config_dir

HIGGINS = "experiment=higgins2017_celeba"


def plain(configs: Composer, *settings: str) -> dict:
    return OmegaConf.to_container(without_hydra(configs.compose(settings)), resolve=False)


def test_files_of_the_program_are_read_once(configs: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    read, load = [], OmegaConf.load

    def noted(file: object) -> object:
        read.append(str(getattr(file, "name", file)))
        return load(file)

    monkeypatch.setattr(kept_files, "_KEPT", {})
    monkeypatch.setattr(OmegaConf, "load", noted)
    first, of_first = plain(configs, HIGGINS), [file for file in read if file.startswith(str(config_dir()))]
    assert str(config_dir() / "experiment/higgins2017_celeba.yaml") in of_first
    read.clear()
    assert plain(configs, HIGGINS) == first
    again = [file for file in read if file.startswith(str(config_dir()))]
    assert again == [str(config_dir() / "train.yaml")]  # Hydra looks at it before it asks for files


def test_what_is_left_out_of_a_preset_is_there_for_the_next(configs: Composer) -> None:
    preset = yaml.safe_load((config_dir() / "experiment/higgins2017_celeba.yaml").read_text())
    assert plain(configs, HIGGINS, "divergence=kl")["divergence"]["beta"] == 1
    assert plain(configs, HIGGINS)["divergence"]["beta"] == preset["divergence"]["beta"] == 250


def test_a_file_of_ones_own_is_read_each_time(inside: Path) -> None:
    file = inside / "mine/divergence/own.yaml"
    file.parent.mkdir(parents=True)
    with composer(read_arguments(["--config-dir", "mine"])) as configs:
        for beta in (2.0, 3.0):
            file.write_text(f"_target_: vae_runner.divergence.beta_kl\nbeta: {beta}\n")
            assert plain(configs, "divergence=own")["divergence"]["beta"] == beta
            assert OmegaConf.select(configs.option("divergence", "own"), "divergence.beta") == beta
