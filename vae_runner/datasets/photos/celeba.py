"""CelebA: 202,599 aligned photographs of faces, 178x218, with official training, validation and test parts.

It is not fetched from here, for its licence has to be accepted: img_align_celeba.zip and list_eval_partition.txt are on
the page of the authors. What Kaggle ships, with list_eval_partition.csv, is read too. The usual centre crops, before
resizing to 64x64, are 148 (VAEs and WAEs), 140 and 108 (GANs).

Ziwei Liu, Ping Luo, Xiaogang Wang and Xiaoou Tang, "Deep learning face attributes in the wild", ICCV 2015,
https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
"""

import copy
import logging
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vae_runner.datasets.photos.image_folder import SimpleImageFolder, Transform
from vae_runner.datasets.photos.layouts import aligned_photos, compare_count, describe_folders, take_photos
from vae_runner.datasets.photos.partition import LIST_NAMES, find_list, read_list, stem
from vae_runner.datasets.photos.photo_settings import takes_settings
from vae_runner.datasets.reading.listing import Entry, printable
from vae_runner.datasets.reading.source import Source, open_source
from vae_runner.errors import UserError
from vae_runner.signature import enforced

__all__ = ["COUNTS", "LIST_NAME", "CelebA"]

Split = Literal["all", "official", "train", "valid", "test"]
OFFICIAL = ("train", "valid", "test")

URL = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
LIST_NAME = LIST_NAMES[0]
ZIP_NAME = "img_align_celeba.zip"
COUNTS = {"all": 202_599, "official": 202_599, "train": 162_770, "valid": 19_867, "test": 19_962}  # as published
_CONTENT = f"with {ZIP_NAME} in it, packed or unpacked, and, for dataset.split, {LIST_NAME} beside, both from {URL}"

logger = logging.getLogger("vae_runner")


@enforced
class CelebA(SimpleImageFolder):
    """The aligned CelebA images, as `SimpleImageFolder` has them.

    A count of images other than the published one is logged as a warning. The other arguments are those of
    `SimpleImageFolder`.

    Args:
        root: the folder that img_align_celeba.zip was unpacked into, at any depth; or the zip; or the folder it is in.
        split: "train", "valid" or "test" as in list_eval_partition.txt or .csv, see `partition`; "official": all
            three, a run's parts; "all" needs no list, nor, with a warning, does "official".
        crop: 148, 140 and 108 are usual; None: as `fit` says.

    Example:
        >>> from PIL import Image
        >>> Path("faces").mkdir()
        >>> for name in ("000001.jpg", "000002.jpg"):
        ...     Image.new("RGB", (178, 218), "white").save(f"faces/{name}")
        >>> faces = CelebA("faces", image_size=32, crop=148, cache_dir="cache")
        >>> len(faces), faces[0][0].size, faces.gather(torch.tensor([0])).shape
        (2, (178, 218), torch.Size([1, 3, 32, 32]))
    """

    @takes_settings(crop=148)
    def __init__(
        self,
        root: str | Path,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        split: Split = "all",
        **settings: Any,
    ) -> None:
        if split not in get_args(Split):
            raise UserError(f"dataset.split must be one of {', '.join(get_args(Split))}, got {split!r}")
        self.split = split
        self._part_of: dict[str, str] = {}  # of each image by its name without the ending
        super().__init__(root, transform=transform, target_transform=target_transform, **settings)

    @property
    def provenance(self) -> dict[str, Any]:
        """As of any folder, and the part."""
        return super().provenance | {"split": self.split}

    def own_split(self) -> tuple[Tensor, ...] | None:
        """Returns the indices of the official training, validation and test images, where `split` is "official"."""
        if self.split != "official" or not self._part_of:
            return None
        self._settle()
        parts = [self._part_of[stem(entry.name)] for entry in self.entries]
        return tuple(torch.tensor([i for i, part in enumerate(parts) if part == name]).long() for name in OFFICIAL)

    def without_test(self) -> "CelebA":
        """Returns the set of the others, where it has the official test images: nothing of these is read."""
        if self.split != "official" or not self._part_of:
            return self
        rest = copy.copy(self)
        rest.entries = [entry for entry in self.entries if self._part_of[stem(entry.name)] != "test"]
        rest._rows = None
        return rest

    def _open(self) -> Source:
        if not self.root.is_dir():
            return self._sourced(self.root)
        packed = [folder / ZIP_NAME for folder in (self.root, self.root / "Img") if (folder / ZIP_NAME).is_file()]
        try:
            loose = super()._open()
        except UserError:
            return self._sourced(packed[0] if packed else self.root)
        is_whole = aligned_photos(loose.entries) or len(loose.entries) == COUNTS["all"]
        if packed and not is_whole:
            log = "%s is read, and the images beside it are left out: %s"
            logger.info(log, printable(packed[0]), describe_folders(loose.entries))
            return self._sourced(packed[0])
        return loose

    def _sourced(self, root: Path) -> Source:
        try:
            return open_source(root, self.extensions)
        except UserError as error:
            raise UserError(f"{error}, {_CONTENT}") from None

    def _choose(self, entries: list[Entry]) -> list[Entry]:
        entries = take_photos(entries, aligned_photos, self.root)
        if self.split != "all":
            entries = self._of_list(entries)
        expected = COUNTS[self.split if self._part_of else "all"]
        compare_count(f"CelebA ({self.split})", self.root, len(entries), expected)
        return entries

    def _of_list(self, entries: list[Entry]) -> list[Entry]:
        """Those of the files that the official list has in the part."""
        found = find_list(self.source, entries)
        if found is None and self.split == "official":
            logger.warning("no %s by %s: validating on images chosen at random instead of the official ones; "
                           "get it from %s (Eval)", LIST_NAME, self.root, URL)  # fmt: skip
            return entries
        if found is None:
            raise UserError(
                f"dataset.split={self.split} needs {LIST_NAME}, or the same as .csv, in {printable(self.root)} or "
                f"the folder above: get it from {URL} (Eval), or set dataset.split=all"
            )
        self._part_of = read_list(*found)
        wanted = OFFICIAL if self.split == "official" else (self.split,)
        chosen = [entry for entry in entries if self._part_of.get(stem(entry.name)) in wanted]
        if not chosen:
            names = " or ".join(wanted)
            root = printable(self.root)
            raise UserError(f"{found[0]} names none of the {len(entries):,} images under {root} as {names}")
        return chosen
