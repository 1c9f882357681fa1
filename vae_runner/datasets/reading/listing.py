"""The image files under a folder, in an order that depends on their names alone.

Links are followed, those that lead back up included: a folder is read once, under its own name where it has one below
the root. A regular file that has one of the endings counts, and a link to nothing too, so that a missing image is found
when the images are read and not silently left out. Hidden files and folders (.thumbnails, ._0001.jpg) do not count, nor
do pipes, sockets and devices, which may never answer. What else there is is counted by its ending.
"""

import contextlib
import errno
import gc
import hashlib
import os
import stat
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import features

from vae_runner.errors import UserError
from vae_runner.text import plain

__all__ = ["IMAGE_EXTENSIONS", "Entry", "Listing", "count_other", "describe_others", "digest_of", "in_order"]
__all__ += ["list_files", "list_folder", "make_dataset", "normal_endings", "open_regular", "printable"]

_SHOWN = 8  # endings that are named
_LONGEST = 12  # characters of one
_NO_ENDING, _NO_FILE = "without an ending", "pipes, sockets or devices"

# Of ordinary images, and of those that this Pillow has a decoder for.
IMAGE_EXTENSIONS: tuple[str, ...] = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
    *(".jfif", ".jpe", ".jif", ".jfi", ".mpo", ".apng", ".dib", ".pnm", ".tga", ".qoi"),
    *((".avif",) if features.check("avif") else ()),
    *((".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx") if features.check("jpg_2000") else ()),
)


class Entry(NamedTuple):
    """One file of a set: `name` is its path below the root, with slashes; `size` in bytes; `stamp` changes with its
    content: the time of the last change in ns, or the CRC-32 of a member of a zip. A link to nothing has size -1.
    `touched` is the time, in ns, of the last change of anything about a file, which no program can set back.

    Example:
        >>> entry = Entry("a/1.png", size=4_000, stamp=1_700_000_000_000_000_000)
        >>> entry.name, entry.touched
        ('a/1.png', 0)
    """

    name: str
    size: int
    stamp: int
    touched: int = 0


class Listing(NamedTuple):
    """The files that count, sorted, and how many others there are of each ending.

    Example:
        >>> Path("scans").mkdir()
        >>> for name in ("b.png", "a.png", "notes.txt"):
        ...     Path("scans", name).touch()
        >>> listing = list_folder("scans", [".png"])
        >>> [entry.name for entry in listing.entries], dict(listing.others)
        (['a.png', 'b.png'], {'.txt': 1})
    """

    entries: list[Entry]
    others: Counter[str]


def make_dataset(dir: str | Path, extensions: Sequence[str]) -> list[Path]:
    """Returns the files under the folder `dir`, at any depth, whose names have one of the endings, in whatever case.

    Sorted by their path below `dir`, folder by folder.

    Raises:
        UserError: where there is no folder or no such file.
    """
    folder = Path(dir).expanduser()
    return [folder / entry.name for entry in list_files(dir, extensions)]


def list_files(dir: str | Path, extensions: Sequence[str]) -> list[Entry]:
    """Returns `make_dataset`, as entries."""
    return list_folder(dir, extensions).entries


def list_folder(dir: str | Path, extensions: Sequence[str]) -> Listing:
    """Returns `make_dataset`, with what is left out."""
    folder = Path(dir).expanduser()
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"dataset.root={printable(dir)} {problem}; set dataset.root=DIR")
    endings, others = normal_endings(extensions), Counter[str]()
    with _uncollected():
        entries = sorted(_files(folder, endings, others), key=in_order)
    if not entries:
        left = describe_others(others, "; other files: ")
        raise UserError(
            f"no images ({' '.join(endings)}) under {printable(folder)}{_zip_hint(folder)}{left}; set dataset.root=DIR"
        )
    return Listing(entries, others)


def count_other(others: Counter[str], name: str) -> None:
    """Count a file that is left out, by its ending."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - of a hundred thousand names, without a Path of each
    others[printable(ending) if 1 < len(ending) <= _LONGEST else _NO_ENDING] += 1


def describe_others(others: Counter[str], before: str = "") -> str:
    """Returns `before` and '12 .heic, 3 .txt', the most frequent ones; nothing where there are none."""
    named = [f"{count:,} {ending}" for ending, count in others.most_common(_SHOWN)]
    if rest := len(others) - len(named):
        named.append(f"{rest} more endings")
    return before + ", ".join(named) if named else ""


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read it.

    Raises:
        OSError: where it is none, such as a pipe, instead of waiting for a writer.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.fdopen(handle, "rb")


def digest_of(entries: Sequence[Entry]) -> str:
    """Returns a hash of names, sizes and stamps, in hex; of whole columns, since a set may have 200,000 files."""
    names = "\0".join([entry.name for entry in entries]).encode("utf-8", "surrogateescape")
    numbers = array("q", [number for entry in entries for number in entry[1:3]])
    return hashlib.sha256(names + b"\0\0" + numbers.tobytes()).hexdigest()


def normal_endings(extensions: Sequence[str]) -> tuple[str, ...]:
    """Returns '.jpg' for each of 'jpg', '.jpg' and '.JPG'."""
    given = [extensions] if isinstance(extensions, str) else extensions
    endings = tuple(dict.fromkeys("." + ending.lower().removeprefix(".") for ending in given))
    if not endings or "." in endings:
        raise UserError(f"dataset.extensions must be a list of endings such as .png, got {list(given)}")
    return endings


def in_order(entry: Entry) -> str:
    """Returns the key that sorts entries folder by folder: no character of a name comes before the one between them."""
    return entry.name.replace("/", "\0")


def printable(name: object) -> str:
    """Returns a file's name as it can be printed and stored: see `vae_runner.text`; a path may be long."""
    return plain(name, 1000)


def _files(folder: Path, endings: tuple[str, ...], others: Counter[str]) -> Iterator[Entry]:
    own, linked, seen = [(str(folder), "")], deque[tuple[str, str]](), set[tuple[int, int]]()
    while own or linked:
        here, prefix = own.pop() if own else linked.popleft()  # linked last: by then those with a name here are seen
        try:
            about = os.stat(here)  # noqa: PTH116 - a text, as os.walk gives it
            entries = list(os.scandir(here))
        except OSError as error:
            raise UserError(f"cannot read {printable(here)}: {error.strerror}") from error
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        rest = []
        for entry in entries:  # of CelebA 202,599: what comes first decides how long a start takes
            if entry.name.lower().endswith(endings) and _is_file(entry) and entry.name[0] != ".":
                yield _entry(entry, prefix)
            elif entry.name[0] != ".":
                rest.append(entry)
        for entry in sorted(rest, key=attrgetter("name")):
            if entry.is_dir(follow_symlinks=False):
                own.append((entry.path, f"{prefix}{entry.name}/"))
            elif entry.is_symlink() and os.path.isdir(entry.path):
                linked.append((entry.path, f"{prefix}{entry.name}/"))
            elif not entry.name.lower().endswith(endings):
                count_other(others, entry.name)
            elif os.path.exists(entry.path):  # and is no file
                others[_NO_FILE] += 1
            else:  # a link to nothing
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
    return Entry(prefix + file.name, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


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
