"""Where the image files of a set are: under a folder, or in a zip, which is read in place and never unpacked.

A member of a zip is only ever looked up by its name in there, so a name that climbs out ("../../x.jpg") leads nowhere.
"""

import contextlib
import errno
import hashlib
import io
import os
import threading
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from vae_runner.datasets.listing import Entry, in_order, list_files, normal_endings, printable
from vae_runner.errors import UserError

__all__ = ["FolderSource", "Source", "ZipSource", "open_source", "sampled_digest"]

_LARGEST = 1 << 30  # bytes of a member of a zip; one that claims more is no image
_SAMPLE = 16  # files whose content tells one set from another


class Source(Protocol):
    """The files of a set."""

    entries: list[Entry]  # sorted by name, folder by folder
    identity: str  # what tells these files from others of the same names, sizes and stamps

    def location(self, entry: Entry) -> str:
        """The entry's path, for people and for loaders."""

    def open(self, entry: Entry) -> BinaryIO:
        """The entry's bytes. Raises whatever reading a file raises."""


def open_source(root: str | Path, extensions: Sequence[str]) -> Source:
    """The files under `root`, a folder or a zip. Raises `UserError` where there are none."""
    path = Path(root).expanduser()
    return ZipSource(path, extensions) if path.is_file() else FolderSource(root, extensions)


def sampled_digest(source: Source, entries: Sequence[Entry]) -> str:
    """A hash of the files' names and sizes and of what 16 of them contain, the same wherever they are, in hex."""
    digest = hashlib.sha256("\0".join(f"{entry.name}\0{entry.size}" for entry in entries).encode(errors="replace"))
    for position in sorted({round(part * (len(entries) - 1) / (_SAMPLE - 1)) for part in range(_SAMPLE)}):
        with contextlib.suppress(OSError, ValueError, RuntimeError, KeyError), source.open(entries[position]) as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


class FolderSource:
    """The files under a folder, links followed."""

    def __init__(self, root: str | Path, extensions: Sequence[str]) -> None:
        self.root = Path(root).expanduser()
        self.entries = list_files(root, extensions)
        self.identity = str(self.root.resolve())

    def location(self, entry: Entry) -> str:
        return os.path.join(self.root, entry.name)

    def open(self, entry: Entry) -> BinaryIO:
        """Raises `ValueError` where the file is no longer the one that was listed."""
        file = open(self.location(entry), "rb")  # noqa: SIM115 - the caller closes it
        about = os.fstat(file.fileno())
        if (about.st_size, about.st_mtime_ns) != (entry.size, entry.stamp):
            file.close()
            raise ValueError("it has changed since it was listed")
        return file


class ZipSource:
    """The members of a zip. Threads share one open file; another process opens its own."""

    def __init__(self, root: str | Path, extensions: Sequence[str]) -> None:
        self.root = Path(root).expanduser()
        self.identity = ""  # the CRC-32 of each member is in its stamp: a zip that moves is still the same
        self._zip: zipfile.ZipFile | None = None
        self._lock = threading.Lock()
        endings = normal_endings(extensions)
        infos = {info.filename: info for info in self._opened().infolist() if _counts(info, endings)}
        entries = (Entry(name, info.file_size, info.CRC) for name, info in infos.items())
        self.entries = sorted(entries, key=in_order)
        if not self.entries:
            raise UserError(f"no images ({' '.join(endings)}) in {printable(root)}; set dataset.root=DIR or a zip")

    def location(self, entry: Entry) -> str:
        return f"{self.root}/{entry.name}"

    def open(self, entry: Entry) -> BinaryIO:
        """Raises `ValueError` where the member is too large for an image, or the zip is no longer the one listed, and
        `OSError` where it cannot be unpacked.
        """
        opened = self._opened()
        info = opened.getinfo(entry.name)
        if info.file_size > _LARGEST:
            raise ValueError(f"it claims {info.file_size:,} bytes")
        if (info.file_size, info.CRC) != (entry.size, entry.stamp):
            raise ValueError("it has changed since it was listed")
        try:
            return io.BytesIO(opened.read(info))
        except RuntimeError as error:  # so it says that there is a password
            raise OSError(errno.EACCES, "it is encrypted; unpack the zip") from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:  # of the zip, not of the image that its CRC names
            raise OSError(errno.EIO, "its bytes in the zip are damaged") from error

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


def _counts(info: zipfile.ZipInfo, endings: tuple[str, ...]) -> bool:
    """Whether it is an image and not hidden, nor one of the doubles that macOS packs along."""
    parts = info.filename.split("/")
    hidden = any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)
    return not info.is_dir() and not hidden and info.filename.lower().endswith(endings)
