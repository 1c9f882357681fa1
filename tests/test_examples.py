"""The examples in docstrings are true, and every public class of the library has one."""

import ast
import contextlib
import doctest
import importlib
import inspect
from pathlib import Path

import pytest
import torch

PACKAGE = Path(__file__).parent.parent / "vae_runner"
ROOMS = [  # those that a program of one's own imports from
    *("state", "schedule", "distributions", "divergence", "likelihood", "learned_prior", "corruption", "auto_encoder"),
    *("latent_space", "latent_frame", "architectures", "datasets"),
    *("evaluation", "objective", "visualisation"),
]
FILES = sorted(PACKAGE.rglob("*.py"))


def dotted(file: Path) -> str:
    return ".".join(["vae_runner", *file.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def named(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("file", [file for file in FILES if ">>> " in file.read_text()], ids=named)
def test_the_examples_of_a_module_are_true(file: Path, inside: Path) -> None:
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(importlib.import_module(dotted(file))):
        (inside / test.name).mkdir()
        torch.manual_seed(0)
        with contextlib.chdir(inside / test.name):
            runner.run(test)
    tried = runner.summarize(verbose=False)
    assert tried.attempted
    assert not tried.failed


def public_classes(file: Path) -> list[ast.ClassDef]:
    """The classes of a module that its `__all__` names."""
    offered = getattr(importlib.import_module(dotted(file)), "__all__", [])
    classes = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]
    return [node for node in classes if node.name in offered]


@pytest.mark.parametrize("room", ROOMS)
def test_each_public_class_has_an_example(room: str) -> None:
    files = [file for file in FILES if file.relative_to(PACKAGE).parts[0].removesuffix(".py") == room]
    classes = [node for file in files for node in public_classes(file)]
    assert classes
    assert [node.name for node in classes if ">>> " not in inspect.cleandoc(ast.get_docstring(node) or "")] == []


def own_doc(made: object, name: str) -> str | None:
    """What help() shows of a class's member: its own docstring, or that of the one which it overrides."""
    return inspect.getdoc(inspect.getattr_static(made, name)) or inspect.getdoc(getattr(made, name))


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "__main__.py"], ids=named)
def test_whatever_a_module_offers_says_what_it_is(file: Path) -> None:
    module, silent = importlib.import_module(dotted(file)), []
    for name in getattr(module, "__all__", []):
        made = getattr(module, name)
        if getattr(made, "__module__", None) != module.__name__:
            continue
        if inspect.isroutine(made) and not inspect.getdoc(made):
            silent.append(name)
        is_shape = getattr(made, "_is_protocol", False)  # whose docstring says all, where it is of somebody else
        for member, value in vars(made).items() if inspect.isclass(made) and not is_shape else ():
            offered = inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod))
            if offered and not member.startswith("_") and not own_doc(made, member):
                silent.append(f"{name}.{member}")
    assert silent == []
