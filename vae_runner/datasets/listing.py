"""The image files under a folder, in an order that depends on their names alone.

Links are followed, those that lead back up included: a folder is read once, under its own name where it has one below
the root. Whatever has one of the endings counts, a link to nothing too, so that a missing image is found when the
images are read and not silently left out. Hidden files and folders (.thumbnails, ._0001.jpg) do not count.
"""

import contextlib
import gc
import hashlib
import os
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from vae_runner.errors import UserError

__all__ = [
    "IMAGE_EXTENSIONS",
    "Entry",
    "digest_of",
    "in_order",
    "list_files",
    "make_dataset",
    "normal_endings",
    "printable",
]

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


class Entry(NamedTuple):
    """One file of a set: `name` is its path below the root, with slashes; `size` in bytes; `stamp` changes with its
    content: the time of the last change in ns, or the CRC-32 of a member of a zip. A link to nothing has size -1.
    """

    name: str
    size: int
    stamp: int


def make_dataset(dir: str | Path, extensions: Sequence[str]) -> list[Path]:
    """The files under the folder `dir`, at any depth, whose names have one of the endings, in whatever case.

    Sorted by their path below `dir`, folder by folder. Raises `UserError` where there is no folder or no such file.
    """
    folder = Path(dir).expanduser()
    return [folder / entry.name for entry in list_files(dir, extensions)]


def list_files(dir: str | Path, extensions: Sequence[str]) -> list[Entry]:
    """`make_dataset`, as entries."""
    folder = Path(dir).expanduser()
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"dataset.root={dir} {problem}; set dataset.root=DIR")
    endings = normal_endings(extensions)
    with _uncollected():
        entries = sorted(_files(folder, endings), key=in_order)
    if not entries:
        raise UserError(f"no images ({' '.join(endings)}) under {folder}{_zip_hint(folder)}; set dataset.root=DIR")
    return entries


def digest_of(entries: Sequence[Entry]) -> str:
    """A hash of names, sizes and stamps, in hex; of a whole column at a time, since a set may have 200,000 files."""
    names = "\0".join([entry.name for entry in entries]).encode("utf-8", "surrogateescape")
    numbers = array("q", [number for entry in entries for number in entry[1:]])
    return hashlib.sha256(names + b"\0\0" + numbers.tobytes()).hexdigest()


def normal_endings(extensions: Sequence[str]) -> tuple[str, ...]:
    """'.jpg' for each of 'jpg', '.jpg' and '.JPG'."""
    given = [extensions] if isinstance(extensions, str) else extensions
    endings = tuple(dict.fromkeys("." + ending.lower().removeprefix(".") for ending in given))
    if not endings or "." in endings:
        raise UserError(f"dataset.extensions must be a list of endings such as .png, got {list(given)}")
    return endings


def in_order(entry: Entry) -> str:
    """The key that sorts entries folder by folder: no character of a name comes before the one between them."""
    return entry.name.replace("/", "\0")


def printable(name: object) -> str:
    """A file's name as it can be printed and stored: bytes that are no UTF-8 are escaped."""
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[Entry]:
    own, linked, seen = [(str(folder), "")], deque[tuple[str, str]](), set[tuple[int, int]]()
    while own or linked:
        here, prefix = own.pop() if own else linked.popleft()  # linked last: by then those with a name here are seen
        try:
            about = os.stat(here)
            entries = list(os.scandir(here))
        except OSError as error:
            raise UserError(f"cannot read {printable(here)}: {error.strerror}") from error
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        others = []
        for entry in entries:  # of CelebA 202,599: what comes first decides how long a start takes
            if entry.name.lower().endswith(endings) and _is_file(entry) and entry.name[0] != ".":
                yield _entry(entry, prefix)
            elif entry.name[0] != "." and (entry.is_symlink() or entry.is_dir()):
                others.append(entry)
        for entry in sorted(others, key=attrgetter("name")):
            if entry.is_dir(follow_symlinks=False):
                own.append((entry.path, f"{prefix}{entry.name}/"))
            elif os.path.isdir(entry.path):
                linked.append((entry.path, f"{prefix}{entry.name}/"))
            elif entry.name.lower().endswith(endings):  # a link to nothing
                yield _entry(entry, prefix)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link in a circle of links
        return False


def _entry(file: os.DirEntry[str], prefix: str) -> Entry:
    try:
        about = file.stat()
    except OSError:  # a link to nothing, or gone since it was listed
        return Entry(prefix + file.name, -1, 0)
    return Entry(prefix + file.name, about.st_size, about.st_mtime_ns)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Inside, Python does not look for cycles: it would go through all of so many new objects again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _zip_hint(folder: Path) -> str:
    """', but DIR/x.zip is there', where the images may still be packed."""
    zips = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".zip")
    return f", but {printable(zips[0])} is there and can be the root itself" if zips else ""
