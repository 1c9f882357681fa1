"""A command line taken apart: Hydra's own flags, settings, and dashes that belong to neither."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Request", "read_arguments"]

WITH_VALUE = {
    "--cfg": "--cfg",
    "-c": "--cfg",
    "--package": "--package",
    "-p": "--package",
    "--config-dir": "--config-dir",
    "-cd": "--config-dir",
    "--config-name": "--config-name",
    "-cn": "--config-name",
    "--config-path": "--config-path",
    "-cp": "--config-path",
    "--experimental-rerun": "--experimental-rerun",
}
WITHOUT_VALUE = {
    "--multirun": "--multirun",
    "-m": "--multirun",
    "--run": "--run",
    "-r": "--run",
    "--resolve": "--resolve",
    "--hydra-help": "--hydra-help",
    "--shell-completion": "--shell-completion",
    "-sc": "--shell-completion",
}
CHOICES = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
INFO = ("--info", "-i")
# What Hydra could read only in quotes: a path that the shell has left as it is, or one of other than its characters.
UNQUOTED = re.compile(r"~[^\s,'\"\\]*|(?!\w+\()(?=.*[^\w/+.%*@:?| -])[^,'\"\\\[\]{}$\x00-\x1f]*", re.ASCII)
OPEN = "dataset.dataset."  # the arguments of a data set of whatever kind
HYDRA_ALONE = {"--hydra-help", "--shell-completion", "--info", "--experimental-rerun", "--config-path"}


@dataclass
class Request:
    """`flags` maps Hydra's long flags to their values (None where they take none); `overrides` are the settings;
    `stray` are arguments with dashes that nobody knows, with the values that seem to belong to them.
    """

    arguments: list[str]
    flags: dict[str, str | None] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    stray: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_for_hydra_alone(self) -> bool:
        """Whether it asks Hydra for something that is not about a run."""
        return bool(HYDRA_ALONE & self.flags.keys())

    @property
    def own_folders(self) -> list[Path]:
        """Where the user's modules may be: the folder of his options, and, where he names a part, the working one."""
        own = self.flags.get("--config-dir")
        names_a_part = any("_target_=" in argument for argument in self.overrides)
        return [*([Path(own)] if own else []), *([Path.cwd()] if own or names_a_part else [])]

    @property
    def multirun(self) -> bool:
        return "--multirun" in self.flags

    def faults(self) -> list[str]:
        """A line for each of Hydra's flags that cannot be as it is given."""
        problems = []
        for flag, choices in CHOICES.items():
            value = self.flags.get(flag)
            if flag in self.flags and value is not None and value not in choices:
                problems.append(f"{flag} takes {', '.join(choices)}; got '{value}'")
        for flag in ("--resolve", "--package"):
            if flag in self.flags and "--cfg" not in self.flags:
                problems.append(f"{flag} goes with --cfg job")
        file = self.flags.get("--experimental-rerun")
        if file is not None and not Path(file).is_file():
            problems.append(f"--experimental-rerun {file}: no such file")
        return problems

    def flag_arguments(self) -> list[str]:
        """The flags as arguments again."""
        return [part for flag, value in self.flags.items() for part in (flag, value) if part is not None]


def read_arguments(arguments: Sequence[str]) -> Request:
    """Take the command line apart; nothing is judged yet."""
    request, rest = Request(list(arguments)), list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if name in WITH_VALUE and (equals or rest):
            request.flags[WITH_VALUE[name]] = value if equals else rest.pop(0)
        elif argument in WITHOUT_VALUE:
            request.flags[WITHOUT_VALUE[argument]] = None
        elif name in INFO:
            has_value = bool(not equals and rest and not rest[0].startswith("-") and "=" not in rest[0])
            request.flags["--info"] = (rest.pop(0) if has_value else value) or None
        elif argument.startswith("-") and argument != "-":
            has_value = bool(not equals and rest and not rest[0].startswith("-") and "=" not in rest[0])
            request.stray.append((name.lstrip("-"), rest.pop(0) if has_value else value))
        else:
            name = f"++{name}" if name.startswith(OPEN) else name  # the option cannot list what it takes
            request.overrides.append(f'{name}="{value}"' if UNQUOTED.fullmatch(value) else f"{name}{equals}{value}")
    return request
