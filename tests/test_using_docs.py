"""The commands of docs/using_a_model.md and the cells of the notebook run as they are printed."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vae_runner.cli import run as vae_train
from vae_runner.cli.using import use

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "using_a_model.md").read_text()
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, re.M)
NOTEBOOK = json.loads((DOCS / "from_a_run_to_a_figure.ipynb").read_text())
SHORT = ["experiment=smoke", "dataset.source=render", "dataset.limit=400", "dataset.validation=60", "engine.steps=8"]
SHORT += ["engine.device=cpu", "engine.threads=1", "engine.progress=false", "visualisation=[]"]

pytestmark = pytest.mark.slow


@pytest.fixture
def trained(cache: Path, inside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `vae-train experiment=smoke` has run, in short."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert vae_train(SHORT) == 0
    return inside


def test_the_commands_run_as_they_are_printed(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    uses = [shlex.split(command, comments=True) for command in COMMANDS if command.startswith("vae-use")]
    assert {verb for _, verb, *_ in uses} == {"encode", "sample", "reconstruct", "interpolate", "export"}
    for _, *arguments in uses:
        assert use.run(arguments) == 0, (arguments, capfd.readouterr().err)
    for out in ("samples/15.png", "better/00.png", "again/00.png", "between/strip.png", "model-decoder.pt2"):
        assert (trained / out).is_file(), out


BEGUN = [command for command in COMMANDS if command.startswith("vae-train")]


@pytest.mark.parametrize(
    "command",
    [BEGUN[2], *(pytest.param(command, marks=pytest.mark.exhaustive) for command in BEGUN[:2] + BEGUN[3:])],
)
def test_runs_start_from_a_run_as_it_is_printed(command: str, trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    quick = [setting for setting in SHORT if not setting.startswith(("experiment", "dataset"))]
    quick += ["dataset.limit=300", "dataset.validation=60"]
    _, *arguments = shlex.split(command, comments=True)
    assert vae_train([*(one for one in arguments if "engine.steps" not in one), *quick]) == 0
    assert "init  weights of outputs/" in capfd.readouterr().out


def test_the_cells_of_the_notebook_run_in_order_and_show_pictures(trained: Path) -> None:
    assert (NOTEBOOK["nbformat"], {cell["cell_type"] for cell in NOTEBOOK["cells"]}) == (4, {"code", "markdown"})
    cells = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    known: dict[str, Any] = {}
    shown = 0
    for cell in cells:
        exec(compile(cell, "notebook", "exec"), known)  # the project's own documentation
        last = cell.splitlines()[-1]
        if re.fullmatch(r"\w+|run\.traverse\(.*\)", last):
            value = eval(last, known)
            shown += hasattr(value, "_repr_png_") and value._repr_png_().startswith(b"\x89PNG")
    assert shown == 3
    with Image.open("figure.png") as figure:
        assert figure.width > 4 * 64
    assert not any(cell.get("outputs") for cell in NOTEBOOK["cells"])


def test_the_lines_for_python_run_as_they_are_printed(trained: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(block, "docs/using_a_model.md", "exec"), {})
    assert (trained / "way.png").is_file()
    assert (trained / "table.npz").is_file()


def test_packages_that_a_verb_needs_are_in_an_extra() -> None:
    pyproject = (DOCS.parent / "pyproject.toml").read_text()
    extra = re.search(r"^export = \[(.*?)^\]", pyproject, re.M | re.S)
    assert extra
    assert re.findall(r'"(\w+)>=', extra[1]) == ["onnx", "onnxscript", "onnxruntime", "safetensors"]
    assert 'vae-use = "vae_runner.cli.using.use:main"' in pyproject
    assert importlib.util.find_spec("vae_runner.cli.using.use")
