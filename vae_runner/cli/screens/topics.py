"""What `vae-train --help TOPIC` shows: of a group its options, of an option its settings, with defaults and ranges.

Names, defaults and meanings are read off the YAML files as they are written; what a setting may be, off the annotations
of what its node builds, by which a config is checked.
"""

import contextlib
import difflib
import os
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_runner.cli.screens.help import first_comment, groups_in, options_of
from vae_runner.errors import UserError
from vae_runner.paths import config_dir

__all__ = ["homes_of", "topic_text"]

LINE = re.compile(r"^(?P<indent> *)(?P<name>[\w/@]+):(?: +(?P<value>[^#\s].*?))?(?: +# (?P<comment>.*))?$")
PACKAGE = re.compile(r"^# *@package +(\S+)", re.M)
ENGINE = "engine"
WIDTH = 46  # columns for a setting and its default
ROOT = "train.yaml"
PRESETS = "experiment"  # whose options only set what others have


@dataclass(frozen=True)
class Setting:
    """A line of a config file: its dotted name, its default as it is written, its comment, and what its node builds."""

    name: str
    default: str
    meaning: str
    target: str | None

    def lines(self) -> list[str]:
        """The lines of the help screen."""
        start = f"  {f'{self.name}={self.default}':<{WIDTH}} "
        said = textwrap.wrap(" ".join(filter(None, [self.meaning, self.kind()])), _columns() - WIDTH - 3)
        if len(start) > WIDTH + 3 and said:
            said.insert(0, "")
        starts = [start] + [" " * (WIDTH + 3)] * len(said)
        return [f"{before}{text}".rstrip() for before, text in zip(starts, said or [""], strict=False)]

    def kind(self) -> str:
        """What it may be, in brackets, where an annotation says so, and the meaning does not."""
        from vae_runner.signature import describe, ranges

        annotation = self._annotation()
        if annotation is Any:
            return ""
        words = describe(annotation)
        choices = words.removeprefix("one of ").split(", ")
        if words.startswith("one of ") and set(choices) <= set(re.findall(r"\w+", self.meaning)):
            return ""
        return f"[{', '.join([words, *ranges(annotation)])}]"

    def _annotation(self) -> Any:
        """Of what the node builds, or else of what every run, or every data set, takes besides."""
        from vae_runner.datasets.split import SplitConfig
        from vae_runner.engine import EngineConfig
        from vae_runner.experiment.checking.ranges import OPTIMIZER
        from vae_runner.experiment.scoring.wanted import EvaluationConfig
        from vae_runner.signature import locate, parameters

        node, _, own = self.name.rpartition(".")
        if node == "optimizer" and own in OPTIMIZER:
            return OPTIMIZER[own]
        known = {ENGINE: EngineConfig, "dataset": SplitConfig, "evaluation": EvaluationConfig}
        targets: list[Any] = [known[node]] if node in known else []
        with contextlib.suppress(ImportError):  # a part that is not there
            targets += [locate(self.target)] if self.target is not None else []
        for target in targets:
            with contextlib.suppress(ValueError):  # it says nothing of itself
                if (found := parameters(target).get(own)) is not None:
                    return found[1]
        return Any


OF_SWEEPS = (
    Setting("jobs", "1", "of a sweep, how many run at once, each in a process of its own: N | auto", None),
    Setting("trials", "null", "how many runs a search makes, which makes a search of a sweep: docs/sweeps.md", None),
)


def topic_text(topics: Sequence[str], own: Path | None = None) -> str:
    """The screens of the topics: a GROUP, GROUP=OPTION, `engine`, or the name of a setting; `own` is a folder with
    options of the user's.

    Raises `UserError` with a line for each topic that is none.
    """
    if own and not os.path.isdir(own):
        raise UserError(f"--config-dir {own}: no such folder")
    folders = [config_dir(), *([own] if own else [])]
    groups = {group: options_of(folders, group) for group in sorted(set().union(*map(groups_in, folders)))}
    screens, problems = [], []
    for topic in topics:
        try:
            screens.append("\n".join(_screen(topic, groups)))
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    return "\n\n".join(screens)


def homes_of(name: str) -> dict[str, str]:
    """Returns of each setting that is called so, or whose last part is, which options of the program's own have it.

    Example:
        >>> homes_of("permuted")
        {'divergence.permuted': 'divergence=factor'}
    """
    homes: dict[str, dict[str, list[str]]] = {}
    for group in sorted(groups_in(config_dir()) - {PRESETS}):
        for option, file in options_of([config_dir()], group).items():
            for one in _settings(file, group, ""):
                if f".{one.name}".endswith(f".{name}"):
                    homes.setdefault(one.name, {}).setdefault(group, []).append(option)
    return {
        setting: " or ".join(f"{group}={'|'.join(options)}" for group, options in of_setting.items())
        for setting, of_setting in homes.items()
    }


def _screen(topic: str, groups: Mapping[str, Mapping[str, Path]]) -> list[str]:
    name, equals, value = topic.lstrip("+").partition("=")
    name, value = name.strip("'\""), value.strip("'\"")
    group, _, package = name.partition("@")
    if group in groups and equals and value:
        return [line for option in value.split(",") for line in _of_option(group, option, package, groups)]
    if group in groups:
        return _of_group(group, groups)
    if name in (ENGINE, "settings"):
        return ["settings of every run", "", *_lines_of(_root_settings())]
    return _of_setting(name, groups)


def _of_group(group: str, groups: Mapping[str, Mapping[str, Path]]) -> list[str]:
    lines = [f"options of {group}, and their settings", ""]
    for option in groups[group]:
        lines += [*_of_option(group, option, "", groups), ""]
    return lines[:-1]


def _of_option(group: str, option: str, package: str, groups: Mapping[str, Mapping[str, Path]]) -> list[str]:
    if option not in groups[group]:
        close = difflib.get_close_matches(option, groups[group], 1)
        hint = f" Did you mean {group}={close[0]}?" if close else ""
        raise UserError(f"no {group} called {option!r}.{hint} Choices: {', '.join(groups[group])}")
    file = groups[group][option]
    rows = [*_chosen(file, group), *_lines_of(_settings(file, group, package))]
    return [f"{group}={option}   {first_comment(file)}".rstrip(), *(rows or ["  no settings"])]


def _of_setting(name: str, groups: Mapping[str, Mapping[str, Path]]) -> list[str]:
    """Of each option that has the setting, its line."""
    found = _lines_of(one for one in _root_settings() if _is_at(one.name, name))
    for group, options in groups.items():
        for option, file in options.items():
            rows = _lines_of(one for one in _settings(file, group, "") if _is_at(one.name, name))
            found += [f"{group}={option}", *rows] if rows else []
    if not found:
        known = {*groups, *(one.name for one in _root_settings())}
        known |= {one.name for group in groups for file in groups[group].values() for one in _settings(file, group, "")}
        close = difflib.get_close_matches(name, known, 1)
        raise UserError(
            f"--help {name}: no group or setting of that name." + (f" Did you mean {close[0]}?" if close else "")
        )
    return found


def _lines_of(settings: Iterable[Setting]) -> list[str]:
    return [line for one in settings for line in one.lines()]


def _columns() -> int:
    """Of the terminal, as far as lines are easily read; of a file, 120."""
    return max(80, min(shutil.get_terminal_size((120, 24)).columns, 140))


def _chosen(file: Path, group: str) -> list[str]:
    """The options that an option is made of, as one sets them."""
    found = re.search(r"^defaults:\n((?:  - .*\n?)+)", file.read_text(errors="replace"), re.M)
    rows = re.findall(r"^  - (?:override )?(/?)([\w/]+)(?:@([\w.]+))?: ([^#\n]+)", found[1] if found else "", re.M)
    names = []
    for is_absolute, name, package, option in rows:
        inner = group.replace("/", ".") + f".{package}" if package else ""
        where = name if is_absolute else f"{group}/{name}"
        names.append(f"{where}{'@' + inner if inner else ''}={option.strip()}")
    return [f"  chooses {', '.join(names)}"] if names else []


def _is_at(setting: str, name: str) -> bool:
    """Whether it is the setting of that name, or lies in the node of that name."""
    return setting == name or setting.startswith(f"{name}.")


def _root_settings() -> list[Setting]:
    """Those that every run has, whatever is chosen, and those that a sweep has besides."""
    text = (config_dir() / ROOT).read_text()
    return [*(one for one in _lines(text, "") if not one.name.startswith(("hydra.", "defaults"))), *OF_SWEEPS]


def _settings(file: Path, group: str, package: str) -> list[Setting]:
    text = file.read_text(errors="replace")
    stated = PACKAGE.search(text)
    prefix = package or (stated[1] if stated else group.replace("/", "."))
    return list(_lines(text, "" if prefix == "_global_" else prefix))


def _lines(text: str, prefix: str) -> Iterator[Setting]:
    """The settings of a config file, which is for that node."""
    targets = {node: line["value"] for node, name, line in _walk(text, prefix) if name == "_target_"}
    for node, name, line in _walk(text, prefix):
        value, comment = line["value"], line["comment"] or ""
        full = f"{node}.{name}" if node else name
        if name == "_target_" or full == "defaults":
            continue
        if value is not None:
            yield Setting(full, value.strip(), comment, targets.get(node))


def _walk(text: str, prefix: str) -> Iterator[tuple[str, str, re.Match[str]]]:
    """Each line that sets or opens something, with the dotted name of the node that it stands in, and its own."""
    above: list[tuple[int, str]] = []
    for row in text.splitlines():
        if (line := LINE.match(row)) is None:
            continue
        depth = len(line["indent"])
        above = [(indent, name) for indent, name in above if indent < depth]
        yield ".".join(filter(None, [prefix, *(name for _, name in above)])), line["name"], line
        above.append((depth, line["name"]))
