"""The names under which the documentation and the configs of older runs know the data sets."""

import inspect
from pathlib import Path

import pytest
import yaml

import vae_runner.datasets
from vae_runner.experiment.saved_run.resume import needs_trust
from vae_runner.runs import names
from vae_runner.signature import locate

OPTIONS = sorted((Path(__file__).parent.parent / "conf/dataset").glob("*.yaml"))
# As the documentation of `variational.datasets` has them.
DOCUMENTED = {
    "CelebA": ["root", "transform", "target_transform"],
    "CelebA_HQ": ["root", "as_npy", "transform"],
    "SimpleImageFolder": ["root", "loader", "extensions", "transform", "target_transform"],
    "dSprites": ["root", "download", "transform"],
    "make_dataset": ["dir", "extensions"],
}


@pytest.mark.parametrize(("name", "arguments"), DOCUMENTED.items())
def test_the_documented_names_have_their_arguments_in_their_order(name: str, arguments: list[str]) -> None:
    assert list(inspect.signature(getattr(vae_runner.datasets, name)).parameters)[: len(arguments)] == arguments


@pytest.mark.parametrize("file", OPTIONS, ids=lambda file: file.stem)
def test_what_a_run_saves_as_its_data_set_is_found_and_trusted(file: Path, tmp_path: Path) -> None:
    target = yaml.safe_load(file.read_text())["_target_"]
    kind = locate(target)
    assert target == f"vae_runner.datasets.{kind.__name__}"
    assert kind.__name__ in vae_runner.datasets.__all__
    for saved, trusted in ((target, True), ("os.system", False)):
        (tmp_path / names.CONFIG).write_text(f"dataset: {{_target_: {saved}}}\n")
        assert needs_trust(tmp_path) is not trusted
