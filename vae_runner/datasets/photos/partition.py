"""CelebA's official list of parts: which of its images are for training, for validation and for testing.

The authors publish list_eval_partition.txt, lines such as '000001.jpg 0'; Kaggle ships the same as a .csv with the
header 'image_id,partition'. It is looked for beside the images, in the folders above, in Eval beside each of them, and
in the zip. Names are compared without their endings, for the images are to be had as PNGs too.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vae_runner.datasets.reading.listing import Entry, printable
from vae_runner.datasets.reading.source import Source, ZipSource
from vae_runner.errors import UserError

__all__ = ["LIST_NAMES", "find_list", "read_list", "stem"]

LIST_NAMES = ("list_eval_partition.txt", "list_eval_partition.csv")

_PARTS = {"0": "train", "1": "valid", "2": "test"}  # as the list has them
_ABOVE = 2  # folders above the root
_COLUMNS = ("image_id", "partition")


def stem(name: str) -> str:
    """Returns the name of an image without its folders and its ending."""
    return name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or name.rpartition("/")[2]


def find_list(source: Source, entries: Sequence[Entry]) -> tuple[str, str] | None:
    """Returns where the list is, and its text; None where there is none.

    Raises:
        UserError: where it cannot be read.
    """
    for folder in _places(source, entries):
        for file in (place / name for place in (folder, folder / "Eval") for name in LIST_NAMES):
            if file.is_file():
                try:
                    return printable(file), _text(file.read_bytes())
                except OSError as error:
                    raise UserError(f"cannot read {printable(file)}: {error.strerror}") from error
    if isinstance(source, ZipSource) and (packed := source.named(LIST_NAMES)) is not None:
        return source.location(packed), _text(source.open(packed).read())
    return None


def read_list(where: str, text: str) -> dict[str, str]:
    """Returns the part of each image by its `stem`.

    Raises:
        UserError: for a line that is none of such a list.
    """
    lines = list(csv.reader(_plain(line) for line in text.splitlines()))
    columns = (0, 1)
    if lines and set(_COLUMNS) <= set(lines[0]):
        columns = (lines[0].index(_COLUMNS[0]), lines[0].index(_COLUMNS[1]))
    part_of = {}
    for number, words in enumerate(lines, 1):
        if not words or (number == 1 and set(_COLUMNS) <= set(words)):
            continue
        few = len(words) <= max(columns) or (columns == (0, 1) and len(words) != 2)
        if few or not words[columns[0]] or words[columns[1]] not in _PARTS:
            got = text.splitlines()[number - 1][:60]
            raise UserError(f"{where}, line {number}: expected 'NAME.jpg 0', 1 or 2, got {got!r}")
        part_of[stem(words[columns[0]])] = _PARTS[words[columns[1]]]
    return part_of


def _places(source: Source, entries: Sequence[Entry]) -> Iterator[Path]:
    """The folders in which the list may be, those closest to the images first."""
    here = source.root.absolute()
    if not isinstance(source, ZipSource):
        images = here / (entries[0].name.rpartition("/")[0] if entries else "")
        yield from (folder for folder in (images, *images.parents) if folder.is_relative_to(here) and folder != here)
        yield here
    yield from list(here.parents)[: _ABOVE + isinstance(source, ZipSource)]


def _plain(line: str) -> str:
    """A line with commas between its words, whichever way they are set apart."""
    return re.sub(r"\s*[,;]\s*|\s+", ",", line.strip())


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace")
