"""The photographs of CelebA and of CelebA-HQ, among the other images that are published, or kept, beside them.

CelebA        Img/img_align_celeba of its authors, img_align_celeba/img_align_celeba of Kaggle; img_align_celeba_png has
              the same faces again, img_celeba those that are not aligned
CelebA-HQ     CelebAMask-HQ/CelebA-HQ-img, beside CelebAMask-HQ-mask-anno (Lee et al., "MaskGAN", CVPR 2020); one folder
              for each size, data1024x1024 or celeba-256, of which the largest is taken

Folders are known by their names below the root, in whatever case. Where none is known, all images are the set.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from vae_runner.datasets.reading.listing import Entry, printable

__all__ = ["aligned_photos", "compare_count", "describe_folders", "folders_of", "hq_photos", "take_photos"]

_SHOWN = 6  # folders that are named
_MASKS = re.compile(r"(celebamask-?hq-)?(mask|masks|mask-anno|mask-color|label|labels|parsing|sketch|sketches|vis)")
_SIZED = re.compile(r"(?:celeba|celeba[-_]?hq|data|images)?[-_]?(64|128|256|512|1024)(?:x\1)?")

logger = logging.getLogger("vae_runner")


def aligned_photos(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the aligned photos of CelebA, JPEGs or else PNGs; none where no folder has their name."""
    return _below(entries, "img_align_celeba") or _below(entries, "img_align_celeba_png")


def hq_photos(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the photos of CelebA-HQ, in one size; none where all are masks."""
    photos = _below(entries, "celeba-hq-img") or _where(entries, lambda part: not _MASKS.fullmatch(part), all)
    sizes = {int(found[1]) for part in _parts_of(photos) if (found := _SIZED.fullmatch(part))}
    if len(sizes) < 2:
        return photos
    largest = str(max(sizes))
    return _where(photos, lambda part: bool(found := _SIZED.fullmatch(part)) and found[1] == largest, any)


def take_photos(entries: list[Entry], of_layout: Callable[[Sequence[Entry]], list[Entry]], root: Path) -> list[Entry]:
    """Returns those that `of_layout` knows, or all where it knows none; a line says what is left out."""
    chosen = of_layout(entries) or entries
    if len(chosen) < len(entries):
        taken = {entry.name for entry in chosen}
        others = [entry for entry in entries if entry.name not in taken]
        log = "under %s the images of %s are taken, and others are left out: %s"
        logger.info(log, printable(root), describe_folders(chosen), describe_folders(others))
    return chosen


def compare_count(name: str, root: Path, count: int, expected: int) -> None:
    """Warn where a published set has another number of images."""
    if count != expected:
        logger.warning("%s under %s has %s images, expected %s", name, printable(root), f"{count:,}", f"{expected:,}")


def folders_of(entries: Sequence[Entry]) -> Counter[str]:
    """Returns how many there are in each folder, at the first depth that has several; '.' is the root itself."""
    folders = Counter(entry.name.rpartition("/")[0] for entry in entries)
    paths = [folder.split("/") if folder else [] for folder in folders]
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))))
    heads: Counter[str] = Counter()
    for path, count in zip(paths, folders.values(), strict=True):
        heads["/".join(path[: shared + 1]) or "."] += count
    return heads


def describe_folders(entries: Sequence[Entry]) -> str:
    """Returns 'a 12, b 3', the largest ones."""
    heads = folders_of(entries)
    named = [f"{printable(head)} {count:,}" for head, count in heads.most_common(_SHOWN)]
    return ", ".join(named) + (f" and {len(heads) - _SHOWN:,} more folders" if len(heads) > _SHOWN else "")


def _below(entries: Sequence[Entry], folder: str) -> list[Entry]:
    return _where(entries, lambda part: part == folder, any)


def _where(
    entries: Sequence[Entry], fits: Callable[[str], bool], how_many: Callable[[list[bool]], bool]
) -> list[Entry]:
    """Those of which all, or any, of the folders that they are in fit; each folder is judged once."""
    judged = {folder: how_many([fits(part) for part in folder.lower().split("/")]) for folder in _folders(entries)}
    return [entry for entry in entries if judged[entry.name.rpartition("/")[0]]]


def _folders(entries: Sequence[Entry]) -> set[str]:
    return {entry.name.rpartition("/")[0] for entry in entries}


def _parts_of(entries: Sequence[Entry]) -> set[str]:
    return {part for folder in _folders(entries) for part in folder.lower().split("/")}
