"""The image files under a folder, in an order that depends on their names alone.

Links are followed, those that lead back up included: a folder is read once, under its own name where it has one below
the root. Whatever has one of the endings counts, a link to nothing too, so that a missing image is found when the
images are read and not silently left out. Hidden files and folders (.thumbnails, ._0001.jpg) do not count.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from vae_runner.errors import UserError

__all__ = ["IMAGE_EXTENSIONS", "make_dataset"]

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


def make_dataset(dir: str | Path, extensions: Sequence[str]) -> list[Path]:
    """The files under the folder `dir`, at any depth, whose names have one of the endings, in whatever case.

    Sorted by their path below `dir`, folder by folder. Raises `UserError` where there is no folder or no such file.
    """
    folder = Path(dir).expanduser()
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"dataset.root={dir} {problem}; set dataset.root=DIR")
    endings = _endings(extensions)
    paths = sorted(_files(folder, endings), key=lambda path: path.relative_to(folder).parts)
    if not paths:
        raise UserError(f"no images ({' '.join(endings)}) under {folder}; set dataset.root=DIR")
    return paths


def _endings(extensions: Sequence[str]) -> tuple[str, ...]:
    """'.jpg' for each of 'jpg', '.jpg' and '.JPG'."""
    given = [extensions] if isinstance(extensions, str) else extensions
    endings = tuple(dict.fromkeys("." + ending.lower().removeprefix(".") for ending in given))
    if not endings or "." in endings:
        raise UserError(f"dataset.extensions must be a list of endings such as .png, got {list(given)}")
    return endings


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    own, linked, seen = [folder], deque[Path](), set[tuple[int, int]]()
    while own or linked:
        here = own.pop() if own else linked.popleft()  # linked folders last: by then those with a name here are seen
        try:
            about = here.stat()
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(f"cannot read {here}: {error.strerror}") from error
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                own.append(Path(entry.path))
            elif entry.is_symlink() and os.path.isdir(entry.path):
                linked.append(Path(entry.path))
            elif entry.name.lower().endswith(endings) and (entry.is_symlink() or entry.is_file(follow_symlinks=False)):
                yield Path(entry.path)
