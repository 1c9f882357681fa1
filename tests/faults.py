"""The program's own file operations, each told apart from all others, so that a test can kill or fail it at any one.

Python's `_pyio` makes the system calls of `open`, `write` and `close` by the functions of `os`; so where it stands in
for `io`, wrappers around `os` see every file that is written from Python.
"""

import _pyio
import builtins
import io
import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Point", "watch"]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ASIDE = re.compile(r"^\.(.+)\.[^.]+\.tmp$")  # names that differ from run to run
BY_HANDLE = ("write", "pwrite", "fsync", "ftruncate", "posix_fallocate")
BY_PATH = ("unlink", "remove", "mkdir", "rmdir", "truncate", "chmod")
BY_TARGET = ("replace", "rename", "link", "symlink")


class Point(NamedTuple):
    """A moment: before or after the `count`-th `operation` on `file`, or with half of its bytes written."""

    operation: str
    file: str
    count: int
    moment: str


Act = Callable[[Point], None]


def watch(root: Path, act: Act) -> None:
    """From now on `act` is called at every point of all operations that change something under `root`."""
    watcher = _Watcher(Path(os.path.realpath(root)), act)
    for name in BY_HANDLE:
        setattr(os, name, watcher.wrapped(name, getattr(os, name), lambda args: watcher.handles.get(args[0])))
    for name in BY_PATH:
        setattr(os, name, watcher.wrapped(name, getattr(os, name), lambda args: watcher.label(args[0])))
    for name in BY_TARGET:
        setattr(os, name, watcher.wrapped(name, getattr(os, name), lambda args: watcher.label(args[1])))
    os.open, os.close = watcher.opening(os.open), watcher.closing(os.close)
    builtins.open = io.open = _open_by(io.open)


class _Watcher:
    def __init__(self, root: Path, act: Act) -> None:
        self.root, self.act = root, act
        self.handles: dict[int, str] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.lock = threading.Lock()

    def label(self, path: Any) -> str | None:
        """The path below `root`, without what is random in it; None for one elsewhere."""
        if isinstance(path, int):
            return self.handles.get(path)
        whole = Path(os.path.abspath(os.fsdecode(path)))
        folder = Path(os.path.realpath(whole.parent))
        if not folder.is_relative_to(self.root):
            return None
        return str(folder.relative_to(self.root) / ASIDE.sub(r".\1.tmp", whole.name))

    def wrapped(self, name: str, function: Callable, file_of: Callable[[tuple], str | None]) -> Callable:
        def call(*args: Any, **options: Any) -> Any:
            if (file := file_of(args)) is None:
                return function(*args, **options)
            at = self._counted(name, file)
            self.act(at("before"))
            if name in ("write", "pwrite") and len(args[1]) > 1:
                handle, data, *offset = args
                done = function(handle, bytes(data[: len(data) // 2]), *offset)
                self.act(at("half"))
                result = done + function(handle, bytes(data[done:]), *(begun + done for begun in offset))
            else:
                result = function(*args, **options)
            self.act(at("after"))
            return result

        return call

    def opening(self, function: Callable) -> Callable:
        opened = self.wrapped("open", function, lambda args: self.label(args[0]))

        def call(path: Any, flags: int, *args: Any, **options: Any) -> int:
            handle = (opened if flags & WRITING else function)(path, flags, *args, **options)
            if (file := self.label(path)) is not None:
                self.handles[handle] = file
            return handle

        return call

    def closing(self, function: Callable) -> Callable:
        def call(handle: int) -> None:
            self.handles.pop(handle, None)
            function(handle)

        return call

    def _counted(self, name: str, file: str) -> Callable[[str], Point]:
        with self.lock:
            self.counts[name, file] += 1
            count = self.counts[name, file]
        return lambda moment: Point(name, file, count, moment)


def _open_by(original: Callable) -> Callable:
    def call(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        return (_pyio.open if set(mode) & set("wax+") else original)(file, mode, *args, **options)

    return call
