"""Some two thousand wrong command lines: each gets its lines, trains nothing and leaves nothing."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from fuzz import Mistakes
from omegaconf import OmegaConf

from vae_runner import cli
from vae_runner.cli.precheck import Composer, without_hydra
from vae_runner.engine import Engine

SAMPLE = 25  # command lines in one test
LINE = re.compile(r"vae-train: error: \S.*")
WHERE = ("dataset.root=nothing", "dataset.source=file", "dataset.cache_dir=nothing")  # what is right finds no images


def kinds(node: Any, key: str = "") -> dict[str, str]:
    """The settings of a config by dotted name, each with the kind of its value."""
    if isinstance(node, dict):
        inner = (kinds(value, f"{key}.{part}" if key else part) for part, value in node.items())
        return {name: kind for found in inner for name, kind in found.items()}
    kind = type(node).__name__
    return {key: kind} if kind in ("int", "float", "bool", "str") and "_target_" not in key else {}


def own_environment() -> dict[str, str]:
    """The environment without what torch sets for itself when a part of it is first imported."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TORCH")}


@pytest.fixture(scope="module")
def mistakes(configs: Composer) -> Mistakes:
    config = OmegaConf.to_container(without_hydra(configs.compose([])))
    groups = {group: configs.options(group) for group in configs.groups if configs.options(group)}
    return Mistakes(2026, groups, kinds(config))


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.exhaustive) for part in range(1, 80))])
def test_every_mistake_is_told_in_lines_and_leaves_nothing(
    mistakes: Mistakes, part: int, inside: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("trained, or asked the network")

    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(Engine, "train_step", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    environment, told = own_environment(), []
    lines = list(mistakes.lines(SAMPLE * (part + 1)))[SAMPLE * part :]
    for line in lines:
        code = cli.run([*line] if "dataset" in "".join(line) else [*WHERE, *line])
        output, errors = capfd.readouterr()
        is_told = bool(errors) and all(LINE.fullmatch(text) and len(text) < 1000 for text in errors.splitlines())
        if code != 2 or not is_told or "Traceback" in output + errors or "Error:" in errors:
            told.append((line, code, output[-300:], errors[-600:]))
        if left := [path.name for path in inside.iterdir()]:
            told.append((line, f"left {left}", "", ""))
            break
    assert told == []
    assert own_environment() == environment
