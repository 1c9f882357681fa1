"""The user's own config files, read strictly before Hydra reads them: a slip in one is told with its file and line.

YAML lets a few lines stand for more than memory holds, by references to parts of itself (`&a`, `*a`). What a file comes
to when each of them is written out is therefore counted before anything is built of it:

    size(node) = 1 + sum of the sizes of what is in it,     a reference counts as what it refers to
"""

import functools
import os
from pathlib import Path

import yaml
from omegaconf._utils import get_yaml_loader

from vae_runner.errors import UserError

__all__ = ["check_file", "line_of", "shown_file"]

BYTES = 100_000  # of a file; ours have less than 2,000
VALUES = 10_000  # of a file, written out
DEPTH = 40  # of values in values
MARK = b"\xef\xbb\xbf"  # some editors put it before UTF-8; Hydra does not see the first line then


def check_file(file: Path) -> None:
    """Raises `UserError` with the file, the line and what is wrong there."""
    try:
        about = file.stat()
        problem = _problem(file, about.st_size, about.st_mtime_ns)
    except OSError as error:
        problem = f": {error.strerror}"
    if problem:
        raise UserError(f"{shown_file(file)}{problem}")


def shown_file(file: Path) -> str:
    """The file as the user would type it."""
    relative = os.path.relpath(file)
    return str(file) if relative.startswith("..") else relative


def line_of(name: str, file: Path) -> int | None:
    """The line in which the file, which has been checked, gives the setting of that dotted name; None: it does not."""
    node, line = yaml.compose(file.read_text("utf-8"), get_yaml_loader()), None
    for part in name.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == part), None)
        if found is None:
            return None
        line, node = found[0].start_mark.line + 1, found[1]
    return line


@functools.lru_cache(maxsize=1000)
def _problem(file: Path, size: int, stamp: int) -> str | None:
    """', line 3: what is wrong', or None; asked once for each state of the file."""
    if size > BYTES:
        return f": {size:,} bytes are too many for a config"
    data = file.read_bytes()
    if data.startswith(MARK):
        return ", line 1: there is a byte order mark before the text; save it as UTF-8 without one"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ": it is UTF-16; save it as UTF-8"
    try:
        return _problem_of(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f", line {_line(data, error.start)}: byte 0x{data[error.start]:02x} is not UTF-8; save it as UTF-8"


def _problem_of(text: str) -> str | None:
    loader = get_yaml_loader()
    try:
        root = yaml.compose(text, loader)
        if root is None:  # nothing but comments
            return None
        if not isinstance(root, yaml.MappingNode):
            return f", line {root.start_mark.line + 1}: a config is made of lines such as NAME: VALUE"
        values, depth = _extent(root, {}, [])
        if values > VALUES:
            return f": written out, it comes to {_or_endless(values)} values; more than {VALUES:,} are no config"
        if depth > DEPTH:
            return f": values in values, {depth:.0f} deep; more than {DEPTH} are no config"
        yaml.load(text, loader)
    except RecursionError:
        return f": values in values, more than {DEPTH} deep"
    except yaml.reader.ReaderError as error:
        where = text.count("\n", 0, error.position) + 1
        return f", line {where}: the character U+{ord(text[error.position]):04X} has no place in YAML"
    except yaml.MarkedYAMLError as error:
        return _marked(error)
    except (ValueError, yaml.YAMLError) as error:  # such as a date or a number that is none
        return f": {' '.join(str(error).split())}"
    odd = [key for key, _ in root.value if key.tag != "tag:yaml.org,2002:str" and key.value != "<<"]
    return f", line {odd[0].start_mark.line + 1}: the name {odd[0].value!r} is no text" if odd else None


def _marked(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    if "'\\t'" in problem:
        problem = "there is a tab; YAML is indented by spaces"
    elif problem.startswith("found duplicate key "):
        problem = f"{problem.removeprefix('found duplicate key ')} is there twice"
    elif problem.startswith("expected <block end>"):
        problem = "its indentation does not fit the lines before it"
    elif problem.startswith("mapping values are not allowed"):
        problem = "a colon, or an indentation, that does not fit the line before it"
    elif "end of stream" in problem and error.context_mark:  # where it began tells more than where the file ends
        mark, problem = error.context_mark, f"it is not closed ({error.context})"
    elif error.context and not error.context.startswith("while constructing"):
        problem = f"{problem} ({error.context})"
    return f", line {mark.line + 1}: {problem}" if mark else f": {problem}"


def _extent(node: yaml.Node, known: dict[int, tuple[float, float]], around: list[int]) -> tuple[float, float]:
    """How many values there are with all references written out, and how deep; infinite where one holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1, 1
    if id(node) in around:
        return float("inf"), float("inf")
    if id(node) not in known:
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        inner = [_extent(part, known, [*around, id(node)]) for part in parts]
        known[id(node)] = 1 + sum(size for size, _ in inner), 1 + max((depth for _, depth in inner), default=0)
    return known[id(node)]


def _or_endless(count: float) -> str:
    return "endlessly many" if count == float("inf") else f"{count:,.0f}" if count < 1e15 else f"{count:.0e}"


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
