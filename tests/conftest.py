import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from vae_runner.callbacks import Pictures
from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.precheck import Composer, composer, without_hydra
from vae_runner.engine import Engine
from vae_runner.experiment.assemble import assemble
from vae_runner.experiment.checking.check import check

TESTS = Path(__file__).parent
OWN_CONFIGS = f"--config-dir={TESTS / 'conf'}"
TOY = (
    "dataset=toy",
    "architecture=conv",
    "distribution=normal",
    "divergence=beta",
    "lr_schedule=constant",
    "engine.steps=12",
    "engine.batch_size=16",
    "engine.device=cpu",
    "engine.precision=fp32",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is exhaustive is slow too, so that `-m 'not slow'` leaves it out."""
    for item in items:
        if item.get_closest_marker("exhaustive"):
            item.add_marker(pytest.mark.slow)


def pictures_of(engine: Engine) -> Pictures:
    """The callback that draws."""
    return next(callback for callback in engine.callbacks if isinstance(callback, Pictures))


torch.set_num_threads(1)  # small tensors: a second thread only waits


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the whole session, so that dSprites is rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def configs() -> Iterator[Composer]:
    """Hydra's composition of conf/ and tests/conf/."""
    with composer(read_arguments([OWN_CONFIGS])) as compose:
        yield compose


@pytest.fixture
def compose(configs: Composer) -> Callable[..., DictConfig]:
    """compose(*overrides) -> the composed config, without Hydra's node."""

    def make(*overrides: str) -> DictConfig:
        return without_hydra(configs.compose(overrides))

    return make


@pytest.fixture
def experiment(compose: Callable[..., DictConfig]) -> Callable[..., Engine]:
    """experiment(*overrides, folder=None) -> the engine of a small run on toy images, nothing of it mocked."""

    def make(*overrides: str, folder: Path | None = None) -> Engine:
        chosen = any(override.startswith("experiment=") for override in overrides)
        own = ("architecture=", "distribution=", "divergence=", "lr_schedule=")  # a preset's
        toy = [override for override in TOY if not (chosen and override.startswith(own))]
        config, problems = check(compose(*toy, *overrides))
        assert problems == []
        return assemble(config, folder)

    return make


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Path]:
    """A new folder as the current one."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests do not see the user's settings, nor leave any, nor write to his cache or among his runs. Programs that they
    start are those of this folder, and find what the tests define.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup, which programs would inherit
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # behind an & of a script
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = dict(os.environ)
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("xdg-cache"))
    os.environ.pop("HYDRA_FULL_ERROR", None)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    os.environ["OMP_NUM_THREADS"] = "1"  # programs that tests start: no trial of threads, so the same figures each time
    with contextlib.chdir(tmp_path_factory.mktemp("elsewhere")):  # outputs/latest is set where a run is started
        yield
    os.environ.clear()
    os.environ.update(before)
