"""Where results go: nothing that is there already is replaced unless that was asked for, and what cannot be written is
said before any work is done.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from torch import Tensor

from vae_runner.drawing.paint import as_image, as_png, to_pixels
from vae_runner.errors import RunError, UserError
from vae_runner.files import refusals_told, write_atomically
from vae_runner.text import plain

__all__ = ["new_files", "new_folder", "picture_names", "write_pictures"]

OVER = "overwrite=true, which replaces those of the same names"


def new_files(files: Sequence[Path], overwrite: bool) -> None:
    """Raises `UserError` where a file is there and is not to be replaced, `RunError` where there can be none."""
    for file in files:
        if os.path.isdir(file):
            raise UserError(f"out={plain(file)} is a folder; name a file")
        if os.path.lexists(file) and not overwrite:
            raise UserError(f"out={plain(file)} is there already; name another, or {OVER}")
    for folder in dict.fromkeys(file.parent for file in files):
        _check_writable(folder)


def new_folder(folder: Path, overwrite: bool) -> None:
    """Raises `UserError` where there is something in the folder and nothing is to be replaced, or where it is none,
    `RunError` where there can be no files in it. It is not made yet.
    """
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UserError(f"out={plain(folder)} is not a folder")
    _check_writable(folder)
    if os.path.isdir(folder) and not overwrite:
        with refusals_told(folder):
            is_empty = next(folder.iterdir(), None) is None
        if not is_empty:
            raise UserError(f"out={plain(folder)} holds files already; name another folder, or {OVER}")


def _check_writable(folder: Path) -> None:
    """Ask the folder, or the one in which it would be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not os.path.isdir(there):
        raise UserError(f"out: {plain(there)} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"cannot write in {plain(there)}: Permission denied")


def picture_names(names: Iterable[str]) -> list[str]:
    """Returns a name of a PNG file for each image, below the folder: 'a/1.png' for 'a/1.jpg', with its whole name where
    two would be one, and without what leads out of the folder.

    Example:
        >>> picture_names(["a/1.jpg", "a/1.png", "../b.webp"])
        ['a/1.png', 'a/1.png.png', 'b.png']
    """
    found: dict[str, None] = {}
    for name in names:
        parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", "~")]
        path = PurePosixPath(*parts) if parts else PurePosixPath("image")
        wanted, number = str(path.with_suffix(".png")), 1
        if wanted in found:
            wanted = f"{path}.png"
        while wanted in found:
            wanted, number = f"{path}.{number}.png", number + 1
        found[wanted] = None
    return list(found)


def write_pictures(folder: Path, names: Sequence[str], images: Tensor) -> Iterator[Path]:
    """Write images (N, C, H, W) in [0, 1], each to its file below the folder; yields the files.

    Raises `UserError` where no file holds images of so many channels, `RunError` where they cannot be written.
    """
    if images.shape[1] not in (1, 3):
        raise UserError(
            f"images of {images.shape[1]} channels are no pictures; vae_runner.load(RUN) has them as tensors"
        )
    pixels: np.ndarray = to_pixels(images.detach().float().cpu().numpy(), str(folder))
    for name, one in zip(names, pixels, strict=True):
        write_atomically(folder / name, as_png(as_image(one)))
        yield folder / name
