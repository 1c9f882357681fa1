"""What is asked of `vae-use`: a verb, a run, images, settings; taken apart, and judged before anything is loaded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vae_runner.cli.few_settings import about_dashes, meant, value_behind
from vae_runner.errors import UserError
from vae_runner.runs.names import CONFIG
from vae_runner.text import plain

__all__ = ["VERBS", "Wish", "read_wish"]

COMMON = ("out", "overwrite", "checkpoint", "dataset.root", "engine.device", "trust")
# Of each verb the settings besides the common ones.
VERBS = {
    "encode": ("part",),
    "sample": ("n", "seed", "from", "temperature", "components", "images", "codes"),
    "reconstruct": ("part",),
    "interpolate": ("steps", "interpolation", "format"),
    "export": (),
}
WITHOUT_IMAGES = ("sample", "export")
CHOICES = {
    "checkpoint": ("best", "last", "previous"),
    "engine.device": ("auto", "cpu", "cuda"),
    "trust": ("true", "false"),
    "overwrite": ("true", "false"),
    "part": ("test", "validation", "train", "all"),
    "from": ("prior", "mixture"),
    "interpolation": ("linear", "spherical"),
    "format": ("auto", "gif", "webp", "apng", "none"),
}
WHOLE = {"n": (1, 10_000_000), "components": (1, 10_000), "images": (2, 10_000_000), "steps": (2, 10_000)}
OF_MIXTURE = ("components", "images")
OF_DRAWS = ("n", "seed", "from", "temperature", *OF_MIXTURE)
TABLES = (".npz", ".csv")
OUT = {
    "encode": "out=codes.npz, or .csv",
    "export": "out=model.onnx, .pt2 or .safetensors",
}


@dataclass
class Wish:
    """A verb, the run's folder, the places of images, and the settings that were given, by name."""

    verb: str
    folder: Path
    places: list[Path] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)

    def text(self, name: str, default: str) -> str:
        """Returns a setting, or what it is where it was not given."""
        return self.given.get(name, default)

    def whole(self, name: str, default: int) -> int:
        """Returns a setting that is a whole number, or what it is where it was not given."""
        return int(self.given[name]) if name in self.given else default

    @property
    def temperature(self) -> float:
        """Of draws, 1 unless it was given."""
        return float(self.given.get("temperature", "1"))

    @property
    def out(self) -> Path:
        """Where results go."""
        return Path(self.given["out"]).expanduser()

    @property
    def overwrite(self) -> bool:
        """Whether what is there may be replaced."""
        return self.given.get("overwrite") == "true"


def read_wish(verb: str, arguments: Sequence[str]) -> Wish:
    """Take the command line behind the verb apart. Raises `UserError` with a line for each mistake."""
    names, given, problems = list[str](), dict[str, str](), list[str]()
    known = (*VERBS[verb], *COMMON)
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--out" and rest:
            name, equals, value = "out", "=", rest.pop(0)
        name = "out" if name == "--out" else name
        if argument.startswith("-") and name != "out":
            problems.append(about_dashes(name, value_behind(argument, rest, known), known, "vae-use"))
        elif not equals or (name not in known and _is_there(argument)):
            names.append(argument)
        elif name not in known:
            problems.append(f"{plain(name)} cannot be set for {verb}; it takes {', '.join(known)}.{meant(name, known)}")
        elif name in given:
            problems.append(f"{name} is given twice")
        else:
            given[name] = value.lower() if name in CHOICES else value
            problems += [f"{name}: {fault}, got {plain(value)!r}"] if (fault := _fault(name, value)) else []
    wish = Wish(verb, Path(names[0]) if names else Path(), [Path(name) for name in names[1:]], given)
    problems += _missing(wish, has_run=bool(names))
    if problems:
        raise UserError("\n".join(problems))
    return wish


def _is_there(argument: str) -> bool:
    """Whether it is a path, with an = in it."""
    try:
        return Path(argument).exists()
    except (OSError, ValueError):
        return False


def _fault(name: str, value: str) -> str | None:
    if name in CHOICES:
        choices = CHOICES[name]
        return None if value.lower() in choices else f"expected one of {', '.join(choices)}"
    if name in WHOLE or name == "seed":
        low, high = WHOLE.get(name, (-(2**63), 2**63))
        is_whole = value.removeprefix("-").isdecimal() and len(value) < 25
        bounds = f" from {low} to {high:,}" if name in WHOLE else ""
        return None if is_whole and low <= int(value) <= high else f"expected a whole number{bounds}"
    if name == "temperature":
        try:
            is_right = 0 <= float(value) <= 100 and math.isfinite(float(value))
        except ValueError:
            is_right = False
        return None if is_right else "expected a number from 0 to 100"
    return None if value else "expected a file or a folder"


def _missing(wish: Wish, has_run: bool) -> list[str]:
    """What is not there that the verb needs, or is there and of no use to it."""
    if not has_run:
        return [f"of which run? vae-use {wish.verb} outputs/latest ...; --help says more"]
    problems, given = [], wish.given
    try:
        is_run = (wish.folder.expanduser() / CONFIG).is_file()
    except (OSError, ValueError, RuntimeError):
        is_run = False
    if not is_run:
        from vae_runner.runs.read import such_as

        problems.append(
            f"{plain(wish.folder)}: no run there (no {CONFIG}); give the folder of a run{such_as(wish.folder)}"
        )
    if "out" not in given:
        problems.append(f"where to? give {OUT.get(wish.verb, 'out=DIR')}")
    elif wish.verb == "encode" and not given["out"].lower().endswith(TABLES):
        problems.append(f"out={plain(given['out'])}: codes go into a file that ends in {' or '.join(TABLES)}")
    return problems + _about_images(wish) + _contradictions(given)


def _about_images(wish: Wish) -> list[str]:
    count = len(wish.places)
    if wish.verb in WITHOUT_IMAGES:
        return [f"{wish.verb} takes no images; what is {plain(wish.places[0])}?"] if count else []
    if wish.verb == "interpolate":
        return [] if count == 2 else [f"interpolate goes from one image to another: give two files, not {count}"]
    if (
        "part" not in wish.given
        and count == 1
        and not _is_there(str(wish.places[0]))
        and str(wish.places[0]) in CHOICES["part"]
    ):
        wish.given["part"], wish.places = str(wish.places[0]), []  # a word for what is no file
    elif bool(count) == ("part" in wish.given):
        parts = ", ".join(CHOICES["part"])
        what = (
            "give files or a folder, or part=..., not both" if count else f"give files or folders, or part= ({parts})"
        )
        return [f"which images? {what}"]
    return []


def _contradictions(given: dict[str, str]) -> list[str]:
    """Settings that would be ignored."""
    if "codes" in given and (useless := [name for name in OF_DRAWS if name in given]):
        return [
            f"codes are decoded as they are, and {', '.join(useless)} would change nothing: leave out one or the other"
        ]
    if given.get("from") != "mixture" and (useless := [name for name in OF_MIXTURE if name in given]):
        return [f"{', '.join(useless)}: of a mixture; give from=mixture"]
    return []
