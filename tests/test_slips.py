"""A thousand odd command lines: each is told in lines or begins to train, and a mistake leaves nothing."""

import logging
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import OWN_CONFIGS
from omegaconf import OmegaConf
from slips import Slips, leftovers

from vae_runner import cli
from vae_runner.cli.precheck import Composer, without_hydra
from vae_runner.engine import Engine
from vae_runner.errors import UserError

SAMPLE = 16  # command lines in one test
PARTS = 64  # so 1,024 in all
LINE = re.compile(r"vae-train: error: \S.*")
BARE = re.compile(r"\w+(Error|Exception|Interrupt|Exit|Warning): |Traceback|HYDRA_FULL_ERROR")
TOY = ("dataset=toy", "engine.device=cpu", "engine.precision=fp32", "engine.threads=1")


class Began(BaseException):
    """Training was about to begin: the command line was taken."""


def settings_of(configs: Composer) -> dict[str, str]:
    """The settings of all options, by name, each with the choice that brings it."""
    found = dict.fromkeys(leaves(OmegaConf.to_container(without_hydra(configs.compose([])))), "")
    groups = sorted(configs.groups - {"schedule"})  # an option of which goes to a number
    for group, name in [(one, name) for one in groups for name in configs.options(one)]:
        try:
            cfg = configs.option(group, name)
        except UserError:  # of an option that goes with another one only
            continue
        for key in leaves(OmegaConf.to_container(cfg, resolve=False)):
            found.setdefault(key, f"{group}={name}")
    return {key: choice for key, choice in found.items() if "_target_" not in key and not choice.startswith("dataset=")}


def leaves(node: Any, key: str = "") -> list[str]:
    if not isinstance(node, dict):
        return [key]
    return [name for part, value in node.items() for name in leaves(value, f"{key}.{part}".strip("."))]


@pytest.fixture(scope="module")
def made(configs: Composer) -> tuple[dict[str, list[str]], dict[str, str]]:
    groups = {group: configs.options(group) for group in configs.groups if configs.options(group)}
    return groups, settings_of(configs)


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    """What Hydra is told of loggers is forgotten."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.mark.slow
@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.exhaustive) for part in range(1, PARTS))])
def test_an_odd_command_line_is_told_or_trains(
    made: tuple[dict[str, list[str]], dict[str, str]],
    part: int,
    inside: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begin(*arguments: object, **named: object) -> None:
        raise Began

    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(Engine, "run", begin)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    wrong = []
    for line in Slips(1000 + part, *made).lines(SAMPLE):
        before = set(map(str, Path().iterdir()))
        own = any(text.startswith("--config-dir") or text.startswith("resume") for text in line)
        arguments = [
            *([] if own else [OWN_CONFIGS]),
            *([] if "dataset" in " ".join(line) else TOY[int(own) :]),
            *line,
        ]
        code = run(arguments)
        output, errors = capfd.readouterr()
        left = leftovers(before)
        if bad := judged(code, output, errors, left):
            wrong.append((bad, line, code, output[-200:], errors[-500:]))
        for name in left:
            shutil.rmtree(name, ignore_errors=True)
    assert wrong == []


def run(arguments: list[str]) -> int | None:
    """The exit code; None where it began to train."""
    try:
        return cli.run(arguments)
    except Began:
        return None
    except SystemExit as stop:  # of Hydra, which has shown its help
        return int(stop.code or 0)


def judged(code: int | None, output: str, errors: str, left: list[str]) -> str:
    """What is wrong with how a command line was answered."""
    if BARE.search(output + errors):
        return "a bare exception"
    if code == 0 or code is None:
        return ""
    if code != 2 or not all(LINE.fullmatch(text) and len(text) < 1000 for text in errors.splitlines()):
        return "not told in lines"
    return f"left {left}" if left else ""
