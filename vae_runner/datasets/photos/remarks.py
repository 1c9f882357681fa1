"""What a person should know of the files of a set before training on them, in lines."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from vae_runner.datasets.photos.contents import Depths
from vae_runner.datasets.photos.layouts import describe_folders, folders_of
from vae_runner.datasets.reading.listing import Entry, describe_others
from vae_runner.datasets.reading.source import Source

__all__ = ["describe_levels", "is_dark", "log_remarks", "remarks_on_files", "remarks_on_levels"]

# Of images, though of none that are read here: there is no decoder, or more to them than one picture.
_ALSO_IMAGES = {
    *(
        ".avif",
        ".jp2",
        ".j2k",
        ".j2c",
        ".jpc",
        ".jpf",
        ".jpx",
        ".heic",
        ".heif",
        ".hif",
        ".jxl",
        ".psd",
        ".svg",
        ".ico",
    ),
    *(".exr", ".hdr", ".pfm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".dcm", ".nii", ".npy"),
}


def remarks_on_files(source: Source, entries: Sequence[Entry]) -> Iterator[tuple[int, str]]:
    """Yields lines with their logging level: the folders that are read, the images that are left out."""
    if len(folders_of(entries)) > 1:
        yield logging.INFO, f"images are read from several folders: {describe_folders(entries)}"
    unread = Counter({ending: count for ending, count in source.others.items() if ending in _ALSO_IMAGES})
    if unread:
        yield logging.WARNING, f"images that cannot be read here are left out: {describe_others(unread)}"


def remarks_on_levels(depths: Sequence[Depths], levels: tuple[float, float] | None) -> Iterator[tuple[int, str]]:
    """Yields likewise whether what has more than 8 bits comes out dark, or `levels` change nothing."""
    if levels is not None and not depths:
        yield logging.WARNING, "dataset.levels changes nothing: no file has more than 8 bits for a value"
    for depth in depths:
        if levels is None and is_dark(depth):
            yield logging.WARNING, describe_levels(depth, levels)


def is_dark(depth: Depths) -> bool:
    """Returns whether the brightest value of all these files is less than half of what stands for white."""
    return depth.high < depth.white / 2


def describe_levels(depth: Depths, levels: tuple[float, float] | None) -> str:
    """Returns how bright the files of more than 8 bits are, and what would make them brighter, where they are dark."""
    files = f"{depth.count:,} file{'' if depth.count == 1 else 's'} of more than 8 bits"
    held = f"{files} hold{'s' if depth.count == 1 else ''} values from {depth.low:,g} to {depth.high:,g}"
    if levels is not None:
        return f"{held}; dataset.levels makes {levels[0]:,g} black and {levels[1]:,g} white"
    black = min(depth.low, 0)
    advice = f", so they come out dark; dataset.levels=[{black:.15g},{depth.high:.15g}] scales them"
    return f"{held}, and {depth.white:,g} is white{advice if is_dark(depth) else ''}"


def log_remarks(remarks: Iterable[tuple[int, str]]) -> None:
    """Log lines, each at its level, under the name of the package."""
    for level, line in remarks:
        logging.getLogger("vae_runner").log(level, "%s", line)
