"""Where the image files of a set are: under a folder, or in a zip, which is read in place and never unpacked.

A member of a zip is only ever looked up by its name in there, so a name that climbs out ("../../x.jpg") leads nowhere.
"""

import errno
import io
import os
import stat
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from vae_runner.datasets.reading.listing import (
    Entry,
    count_other,
    describe_others,
    in_order,
    list_folder,
    normal_endings,
    open_regular,
    printable,
)
from vae_runner.errors import UserError

__all__ = ["FolderSource", "Source", "ZipSource", "open_source"]

_LARGEST = 1 << 30  # bytes of a member of a zip; one that claims more is no image


class Source(Protocol):
    """The files of a set.

    Example:
        >>> Path("scans").mkdir()
        >>> _ = Path("scans/a.png").write_bytes(b"its bytes")
        >>> source: Source = open_source("scans", [".png"])  # or a zip
        >>> with source.open(source.entries[0]) as file:
        ...     file.read()
        b'its bytes'
    """

    root: Path  # the folder, or the zip
    entries: list[Entry]  # sorted by name, folder by folder
    others: Counter[str]  # how many other files there are, by their endings
    identity: str  # what tells these files from others of the same names, sizes and stamps

    def location(self, entry: Entry) -> str:
        """Returns the entry's path, for people and for loaders."""

    def open(self, entry: Entry) -> BinaryIO:
        """Returns the entry's bytes. Raises whatever reading a file raises."""


def open_source(root: str | Path, extensions: Sequence[str]) -> Source:
    """Returns the files under `root`, a folder or a zip.

    Raises:
        UserError: where there are none.
    """
    path = Path(root).expanduser()
    return ZipSource(path, extensions) if path.is_file() else FolderSource(root, extensions)


class FolderSource:
    """The files under a folder, links followed.

    Example:
        >>> Path("scans").mkdir()
        >>> _ = Path("scans/a.png").write_bytes(b"its bytes")
        >>> source = FolderSource("scans", [".png"])
        >>> source.location(source.entries[0])
        'scans/a.png'
    """

    def __init__(self, root: str | Path, extensions: Sequence[str]) -> None:
        self.root = Path(root).expanduser()
        self.entries, self.others = list_folder(root, extensions)
        self.identity = str(self.root.resolve())

    def location(self, entry: Entry) -> str:
        """Returns the path of the entry's file."""
        return os.path.join(self.root, entry.name)  # noqa: PTH118 - a text, which Path would clean up

    def open(self, entry: Entry) -> BinaryIO:
        """Raises `ValueError` where the file is no longer the one that was listed."""
        file = open_regular(self.location(entry))
        about = os.fstat(file.fileno())
        if (about.st_size, about.st_mtime_ns) != (entry.size, entry.stamp):
            file.close()
            raise ValueError("it has changed since it was listed")
        return file


class ZipSource:
    """The members of a zip. Threads share one open file; another process opens its own.

    Example:
        >>> with zipfile.ZipFile("scans.zip", "w") as packed:
        ...     packed.writestr("2024/a.png", b"its bytes")
        >>> source = ZipSource("scans.zip", [".png"])
        >>> source.open(source.entries[0]).read()
        b'its bytes'
    """

    def __init__(self, root: str | Path, extensions: Sequence[str]) -> None:
        self.root = Path(root).expanduser()
        self.identity = ""  # the CRC-32 of each member is in its stamp: a zip that moves is still the same
        self._zip: zipfile.ZipFile | None = None
        self._lock = threading.Lock()
        endings = normal_endings(extensions)
        visible = {info.filename: info for info in self._opened().infolist() if not _is_hidden(info)}
        infos = {name: info for name, info in visible.items() if name.lower().endswith(endings)}
        self.others = Counter[str]()
        for name in visible.keys() - infos.keys():
            count_other(self.others, name)
        entries = (Entry(name, info.file_size, info.CRC) for name, info in infos.items())
        self.entries = sorted(entries, key=in_order)
        if not self.entries:
            left = describe_others(self.others, "; other files: ")
            raise UserError(
                f"no images ({' '.join(endings)}) in {printable(root)}{left}; set dataset.root=DIR or a zip"
            )

    def location(self, entry: Entry) -> str:
        """Returns the archive's path, and the entry's name inside."""
        return f"{self.root}/{entry.name}"

    def open(self, entry: Entry) -> BinaryIO:
        """Raises `ValueError` where the member is too large for an image, or the zip is no longer the one listed, and
        `OSError` where it cannot be unpacked.
        """
        opened = self._opened()
        info = opened.getinfo(entry.name)
        if info.file_size > _LARGEST:
            raise ValueError(f"it claims {info.file_size:,} bytes")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ValueError("it is a link; pack the file that it leads to")
        if (info.file_size, info.CRC) != (entry.size, entry.stamp):
            raise ValueError("it has changed since it was listed")
        try:
            return io.BytesIO(opened.read(info))
        except RuntimeError as error:  # so it says that there is a password
            raise OSError(errno.EACCES, "it is encrypted; unpack the zip") from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:  # of the zip, not of the image that its CRC names
            raise OSError(errno.EIO, "its bytes in the zip are damaged") from error

    def named(self, names: Sequence[str]) -> Entry | None:
        """Returns the first member that is called so, in whatever folder; None where there is none."""
        members = {info.filename.rpartition("/")[2]: info for info in self._opened().infolist() if not _is_hidden(info)}
        found = next((members[name] for name in names if name in members), None)
        return found and Entry(found.filename, found.file_size, found.CRC)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_zip", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_zip": None, "_lock": threading.Lock()}

    def _opened(self) -> zipfile.ZipFile:
        with self._lock:
            if self._zip is None:
                self._zip = _open_zip(self.root)
            return self._zip


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        kind = "is a damaged zip" if path.suffix.lower() == ".zip" else "is neither a folder nor a zip"
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"dataset.root={printable(path)} {kind} ({reason}); set dataset.root=DIR or a zip") from error


def _is_hidden(info: zipfile.ZipInfo) -> bool:
    """Whether it is a folder, is hidden, or one of the doubles that macOS packs along."""
    parts = info.filename.split("/")
    hidden = any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)
    return info.is_dir() or hidden
