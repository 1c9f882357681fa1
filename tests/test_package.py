"""The wheel: installed elsewhere, it runs with its own configs, and with a user's."""

import os
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel, and nothing else, is installed in."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    return target


def vae_train(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed script from another folder, with what the user has on his path."""
    script = installed / "bin" / "vae-train"
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, script, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_configs_and_nothing_else(installed: Path) -> None:
    own = {path.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    shipped = {path.relative_to(installed / "vae_runner/conf").as_posix() for path in installed.rglob("*.yaml")}
    assert shipped == own
    assert {path.name for path in installed.iterdir()} == {"vae_runner", "bin", "vae_runner-0.1.0.dist-info"}
    assert (installed / "vae_runner/report/style.css").exists()
    assert (installed / "vae_runner/drawing/explorer/decode.js").exists()
    programs = {path.name for path in (installed / "bin").iterdir()}
    known = {"vae-train", "vae-report", "vae-redraw", "vae-evaluate", "vae-use", "vae-data", "vae-bench"}
    assert programs == known


def test_the_installed_vae_report_makes_a_page(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"state": "done"}')
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, installed / "bin" / "vae-report", tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"report {tmp_path / 'report.html'}\n"


SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.mark.parametrize("program", SCRIPTS)
def test_the_module_of_a_program_runs_as_the_program(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = SCRIPTS[program].removesuffix(":main")
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    parent, _, name = module.rpartition(".")
    if module in sys.modules:  # its package names it, too: what is imported anew is not to stay there
        monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(sys.modules[parent], name, getattr(sys.modules[parent], name))
    with pytest.raises(SystemExit) as end:
        runpy.run_module("vae_runner" if module == "vae_runner.cli" else module, run_name="__main__")
    assert end.value.code == 0
    assert program in capsys.readouterr().out


@pytest.mark.slow
def test_the_installed_script_finds_its_configs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    done = vae_train(installed, tmp_path, "--help")
    assert done.returncode == 0
    assert "higgins2017_dsprites" in done.stdout
    where = subprocess.run(
        [sys.executable, "-c", "import vae_runner; print(vae_runner.__file__)"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(installed))
    done = vae_train(installed, tmp_path, "--cfg", "job", "divergence=capacity")
    assert done.returncode == 0, done.stderr
    assert "capacity_kl" in done.stdout


@pytest.mark.slow
def test_a_users_own_option_trains(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "mine/architecture/encoder").mkdir(parents=True)
    (tmp_path / "mine/architecture/encoder/own.yaml").write_text("_target_: own.Encoder\nwidth: 8\n")
    (tmp_path / "own.py").write_text(
        "from torch import nn\n\n\nclass Encoder(nn.Sequential):\n"
        "    def __init__(self, image_shape, width: int) -> None:\n"
        "        super().__init__(nn.Flatten(), nn.LazyLinear(width))\n"
        "        self.num_features = width\n"
        "        import torch\n        self(torch.zeros(1, *image_shape))\n"
    )
    done = vae_train(
        installed, tmp_path, "--config-dir", "mine", "architecture/encoder=own", "architecture.encoder.width=4",
        f"dataset.cache_dir={tmp_path / 'cache'}", "dataset.limit=300", "dataset.validation=20", "engine.steps=2",
        "engine.device=cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs/latest/grids/traversal.png").exists()
    assert (tmp_path / "outputs/latest/report.html").exists()
    wrong = vae_train(
        installed, tmp_path, "--config-dir", "mine", "architecture/encoder=own", "architecture.encoder.width=x"
    )
    assert wrong.stderr == "vae-train: error: architecture.encoder.width: expected int, got 'x'\n"


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "tarfile", "-e", sdist, tmp_path / "source"], check=True)
    (source,) = (tmp_path / "source").iterdir()
    for folder in (ROOT, source):
        wheels = tmp_path / folder.name
        again = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, folder]
        subprocess.run(again, check=True, capture_output=True)
    names = [zipfile.ZipFile(next((tmp_path / folder.name).glob("*.whl"))).namelist() for folder in (ROOT, source)]
    assert names[0] == names[1]
