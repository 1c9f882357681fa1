"""Checkpoints that are sealed as if a run had written them, with content that none writes: made from a seed."""

import hashlib
import io
import pickle
import random
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from odd import VALUES, changed_tree
from torch import Tensor

__all__ = ["BUILT", "seal", "write_changed", "zipped"]


def seal(path: Path, archive: bytes) -> None:
    """Write a zip that ends without a comment as a checkpoint is written: with the digest as its comment."""
    archive = archive[:-2] + (64).to_bytes(2, "little")
    path.write_bytes(archive + hashlib.sha256(archive).hexdigest().encode())


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def members_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name.partition("/")[2]: opened.read(name) for name in opened.namelist()}


class Call:
    """Pickled as the call of a function."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def shared(levels: int) -> Any:
    """Lists that hold the one before twice: 2 ** levels parts for whoever walks through them."""
    value: Any = [1.0]
    for _ in range(levels):
        value = [value, value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


TENSORS: list[Tensor] = [
    torch.tensor(float("nan")), torch.zeros(()), torch.zeros(0), torch.ones(3, 3), torch.full((10,), float("inf")),
    torch.zeros(1).expand(10**9), torch.zeros(2, 2).t(), torch.arange(4), torch.zeros(3, dtype=torch.bool),
    torch.zeros(3, dtype=torch.complex64), torch.zeros(4, dtype=torch.float16), torch.zeros(1, 1, 1, 1, 1),
    torch.full((), -1.0), torch.eye(3).to_sparse(), torch.empty(10**6, device="meta"),
    torch.zeros(5, dtype=torch.uint16),
]  # fmt: skip
ODD: list[Any] = [
    *VALUES, *TENSORS, shared(60), circle(), deep(30), deep(200), Counter("abc"), {1, 2}, complex(1, 2), b"raw",
    bytearray(10), torch.float32, torch.Size([2, 3]), (1, 2), {"": torch.zeros(1)}, {1: 2}, {None: 1}, {(1, 2): 3},
    [torch.zeros(2)], {"sums": {"loss": torch.zeros(4)}, "weight": 2.0}, {"sums": 3, "weight": "x"}, 2**70,
]  # fmt: skip
# What nobody's torch.save would write, each a whole archive made of an honest content.
BUILT: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "a deflated member": lambda content: zipped(
        {**members_of(saved(content)), "data/0": bytes(200_000_000)}, zipfile.ZIP_DEFLATED
    ),
    "a claimed byte array": lambda content: zipped({"data.pkl": pickle.dumps(Call(bytearray, 10**11), 2)}),
    "lists in lists without end": lambda content: zipped({"data.pkl": pickle.dumps(shared(300), 2)}),
    "a circle": lambda content: zipped({"data.pkl": pickle.dumps(circle(), 2)}),
    "levels": lambda content: zipped({"data.pkl": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."}),
    "a memo beyond all memory": lambda content: zipped({"data.pkl": b"\x80\x02]r\xff\xff\xff\xff."}),
    "a long number": lambda content: zipped({"data.pkl": b"\x80\x02\x8b\0\0\x10\0" + b"\x7f" * (1 << 20) + b"."}),
    "no pickle": lambda content: zipped({"data.pkl": b"hello"}),
    "an empty pickle": lambda content: zipped({"data.pkl": b""}),
    "no data.pkl": lambda content: zipped({"other": b""}),
    "no member": lambda content: zipped({}),
    "two data.pkl": lambda content: _twice(content),
    "a storage that is cut": lambda content: zipped({**members_of(saved(content)), "data/0": b"abc"}),
    "a storage that is gone": lambda content: zipped(
        {name: data for name, data in members_of(saved(content)).items() if name != "data/1"}
    ),
    "a storage that is too long": lambda content: zipped({**members_of(saved(content)), "data/0": bytes(10**6)}),
    "another global": lambda content: zipped({"data.pkl": pickle.dumps(Call(Counter, "abc"), 2)}),
    "a newer protocol": lambda content: zipped({"data.pkl": pickle.dumps({"step": 1}, 5)}),
    "a pickle that goes on": lambda content: zipped(
        {**members_of(saved(content)), "data.pkl": members_of(saved(content))["data.pkl"][:-9]}
    ),
    "sets": lambda content: zipped({"data.pkl": pickle.dumps({1, 2}, 4)}),
    "a list": lambda content: saved([1, 2]),
    "a number": lambda content: saved(3),
    "nothing in it": lambda content: saved({}),
}  # fmt: skip


def _twice(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO(saved(content))
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings(action="ignore"):
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        archive.writestr(name, pickle.dumps({}, 2))
    return buffer.getvalue()


def write_changed(path: Path, content: dict[str, Any], seed: int) -> str:
    """A sealed checkpoint, changed; returns what was changed."""
    choose = random.Random(seed)
    if choose.random() < 0.1:
        name = choose.choice(sorted(BUILT))
        seal(path, BUILT[name](content))
        return name
    told = ""
    for number in range(choose.choice([1, 1, 1, 2, 3])):
        content, what = _changed(content, choose, may_be_deep=number == 0)  # what is put there may have no end
        told += what + " "
    try:
        seal(path, saved(content))
    except (RuntimeError, TypeError, AttributeError, pickle.PicklingError, RecursionError, OverflowError):
        seal(path, saved({"step": choose.choice(VALUES[:10])}))
    return told


def _changed(content: Any, choose: random.Random, may_be_deep: bool) -> tuple[Any, str]:
    """One place changed, the first levels as often as what is deep below."""
    if not isinstance(content, dict) or not content:
        return {}, "all"
    if choose.random() < 0.2 and may_be_deep:
        return changed_tree(content, choose), "anywhere"
    path, node, top = [], content, dict(content)
    copy = top
    while True:
        key = choose.choice(list(node))
        path.append(str(key))
        if isinstance(node[key], dict) and node[key] and choose.random() < 0.7:
            copy[key] = dict(node[key])
            copy, node = copy[key], node[key]
            continue
        what = choose.randrange(8)
        if what == 0:
            del copy[key]
        elif what == 1:
            copy[choose.choice(["odd", 7, "", "step"])] = copy.pop(key)
        elif what == 2 and isinstance(node[key], Tensor) and node[key].dim():
            copy[key] = node[key][..., :1].clone()
        elif what == 3 and isinstance(node[key], Tensor) and node[key].is_floating_point():
            copy[key] = node[key] * float("nan")
        else:
            copy[key] = choose.choice(ODD)
        return top, ".".join(path)
