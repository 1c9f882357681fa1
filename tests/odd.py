"""Folders of runs that somebody, or a disk, has changed: made from a seed, each by a few changes of a whole one."""

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["VALUES", "changed_folder", "changed_tree"]

HUGE = 10**400


def nested(levels: int) -> Any:
    value: Any = 1
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


VALUES: list[Any] = [
    HUGE, -HUGE, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), -1, 0, 2**63, 1.5, 1e15, True, None,
    "", "abc", "-2", "=cmd|'/c calc'!A0", "a\nb", "\x1b[31m\x07\x9b", "\u202egnp", "\ud800", "<script>", "\x00",
    "x" * 20_000,
    "${oc.env:HOME}", "1e999", [], {}, [[]], [1, 2], [None], ["a", 1], [HUGE], {"a": 1}, {"": {}}, {"step": 3},
    [{}, {"a": 1}],
    [{"b": [{"c": "\n"}]}], nested(30), nested(45), nested(300), [float("nan")] * 3, list(range(3_000)), [1e308] * 5,
    {f"k{number}": number for number in range(300)}, "2026-11-22T06:17:33", "0000-99-99", -0.0,
]  # fmt: skip
JSONS = ("status.json", "environment.json", "sweep.json", "grids/*.json", "grids/history/*.json")
YAMLS = ("config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", ".hydra/config.yaml")
TEXTS = ("metrics.jsonl", "epochs.csv", *JSONS, *YAMLS)
RAW_JSON = [
    "1" + "0" * 400, "1" * 5_000, "1e999", "-1e999", "[" * 3_000, "[" * 200 + "]" * 200, '{"step":1,"step":2}', "NaN",
    "\\ud800", "'a'", "01",
]  # fmt: skip
RAW_YAML = [
    "&a [*a]", "!!python/name:os.system", "!!binary aGVsbG8=", "2024-01-01", "{[a]: b}", "? [1]\n: 2", "[" * 500,
    "!!set {a}", ".nan", "1e999", "0o777", "12:30:45", "%", "\t", "<<: 1", "a: b: c", "9" * 5_000, "[{2024-01-01: 1}]",
]  # fmt: skip


def changed_folder(folder: Path, seed: int) -> list[str]:
    """Change one to four things in the folder of a run; returns what was done, for messages."""
    choose = random.Random(seed)
    return [choose.choice(CHANGES)(folder, choose) or "" for _ in range(choose.choice([1, 1, 2, 4]))]


def changed_tree(content: Any, choose: random.Random) -> Any:
    """A copy of nested containers with one place changed: another value, one gone, one more, or under another name."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    if not places:
        return choose.choice(VALUES)
    node, key = choose.choice(places)
    what = choose.randrange(4)
    if what == 0:
        del node[key]
    elif what == 1 and isinstance(node, dict):
        node[choose.choice(["odd", "", "\x1b", "step", "a/b", "=1", "x" * 500])] = node.pop(key)
    elif what == 2 and isinstance(node, dict):
        node[choose.choice(["odd", "", "\x1b[2J", "space9/kl", "_target_", "=1+1", "space0/kl_dims"])] = choose.choice(
            VALUES
        )
    else:
        node[key] = choose.choice(VALUES)
    return content


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield content, key
        yield from _places(value)


def _file(folder: Path, choose: random.Random, patterns: tuple[str, ...]) -> Path:
    """A regular file that is there, of one of the patterns."""
    found = [
        path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file() and path.stat().st_size
    ]
    return choose.choice(found) if found else folder / "status.json"


def _json_value(folder: Path, choose: random.Random) -> str:
    file = _file(folder, choose, JSONS)
    try:
        content = json.loads(file.read_text())
    except (ValueError, OSError, RecursionError):
        content = {}
    file.write_text(json.dumps(changed_tree(content, choose)))
    return f"value in {file.name}"


def _yaml_value(folder: Path, choose: random.Random) -> str:
    file = _file(folder, choose, YAMLS)
    try:
        content = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(changed_tree(content, choose)))
    except (ValueError, OSError, RecursionError, TypeError, yaml.YAMLError):
        file.write_text("a")
    return f"value in {file.name}"


def _raw(folder: Path, choose: random.Random) -> str:
    """Text in the place of a value."""
    file = _file(folder, choose, (*JSONS, *YAMLS))
    lines = file.read_text(errors="replace").split("\n")
    at = choose.randrange(len(lines))
    name, colon, _ = lines[at].partition(":")
    raw = choose.choice(RAW_YAML if file.suffix == ".yaml" else RAW_JSON)
    lines[at] = f"{name}: {raw}" + ("" if file.suffix == ".yaml" or at > len(lines) - 3 else ",") if colon else raw
    file.write_text("\n".join(lines), errors="replace")
    return f"raw text in {file.name}"


def _record(folder: Path, choose: random.Random) -> str:
    """A line of the log changed, doubled, moved, or an odd one put there."""
    file = folder / "metrics.jsonl"
    if not file.is_file():
        return "no log"
    lines = file.read_text(errors="replace").split("\n")
    at = choose.randrange(len(lines))
    try:
        record = json.loads(lines[at])
    except (ValueError, RecursionError):
        record = {"step": 5, "split": "train", "loss": 1.0}
    what = choose.randrange(5)
    if what == 0:
        lines.insert(at, lines[choose.randrange(len(lines))])
    elif what == 1:
        lines.insert(at, choose.choice(RAW_JSON))
    elif what == 2:
        choose.shuffle(lines)
    elif what == 3:  # all figures of a record
        odd = {name: choose.choice(VALUES) for name in dict(record) if name not in ("step", "split")}
        lines[at] = json.dumps({**record, **odd})
    else:
        lines[at] = json.dumps(changed_tree(record, choose))
    file.write_text("\n".join(lines))
    return "line in metrics.jsonl"


def _bytes(folder: Path, choose: random.Random) -> str:
    """Flipped, cut, doubled or foreign bytes."""
    file = _file(folder, choose, (*TEXTS, "grids/*.png", "grids/*.svg", "animations/*", "checkpoints/*"))
    data = bytearray(file.read_bytes())
    what = choose.randrange(5)
    if what == 0:
        for _ in range(choose.randrange(1, 20)):
            data[choose.randrange(len(data))] = choose.randrange(256)
    elif what == 1:
        data = data[: choose.randrange(len(data))]
    elif what == 2:
        at = choose.randrange(len(data))
        data[at:at] = choose.randbytes(choose.randrange(1, 200))
    elif what == 3:
        data = data * 2
    else:
        data = bytearray(
            choose.choice([b"", b"\0" * 1_000, b"\xff\xfe", b"\n" * 500, b"{", b"PK\3\4", b"\xef\xbb\xbf{}"])
        )
    file.write_bytes(data)
    return f"bytes of {file.name}"


def _kind(folder: Path, choose: random.Random) -> str:
    """A file that is a folder, a pipe, a link to itself, to nothing or to a device, far too large, or gone."""
    file = _file(folder, choose, (*TEXTS, "grids/*.png", "checkpoints/*.pt"))
    file.unlink(missing_ok=True)
    what = choose.randrange(7)
    if what == 0:
        file.mkdir()
    elif what == 1:
        os.mkfifo(file)
    elif what == 2:
        file.symlink_to(file.name)
    elif what == 3:
        file.symlink_to("/nowhere")
    elif what == 4:
        file.symlink_to("/dev/zero")
    elif what == 5:
        with file.open("wb") as opened:
            opened.truncate(3 << 30)
    return f"kind {what} of {file.name}"


def _name(folder: Path, choose: random.Random) -> str:
    """Files of odd names beside the others."""
    name = choose.choice(
        ["a\nb", "\x1b[2J", "x" * 240, "\u202egnp", "=1", "traversal ", ".png", "<b>", "%41", "a-b_c.d", "\udcff"]
    )
    grids = folder / "grids"
    for source in sorted(grids.glob("*.png"))[:1] if grids.is_dir() else ():
        if source.is_file():
            (grids / f"{name}.png").write_bytes(source.read_bytes()[: 1 << 20])
            (grids / f"{name}.json").write_text(
                json.dumps({"step": choose.choice(VALUES), "layout": choose.choice(VALUES)})
            )
    return f"picture {name!r}"


CHANGES: list[Callable[[Path, random.Random], str]] = [
    _json_value, _json_value, _yaml_value, _raw, _record, _record, _record, _bytes, _kind, _name,
]  # fmt: skip
