"""What files of others say, taken in so that it can do no harm: a run's folder may have come by mail.

Only regular files are read, up to a size: a pipe would be waited for. JSON and YAML become plain values of a few
levels, so that whoever walks through them comes to an end. A number is a float that one can reckon with: the figures of
a run are of the range of float32, up to 3e38; what is beyond 1e100 is infinite here, and what is below 1e-100 is 0, so
that squares, ratios and logarithms of what is left are finite.
"""

import errno
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "LARGE",
    "LOADER",
    "MEDIUM",
    "SMALL",
    "dig",
    "has_aliases",
    "is_plain",
    "json_object",
    "leaves",
    "number",
    "parsed_yaml",
    "plain_yaml",
]
__all__ += ["read_bytes", "read_json", "read_text", "read_yaml", "whole"]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # of YAML: builds plain values only
# Bytes of a file that says what a run is; of a picture, or of the file beside it; of one that grows.
SMALL, MEDIUM, LARGE = 1 << 23, 1 << 27, 1 << 30
DEEPEST = 40  # levels of lists and mappings
HUGE, TINY = 1e100, 1e-100
WHOLE = 1 << 53  # up to here every whole number is a float


def read_bytes(file: str | Path, most: int = LARGE) -> bytes:
    """The content of a regular file of at most so many bytes. Raises `OSError` where it is none."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as opened:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"{about.st_size:,} bytes are more than such a file has", str(file))
        return opened.read(about.st_size)


def read_text(file: Path) -> str:
    """The file's text, empty where there is none to be read."""
    try:
        return read_bytes(file, MEDIUM).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def read_yaml(file: Path) -> Any:
    """The content of a YAML file of plain values; None where there is none, or none that is whole."""
    return plain_yaml(read_text(file))


def read_json(path: str | Path) -> dict[str, Any]:
    """The content of a JSON file, empty where there is no such file or it holds something else."""
    try:
        return json_object(read_bytes(path).decode()) or {}
    except (OSError, UnicodeDecodeError):
        return {}


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object, None where the text is none, is not whole, or goes deeper than any that is written here."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_shallow = text.count("[") + text.count("{") <= DEEPEST
    return content if isinstance(content, dict) and (is_shallow or is_plain(content)) else None


def parsed_yaml(text: str) -> Any:
    """The plain values of a YAML text. Raises `ValueError` or `yaml.YAMLError` where it is more than that."""
    if has_aliases(text):
        raise ValueError("it refers to parts of itself")
    try:
        return yaml.load(text, LOADER)
    except (TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"a value in it cannot be read ({error})") from error


def plain_yaml(text: str) -> Any:
    """The content of a YAML text of plain values; None where it is none, or not whole."""
    try:
        return parsed_yaml(text)
    except (yaml.YAMLError, ValueError):
        return None


def has_aliases(text: str) -> bool:
    """Whether a YAML text refers to parts of itself: a few lines of it can stand for more than memory holds.

    Nothing that is written here does. Raises `yaml.YAMLError` where it is no YAML, `ValueError` where it is too deep.
    """
    if len(text) > SMALL:
        raise ValueError(f"it has {len(text):,} characters")
    depth = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.AliasEvent):
            return True
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it has more than {DEEPEST} levels")
    return False


def is_plain(content: Any) -> bool:
    """Whether a tree of lists and mappings has few levels."""
    level = [content]
    for _ in range(DEEPEST):
        inner = [list(one.values()) if isinstance(one, dict) else one for one in level]
        level = [value for values in inner for value in values if isinstance(value, (dict, list))]
        if not level:
            return True
    return False


def number(value: object) -> float | None:
    """The value as it is where it is a number that can be reckoned with, or nan, or inf; else None."""
    if type(value) is not float and type(value) is not int:  # asked of every figure of a log: a bool is neither
        return None
    if -HUGE <= value <= HUGE:
        return value if value >= TINY or value <= -TINY else 0 * value
    return value if value != value else math.inf if value > 0 else -math.inf


def whole(value: Any) -> int | None:
    """The value where it is a count: a whole number from 0 up; else None."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value <= WHOLE and value == int(value) else None


def dig(content: object, *keys: str) -> Any:
    """The value under one key after the other, None where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted names of all values in nested mappings, and the values; an empty mapping is one too."""
    if not isinstance(node, Mapping) or not node:
        yield key, node
        return
    for name, inner in node.items():
        yield from leaves(inner, f"{key}.{name}" if key else str(name))
