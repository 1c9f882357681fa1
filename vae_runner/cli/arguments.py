"""A command line taken apart: Hydra's own flags, settings, and dashes that belong to neither."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Request", "name_of", "read_arguments", "taken_out"]

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
SCORES = "evaluation.scores"  # what evaluation=... sets
OPEN = "dataset.dataset."  # the arguments of a data set of whatever kind
HYDRA_ALONE = {"--hydra-help", "--shell-completion", "--info"}
INSTEAD_OF_A_RUN = ("--run", "--multirun", "--cfg", "--info", "--shell-completion")  # no two of them
SHELLS = ("bash", "fish", "zsh")
REFUSED = {
    "--experimental-rerun": "it would run whatever code FILE holds; resume=RUN goes on with a run",
    "--config-path": "the configs are those of vae_runner; --config-dir DIR adds your own",
}


@dataclass
class Request:
    """`flags` maps Hydra's long flags to their values (None where they take none); `overrides` are the settings;
    `stray` are arguments with dashes that nobody knows, with the values that seem to belong to them; `jobs` is how many
    jobs of a sweep run at once, and `trials` how many a search makes, where that was given.
    """

    arguments: list[str]
    flags: dict[str, str | None] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    stray: list[tuple[str, str]] = field(default_factory=list)
    jobs: str | None = None
    trials: str | None = None

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
        """Whether it is a sweep."""
        return "--multirun" in self.flags

    @property
    def names(self) -> set[str]:
        """The names of all settings that are given a value."""
        return {name_of(setting) for setting in self.overrides if not setting.startswith("~")}

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
        problems += [f"{flag} is not taken: {reason}" for flag, reason in REFUSED.items() if flag in self.flags]
        given = [flag for flag in INSTEAD_OF_A_RUN if flag in self.flags]
        if len(given) > 1:
            problems.append(f"{given[0]} and {given[1]} do not go together; give one of them")
        return problems + self._completion_faults()

    def _completion_faults(self) -> list[str]:
        """--shell-completion goes with install=SHELL, uninstall=SHELL or query=SHELL, as Hydra has it."""
        if "--shell-completion" not in self.flags:
            return []
        wishes = [text.partition("=") for text in self.overrides]
        fitting = [name in ("install", "uninstall", "query") and shell in SHELLS for name, _, shell in wishes]
        if fitting == [True] and not self.stray:
            return []
        return [f"--shell-completion goes with install=SHELL, or uninstall=SHELL; SHELL: {', '.join(SHELLS)}"]

    def flag_arguments(self) -> list[str]:
        """The flags as arguments again."""
        return [part for flag, value in self.flags.items() for part in (flag, value) if part is not None]


def name_of(setting: str) -> str:
    """Returns the name in 'NAME=VALUE', without the marks of what is added or taken away."""
    return setting.lstrip("+~").partition("=")[0]


def taken_out(request: Request, name: str, of: str) -> tuple[str, str, list[str]]:
    """Take a setting of the program itself, for what `of` says, out of those of the request; returns it as typed,
    its value, and a line for each thing that is wrong in any case. All are empty where it is not given.
    """
    given = [text for text in request.overrides if name_of(text) == name]
    if not given:
        return "", "", []
    request.overrides[:] = [text for text in request.overrides if text not in given]
    faults = [f"{name} is given twice; give it once"] if len(given) > 1 else []
    if not (request.multirun or any(name_of(text) in ("resume", "engine.resume") for text in request.overrides)):
        faults.append(f"{given[0]} is for {of}: add --multirun, or leave it out")
    return given[0], given[0].partition("=")[2].strip("'\""), faults


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
            name = SCORES if equals and name == SCORES.partition(".")[0] and not value.startswith("{") else name
            request.overrides.append(f'{name}="{value}"' if UNQUOTED.fullmatch(value) else f"{name}{equals}{value}")
    return request
