"""Rules of the code as a whole."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vae_runner"
# Each module imports only from those before it.
ORDER = [
    *("paths", "errors", "signature", "files", "randomness", "output", "ticks"),
    *(
        "state",
        "schedule",
        "distributions",
        "divergence",
        "likelihood",
        "latent_space",
        "initialisation",
        "layers",
        "corruption",
    ),
    *("auto_encoder", "metrics", "objective", "architectures", "datasets", "visualisation"),
    *("checkpoint", "callbacks", "engine", "report", "console", "experiment", "cli", "bench", "__main__"),
]
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """The dotted names of all modules that a file imports, at whatever place in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative import"
            yield node.module or ""


def module_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file: Path) -> None:
    here = module_of(file)
    if here == "__init__":
        at_once = [node for node in ast.parse(file.read_text()).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert [node.module for node in at_once] == ["__future__"]
        return
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "vae_runner" and len(parts) > 1:
            assert ORDER.index(parts[1]) <= ORDER.index(here), f"{here} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_experiment_and_cli_know_hydra(file: Path) -> None:
    if module_of(file) not in ("experiment", "cli"):
        assert not {name.split(".")[0] for name in imports(file)} & {"hydra", "omegaconf"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_and_what_it_offers(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree)
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert "__all__" in names or file.name in ("__init__.py", "__main__.py")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_neither_torch_nor_hydra(argument: str) -> None:
    code = (
        "import sys, vae_runner.cli as cli\n"
        f"assert cli.run([{argument!r}]) == 0\n"
        "heavy = {'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
